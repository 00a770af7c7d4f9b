"""`python -m tests.chaos.verdict JOURNAL`: what the database, the audit trail and customs' journal say of a run, as JSON.

Reads the outcome by rules of its own, not by the code under test: the state table is the one of `domain.md` §3.4, written out here.
"""

import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import django

django.setup()

from django.db.models import Count

from accounts.models import SignatureEvidence
from core.models import AuditEntry
from relay.models import InboundMessage, InboundState, OutboundMessage
from smartgate.models import Filing, FilingReceipt
from tests.chaos.exchanges import HALF

TABLE = {
    ("draft", "declared"),
    ("rejected", "declared"),
    ("relay_failed", "declared"),
    ("declared", "relayed"),
    ("declared", "relay_failed"),
    ("relayed", "stored"),
    ("relayed", "rejected"),
    ("stored", "rejected"),
    ("stored", "locked"),
    ("stored", "closed"),
    ("stored", "closed_manually"),
    ("stored", "departed"),
    ("locked", "unlocked"),
    ("locked", "closed"),
    ("locked", "closed_manually"),
    ("unlocked", "locked"),
    ("unlocked", "closed"),
    ("unlocked", "closed_manually"),
    ("unlocked", "departed"),
    ("closed", "departed"),
    ("closed_manually", "departed"),
}
#: What customs says of a plate that ends in one of these and two digits, each once. Answers overtake each other when customs dies, so
#: that any order may come about.
ANSWERS: dict[str, tuple[str, ...]] = {
    "REJ": ("REJECTED",),
    "RFS": (),
    "FAL": (),
    "SWP": ("CLOSED", "STORED"),
    "UNL": ("LOCKED", "STORED", "UNLOCKED"),
    "CLS": ("CLOSED", "STORED"),
    "DEP": ("CLOSED", "DEPARTED", "STORED"),
}
OTHERWISE = ("STORED",)
#: Codes with which a file that was cut off, or came under a name of its own, may be set aside.
EXPECTED_QUARANTINE = {"NOT_XML"}


def expected_answers(plate: str) -> tuple[str, ...]:
    """What customs says of this plate, sorted; nothing: its exchange refuses the message."""
    return ANSWERS.get(plate[-5:-2], OTHERWISE)


def replayed(events: Sequence[str]) -> tuple[list[str], list[bool]]:
    """The states that a declared filing goes through when these answers are stored one after the other, and which of them move it.

    An answer that the table does not allow from the state that the filing is in is kept without effect; none of them is ever looked at
    again. The first proves that the message arrived.
    """
    states = ["draft", "declared", "relayed" if events else "relay_failed"]
    moves: list[bool] = []
    for event in events:
        moves.append((states[-1], event.lower()) in TABLE)
        if moves[-1]:
            states.append(event.lower())
    return states, moves


def misread(expected: Sequence[str], stored: Sequence[tuple[str, bool]], status: str, way: Sequence[tuple[str, str]]) -> list[str]:
    """What is wrong with a declared filing of which customs says `expected`.

    `stored` are its receipts in the order in which they were stored, each with whether it was applied; `way` is each step of the audit
    trail from state to state.
    """
    events = [event for event, _ in stored]
    states, moves = replayed(events)
    found: list[str] = []
    if sorted(events) != sorted(expected):
        found.append(f"holds the answers {events}")
    if [is_applied for _, is_applied in stored] != moves:
        found.append(f"applied {[event for event, is_applied in stored if is_applied]} of {events}, which leads to {' → '.join(states)}")
    if status != states[-1]:
        found.append(f"is {status} after {events}, which leads to {states[-1]}")
    if list(way) != list(pairwise(["", *states])):
        found.append(f"went {' → '.join(after for _, after in way)} by its audit trail and {' → '.join(states)} by {events}")
    return found


def unsettled() -> dict[str, int]:
    """How much is still under way: all zero when the run has come to rest."""
    filings = Filing.unscoped.exclude(status="draft").annotate(answers=Count("receipts")).values_list("bind_key_info", "status", "answers")
    return {
        "out": OutboundMessage.objects.filter(finished_at__isnull=True).count(),
        "in": InboundMessage.objects.filter(state__in=[InboundState.RECEIVED, InboundState.READY]).count(),
        "filings": sum(
            answers != len(expected_answers(plate)) or (not answers and status != "relay_failed") for plate, status, answers in filings
        ),
    }


def halves() -> list[str]:
    """The messages in half that the portal has set aside as what they are."""
    found = InboundMessage.objects.filter(state=InboundState.QUARANTINED, file_name__startswith=HALF, reason_code__in=EXPECTED_QUARANTINE)
    return list(found.values_list("file_name", flat=True))


