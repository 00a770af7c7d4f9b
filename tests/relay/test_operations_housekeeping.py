"""Old messages lose their bytes: which, when, what stays, and what a repeat does years later."""

import gzip
import hashlib
import json
import os
from base64 import b64decode
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from relay import lanes, registry, services, tasks
from relay.management.operating import ShellOperator
from relay.models import Attempt, InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.services import NotInQuarantineError, operations, retry_quarantined
from relay.services.operations import ResendOutcome, archive, housekeeping
from tests.races import SECONDS, at_once, begun, meanwhile
from tests.relay.channel_contract import expire_leases
from tests.relay.conftest import Application, Boxes, inbound, outbound, queue
from tests.relay.messages import receipt, technical
from tests.relay.rows import make_inbound, make_outbound, make_quarantined

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("RLY-03")]

SOMEBODY = ShellOperator("os:tester")
#: So far in the future that all of today is old.
LATER = timezone.now() + timedelta(days=40 * 31)


@pytest.fixture
def still_open(monkeypatch: pytest.MonkeyPatch, application: Application) -> set[str]:
    """Subjects that the application is not through with; empty unless a test adds one."""
    subjects: set[str] = set()

    def open_subjects(asked: Collection[str]) -> set[str]:
        return subjects & set(asked)

    monkeypatch.setattr(registry, "_outbound", {"SGW101": replace(registry._outbound["SGW101"], open_subjects=open_subjects)})
    return subjects


def conversation(boxes: Boxes, number: int = 1) -> tuple[OutboundMessage, bytes]:
    """A filing that went out and was receipted and answered, our receipt of the answer included; and that answer."""
    message = queue(number)
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(message.message_id))
    answer = receipt(number=number, in_reply_to=message.message_id)
    boxes.put(answer)
    services.receive("customs")
    services.dispatch("customs")
    boxes.take_all()
    return message, answer


@pytest.mark.parametrize(
    ("now", "months", "expected"),
    [
        (datetime(2026, 3, 31, 15, 59, tzinfo=UTC), 3, datetime(2025, 11, 30, 16, tzinfo=UTC)),
        (datetime(2026, 3, 31, 16, 1, tzinfo=UTC), 3, datetime(2025, 12, 31, 16, tzinfo=UTC)),
        (datetime(2026, 1, 15, tzinfo=UTC), 1, datetime(2025, 11, 30, 16, tzinfo=UTC)),
        (datetime(2026, 1, 15, tzinfo=UTC), 36, datetime(2022, 12, 31, 16, tzinfo=UTC)),
        (datetime(2026, 1, 15, tzinfo=UTC), 0, None),
    ],
)
def test_whole_months_of_shanghai_count(settings: Any, now: datetime, months: int, expected: datetime | None) -> None:
    settings.RELAY_KEEP_MONTHS = months
    assert housekeeping.cut_off(now) == expected


def test_what_is_settled_and_old_keeps_its_row_and_digest(boxes: Boxes, still_open: set[str]) -> None:
    message, answer = conversation(boxes)
    content = bytes(message.content)
    assert housekeeping.empty_old() == (0, 0), "nothing is old yet"
    assert housekeeping.empty_old(now=LATER) == (1, 2)
    row = outbound(message)
    assert (bytes(row.content), bytes(row.sha256 or b"")) == (b"", hashlib.sha256(content).digest())
    assert (row.state, row.message_id, row.subject) == (OutboundState.DELIVERED, message.message_id, message.subject)
    came = inbound(message_type="SGW102")
    assert (bytes(came.content), bytes(came.sha256 or b""), came.answer_id) == (b"", hashlib.sha256(answer).digest(), None)
    assert came.size == len(answer)
    assert not OutboundMessage.objects.filter(message_type="RCV001").exists()
    assert not Attempt.objects.exists()
    assert housekeeping.empty_old(now=LATER) == (0, 0), "once"


def test_a_repeat_that_comes_years_later_is_a_repeat_and_answered_the_same(
    boxes: Boxes, still_open: set[str], application: Application
) -> None:
    _, answer = conversation(boxes)
    housekeeping.empty_old(now=LATER)
    before = list(application.events)
    boxes.put(answer)
    services.receive("customs")
    assert InboundMessage.objects.filter(message_type="SGW102").count() == 1
    came = inbound(message_type="SGW102")
    assert (came.repeats, came.state) == (1, InboundState.HANDLED)
    assert application.events == before
    services.dispatch("customs")
    (said,) = boxes.take_all().values()
    assert b"<Result>STORED</Result>" in said
    assert str(came.message_id).encode() in said
    boxes.put(answer)
    services.receive("customs")
    services.dispatch("customs")
    assert list(boxes.take_all().values()) == [said], "from then on it is the same receipt again"


