"""`python -m tests.chaos.verdict JOURNAL`: what the database, the audit trail and customs' journal say of a run, as JSON.

Reads the outcome by rules of its own, not by the code under test: the state table is the one of `domain.md` §3.4, written out here.
"""

import hashlib
import json
import sys
from collections import Counter, defaultdict
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
#: What the simulator makes of a plate that ends in one of these and two digits: the states it can come to rest in, and how many answers it
#: gets. Answers overtake each other when customs dies; one that the table does not allow is kept without effect.
ENDS = {
    "REJ": ({"rejected"}, 1),
    "RFS": ({"relay_failed"}, 0),
    "FAL": ({"relay_failed"}, 0),
    "SWP": ({"stored", "closed"}, 2),
    "UNL": ({"stored", "locked", "unlocked"}, 3),
    "CLS": ({"stored", "closed"}, 2),
    "DEP": ({"stored", "closed", "departed"}, 3),
}
OTHERWISE = ({"stored"}, 1)
#: Codes with which a file that was cut off, or came under a name of its own, may be set aside.
EXPECTED_QUARANTINE = {"NOT_XML"}


def is_at_rest(plate: str, status: str, answers: int) -> bool:
    """Whether nothing more is to happen to the filing of this plate."""
    states, expected = ENDS.get(plate[-5:-2], OTHERWISE)
    return status in states and answers == expected


def unsettled() -> dict[str, int]:
    """How much is still under way: all zero when the run has come to rest."""
    return {
        "out": OutboundMessage.objects.filter(finished_at__isnull=True).count(),
        "in": InboundMessage.objects.filter(state__in=[InboundState.RECEIVED, InboundState.READY]).count(),
        "filings": len(_not_at_rest()),
    }


def _not_at_rest() -> list[str]:
    filings = Filing.unscoped.exclude(status="draft").annotate(answers=Count("receipts"))
    return [
        f"{trip_no} of {plate} is {status} after {answers} answers"
        for trip_no, plate, status, answers in filings.values_list("trip_no", "bind_key_info", "status", "answers")
        if not is_at_rest(plate, status, answers)
    ]


def problems(journal: Path) -> list[str]:
    """Everything that must not be."""
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return [*_arrivals(lines), *_histories(), *_receipts(), *_leftovers()]


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
    """By the audit trail every filing went from state to state by the table, without a gap."""
    found: list[str] = []
    steps: dict[str, list[tuple[str, str]]] = defaultdict(list)
    entries = AuditEntry.unscoped.filter(object_type="smartgate.filing", refused=False).order_by("id")
    for entry in entries.only("object_id", "action", "before", "after").iterator():
        before, after = (entry.before or {}).get("status"), (entry.after or {}).get("status")
        if after is not None and before != after:
            steps[entry.object_id].append((before or "", after))
    for filing in Filing.unscoped.all().only("pk", "trip_no", "status").iterator():
        way = steps.pop(str(filing.pk), [])
        state = ""
        for before, after in way:
            if before != state or (before and (before, after) not in TABLE):
                found.append(f"{filing.trip_no}: {' → '.join(step[1] for step in way)}")
                break
            state = after
        if state != filing.status:
            found.append(f"{filing.trip_no} is {filing.status}, its audit trail ends in {state or 'nothing'}")
    return found + [f"the audit trail tells of filing {key}, which is not there" for key in steps]


def _receipts() -> list[str]:
    """No answer was applied twice, and every one that moved a filing is told of in the audit trail once."""
    applied = Counter(FilingReceipt.unscoped.filter(applied=True).values_list("filing_id", "event"))
    told: Counter[tuple[int, str]] = Counter()
    prefix = "smartgate.filing."
    events = {event for _filing, event in applied}
    for object_id, action in AuditEntry.unscoped.filter(action__startswith=prefix, refused=False).values_list("object_id", "action"):
        event = action.removeprefix(prefix).upper()
        if event in events:
            told[int(object_id), event] += 1
    return [f"filing {key}: {times} times {event}" for (key, event), times in applied.items() if times != 1] + [
        f"filing {key}: {event} applied {applied[key, event]} times and audited {told[key, event]} times"
        for key, event in applied.keys() | told.keys()
        if applied[key, event] != told[key, event]
    ]


def _leftovers() -> list[str]:
    """Nothing is stuck, and nothing is set aside but what was thrown in half."""
    found = [f"{number} {what} still under way" for what, number in unsettled().items() if number] + _not_at_rest()
    quarantined = InboundMessage.objects.filter(state=InboundState.QUARANTINED)
    found += [
        f"set aside: {row.file_name} {row.reason_code} {row.reason_text[:200]}"
        for row in quarantined
        if not (row.file_name.startswith(HALF) and row.reason_code in EXPECTED_QUARANTINE)
    ]
    leased = OutboundMessage.objects.filter(finished_at__isnull=True, lease_token__isnull=False).count()
    return found + ([f"{leased} leases are held"] if leased else [])


def main() -> None:
    """`--settled` says only how much is under way."""
    if "--settled" in sys.argv:
        print(json.dumps(unsettled()))
        return
    counts = Counter(Filing.unscoped.values_list("status", flat=True))
    print(json.dumps({"problems": problems(Path(sys.argv[1])), "filings": counts}, ensure_ascii=False))


if __name__ == "__main__":
    main()