def problems(journal: Path) -> list[str]:
    """Everything that must not be."""
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return [*_arrivals(lines), *_histories(), *_leftovers()]


def _arrivals(lines: list[dict[str, Any]]) -> list[str]:
    """Every version that was sent is in customs' journal exactly once, with the bytes that the database holds."""
    found: list[str] = []
    arrived = Counter((line["SeqNo"], line["version"]) for line in lines)
    found += [f"{number} version {version} arrived {times} times" for (number, version), times in arrived.items() if times != 1]
    sent = {
        str(row.message_id): (row.subject, hashlib.sha256(bytes(row.content)).hexdigest(), row.state)
        for row in OutboundMessage.objects.filter(message_type="SGW101").iterator()
    }
    for line in lines:
        subject, digest, _state = sent.get(line["message_id"], ("", "", ""))
        if digest != line["sha256"] or not subject.endswith(line["SeqNo"]):
            found.append(f"{line['SeqNo']}: customs holds other bytes, or a message that was never sent")
    known = {line["message_id"] for line in lines}
    for filing in Filing.unscoped.exclude(status="draft").iterator():
        is_refused = filing.status == "relay_failed"
        if (str(filing.message_id) in known) == is_refused:
            found.append(f"{filing.trip_no} ({filing.status}) and the journal disagree on whether it arrived")
        if filing.version != 1:
            found.append(f"{filing.trip_no} was declared {filing.version} times")
    per_filing = Counter(subject for subject, _digest, _state in sent.values())
    found += [f"{subject} has {number} messages" for subject, number in per_filing.items() if number != 1]
    per_plate = Counter(Filing.unscoped.exclude(status="draft").values_list("bind_key_info", flat=True))
    found += [f"{plate} was declared in {number} filings" for plate, number in per_plate.items() if number != 1]
    signed = Counter(SignatureEvidence.unscoped.values_list("subject", "version"))
    declared = {(filing.subject, filing.version) for filing in Filing.unscoped.exclude(status="draft").iterator()}
    return found + [f"{subject} version {version}: evidence and filings disagree" for subject, version in declared ^ signed.keys()]


def _histories() -> list[str]:
    """Every filing is where its receipts lead by the table, in the order in which they were stored, and its audit trail tells just that."""
    found: list[str] = []
    steps: dict[str, list[tuple[str, str]]] = defaultdict(list)
    entries = AuditEntry.unscoped.filter(object_type="smartgate.filing", refused=False).order_by("id")
    for entry in entries.only("object_id", "action", "before", "after").iterator():
        before, after = (entry.before or {}).get("status"), (entry.after or {}).get("status")
        if after is not None and before != after:
            steps[entry.object_id].append((before or "", after))
    receipts: dict[int, list[tuple[str, bool]]] = defaultdict(list)
    for filing_id, event, is_applied in FilingReceipt.unscoped.order_by("id").values_list("filing_id", "event", "applied"):
        receipts[filing_id].append((event, is_applied))
    for filing in Filing.unscoped.all().only("pk", "trip_no", "bind_key_info", "status").iterator():
        way, stored = steps.pop(str(filing.pk), []), receipts.pop(filing.pk, [])
        if filing.status == "draft":
            wrong = [] if (way, stored) == ([("", "draft")], []) else [f"is a draft after {way} and {stored}"]
        else:
            wrong = misread(expected_answers(filing.bind_key_info), stored, filing.status, way)
        found += [f"{filing.trip_no} of {filing.bind_key_info} {what}" for what in wrong]
    found += [f"there are receipts of filing {key}, which is not there" for key in receipts]
    return found + [f"the audit trail tells of filing {key}, which is not there" for key in steps]


def _leftovers() -> list[str]:
    """Nothing is stuck, and nothing is set aside but what was thrown in half."""
    found = [f"{number} {what} still under way" for what, number in unsettled().items() if number]
    quarantined = InboundMessage.objects.filter(state=InboundState.QUARANTINED)
    found += [
        f"set aside: {row.file_name} {row.reason_code} {row.reason_text[:200]}"
        for row in quarantined
        if not (row.file_name.startswith(HALF) and row.reason_code in EXPECTED_QUARANTINE)
    ]
    leased = OutboundMessage.objects.filter(finished_at__isnull=True, lease_token__isnull=False).count()
    return found + ([f"{leased} leases are held"] if leased else [])


def main() -> None:
    """`--settled` says only how much is under way, and what was set aside so far."""
    if "--settled" in sys.argv:
        print(json.dumps({"left": unsettled(), "halves": halves()}))
        return
    counts = Counter(Filing.unscoped.values_list("status", flat=True))
    print(json.dumps({"problems": problems(Path(sys.argv[1])), "filings": counts}, ensure_ascii=False))


if __name__ == "__main__":
    main()