def test_an_id_that_comes_with_other_bytes_years_later_is_a_contradiction(boxes: Boxes, still_open: set[str]) -> None:
    message, _ = conversation(boxes)
    number = inbound(message_type="SGW102").message_id
    assert isinstance(number, UUID)
    housekeeping.empty_old(now=LATER)
    boxes.put(receipt(event="CLOSED", in_reply_to=message.message_id, message_id=number))
    services.receive("customs")
    assert inbound(state=InboundState.QUARANTINED).reason_code == "ID_REUSED"


def test_a_late_answer_still_finds_its_message(boxes: Boxes, still_open: set[str], application: Application) -> None:
    message, _ = conversation(boxes)
    housekeeping.empty_old(now=LATER)
    boxes.put(receipt(event="DEPARTED", in_reply_to=message.message_id))
    services.receive("customs")
    assert application.events[-1] == "DEPARTED"
    assert application.received[-1].original is not None
    assert application.received[-1].original.message_id == message.message_id


def test_an_open_record_keeps_all_of_its_messages(boxes: Boxes, still_open: set[str]) -> None:
    message, _ = conversation(boxes)
    still_open.add(message.subject)
    assert housekeeping.empty_old(now=LATER) == (0, 0)
    still_open.clear()
    assert housekeeping.empty_old(now=LATER) == (1, 2)


def test_without_a_word_of_the_application_all_is_kept(boxes: Boxes) -> None:
    conversation(boxes)
    assert housekeeping.empty_old(now=LATER) == (0, 0)


def test_what_is_not_over_keeps_its_record_s_messages(still_open: set[str]) -> None:
    for case, unfinished in enumerate(
        (
            lambda subject: make_outbound(subject=subject, state=OutboundState.QUEUED),
            lambda subject: make_inbound(subject=subject, state=InboundState.READY, finished_at=None),
            lambda subject: make_quarantined(str(subject).encode(), subject=subject),
        )
    ):
        done = make_outbound(subject=f"case:{case}")
        unfinished(done.subject)
    answered = make_outbound()
    make_quarantined(b"about it", original=answered)
    free = make_outbound(subject="case:9")
    assert housekeeping.empty_old(now=LATER)[0] == 1
    assert outbound(free).emptied_at is not None


def test_what_waits_for_a_decision_is_kept_and_what_was_given_up_is_not(still_open: set[str]) -> None:
    make_quarantined(b"kept")
    given_up = make_quarantined(b"given up", state=InboundState.DISCARDED)
    unknown = make_inbound(subject="")
    assert housekeeping.empty_old(now=LATER) == (0, 1)
    assert inbound(pk=given_up.pk).emptied_at is not None
    assert inbound(pk=unknown.pk).emptied_at is None, "an application took it, and nobody knows about which record"
    with pytest.raises(NotInQuarantineError):
        retry_quarantined(given_up.pk, actor=None)


def test_what_has_no_bytes_is_never_sent(boxes: Boxes, still_open: set[str]) -> None:
    message, _ = conversation(boxes)
    housekeeping.empty_old(now=LATER)
    assert operations.resend(message_id=message.message_id, operator=SOMEBODY).outcome == ResendOutcome.EMPTIED
    with pytest.raises(Exception, match="relay_outbound_emptied_is_finished"):
        OutboundMessage.objects.filter(pk=message.pk).update(state=OutboundState.QUEUED, finished_at=None)


def test_what_came_to_life_between_looking_and_emptying_is_left(
    boxes: Boxes, still_open: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    message, _ = conversation(boxes)

    def resend_meanwhile(_batch: object) -> None:
        operations.resend(message_id=message.message_id, operator=SOMEBODY)

    monkeypatch.setattr(housekeeping, "_archive", resend_meanwhile)
    assert housekeeping.empty_old(now=LATER)[0] == 0
    assert bytes(outbound(message).content) == bytes(message.content)


def test_bytes_are_on_the_archive_s_disk_before_they_go(boxes: Boxes, still_open: set[str], settings: Any, tmp_path: Path) -> None:
    settings.RELAY_ARCHIVE_DIR = tmp_path / "archive"
    message, answer = conversation(boxes)
    housekeeping.empty_old(now=LATER)
    files = sorted((tmp_path / "archive" / f"{timezone.localtime():%Y-%m}").iterdir())
    assert [path.name.split("-")[0] for path in files] == ["inboundmessage", "outboundmessage"]
    kept = [json.loads(line) for path in files for line in gzip.decompress(path.read_bytes()).splitlines()]
    by_type = {one["message_type"]: one for one in kept}
    assert b64decode(by_type["SGW101"]["content"]) == bytes(message.content)
    assert b64decode(by_type["SGW102"]["content"]) == answer
    assert by_type["SGW101"]["message_id"] == str(message.message_id)


def test_an_archive_that_cannot_be_written_keeps_everything(boxes: Boxes, still_open: set[str], settings: Any, tmp_path: Path) -> None:
    message, _ = conversation(boxes)
    (tmp_path / "a file").write_text("x")
    settings.RELAY_ARCHIVE_DIR = tmp_path / "a file"
    with pytest.raises(OSError, match="a file"):
        housekeeping.empty_old(now=LATER)
    assert outbound(message).emptied_at is None
    settings.RELAY_ARCHIVE_DIR = None
    assert housekeeping.empty_old(now=LATER) == (1, 2), "the next run is not held up by the one that failed"


def test_a_batch_of_which_one_was_locked_takes_nobody_s_place_in_the_archive(still_open: set[str], settings: Any, tmp_path: Path) -> None:
    """The second night its first and last number are those of the first."""
    settings.RELAY_ARCHIVE_DIR = tmp_path / "archive"
    rows = [make_outbound(subject=f"done:{number}", content=f"<x>{number}</x>".encode()) for number in range(3)]
    with transaction.atomic():
        list(OutboundMessage.objects.select_for_update().filter(pk__in=[rows[0].pk, rows[2].pk]))
        first_night = begun(lambda: housekeeping.empty_old(now=LATER)[0])
        assert first_night.result(SECONDS) == 1
    assert housekeeping.empty_old(now=LATER)[0] == 2
    for row in rows:
        found = archive.read(row.message_id, keep=100, damaged=archive.Damaged())
        assert (found.beginning, found.is_verified) == (bytes(row.content), True)


def test_a_worker_that_was_held_up_empties_nothing_that_another_archives(still_open: set[str], settings: Any, tmp_path: Path) -> None:
    """Its file is written under no other's name, and the database keeps what it thought to be its own."""
    settings.RELAY_ARCHIVE_DIR = tmp_path / "archive"
    row = make_outbound(subject="done:1", content=b"<x/>")

    def take_over() -> int:
        expire_leases()
        return housekeeping.empty_old(now=LATER)[0]

    with meanwhile("os.fsync", take_over) as successor:
        assert housekeeping.empty_old(now=LATER)[0] == 0
    assert successor == [1]
    assert len(list(settings.RELAY_ARCHIVE_DIR.glob("*/*.jsonl.gz"))) == 2, "twice, each whole"
    assert archive.read(row.message_id, keep=100, damaged=archive.Damaged()).is_verified


@pytest.mark.parametrize("direction", ["out", "in"])
def test_who_lost_the_lane_after_archiving_empties_nothing(still_open: set[str], monkeypatch: pytest.MonkeyPatch, direction: str) -> None:
    row = make_outbound(subject="done:1") if direction == "out" else make_inbound(message_type="", state=InboundState.DISCARDED)

    def archive_for_long(_batch: object) -> None:
        expire_leases()
        assert lanes.take(housekeeping.LANE)

    monkeypatch.setattr(housekeeping, "_archive", archive_for_long)
    assert housekeeping.empty_old(now=LATER) == (0, 0)
    row.refresh_from_db()
    assert row.emptied_at is None


def test_what_a_killed_worker_left_in_the_archive_goes(still_open: set[str], settings: Any, tmp_path: Path) -> None:
    settings.RELAY_ARCHIVE_DIR = tmp_path / "archive"
    (month := settings.RELAY_ARCHIVE_DIR / "2023-04").mkdir(parents=True)
    old, fresh = (month / f".outboundmessage-1-2-{name}.jsonl.gz.tmp" for name in ("old", "fresh"))
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    housekeeping.empty_old(now=LATER)
    assert list(month.iterdir()) == [fresh]


def test_batches(still_open: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "BATCH", 3)
    still_open.add("open:1")
    for number in range(10):
        make_outbound(subject="open:1" if number % 4 == 0 else f"done:{number}")
    assert housekeeping.empty_old(now=LATER)[0] == 7


def test_two_at_once_are_one(still_open: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        make_outbound(subject=f"done:{number}")
    results = at_once(*[lambda: housekeeping.empty_old(now=LATER)[0]] * 2)
    assert sum(results) == 20
    token = lanes.take(housekeeping.LANE)
    make_outbound(subject="done:99")
    assert housekeeping.empty_old(now=LATER) == (0, 0), "another worker is at it"
    assert token is not None
    lanes.release(housekeeping.LANE, token)


def test_the_task_does_it(still_open: set[str], settings: Any) -> None:
    old = make_outbound(at=timezone.now() - timedelta(days=70), subject="done:1")
    young = make_outbound(subject="done:2")
    settings.RELAY_KEEP_MONTHS = 1
    tasks.empty_old()
    assert (outbound(old).emptied_at is None, outbound(young).emptied_at is None) == (False, True)
