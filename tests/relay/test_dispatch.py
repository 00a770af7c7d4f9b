"""Sending: whole files, one after another per subject, again and again until the partner has said what became of it."""

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from relay import services
from relay.channels.base import Letter, SendResult
from relay.channels.directory import DirectoryChannel
from relay.models import Attempt, AttemptOutcome, InboundMessage, OutboundMessage, OutboundState
from relay.services import dispatching
from tests.relay.conftest import Application, Boxes, make_due, outbound, queue
from tests.relay.messages import technical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application")]


def deliver(boxes: Boxes, message: OutboundMessage, **options: Any) -> None:
    """The partner's technical receipt comes in."""
    boxes.put(technical(message.message_id, **options))
    services.receive("customs")


def expire_leases() -> None:
    """As if every worker that holds something had died long ago."""
    past = timezone.now() - timedelta(seconds=1)
    OutboundMessage.objects.filter(lease_token__isnull=False).update(leased_until=past)


@pytest.mark.covers("RLY-02")
def test_file_appears_whole_under_its_name(boxes: Boxes) -> None:
    message = queue()
    assert services.dispatch("customs") == 1
    assert boxes.out_files() == {f"SGW101_{message.message_id}.xml": bytes(message.content)}
    assert list((boxes.home / "OutBox" / ".writing").iterdir()) == []
    sent = outbound(message)
    assert (sent.state, sent.attempts, sent.lease_token) == (OutboundState.SENT, 1, None)
    assert [attempt.outcome for attempt in Attempt.objects.all()] == [AttemptOutcome.SENT]


@pytest.mark.covers("RLY-01")
def test_no_receipt_means_the_same_bytes_again(boxes: Boxes, settings: Any) -> None:
    settings.RELAY_RECEIPT_TIMEOUT_SECONDS = 60
    message = queue()
    services.dispatch("customs")
    first = boxes.take_all()
    waits = []
    for _ in range(3):
        assert services.dispatch("customs") == 0, "not before its time"
        waits.append((outbound(message).due_at - timezone.now()).total_seconds())
        make_due(message)
        services.dispatch("customs")
        assert boxes.take_all() == first
    assert outbound(message).state == OutboundState.SENT, "an unknown outcome never becomes a failure"
    for wait, longest in zip(waits, (60, 120, 240), strict=True):
        assert 0.7 * longest < wait <= longest


def test_file_that_nobody_has_taken_is_not_written_again(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    path = boxes.home / "OutBox" / message.file_name
    before = path.stat().st_ino
    make_due(message)
    services.dispatch("customs")
    assert path.stat().st_ino == before
    assert list(Attempt.objects.order_by("pk").values_list("outcome", flat=True)) == [AttemptOutcome.SENT, AttemptOutcome.WAITING]


def test_file_that_a_power_cut_left_empty_is_written_again(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    (boxes.home / "OutBox" / message.file_name).write_bytes(b"")
    make_due(message)
    services.dispatch("customs")
    assert boxes.out_files() == {message.file_name: bytes(message.content)}


@pytest.mark.parametrize(
    ("attempts", "first", "low", "high"),
    [(0, 1.0, 0.75, 1.0), (3, 1.0, 6.0, 8.0), (9, 60.0, 675.0, 900.0), (100_000, 60.0, 675.0, 900.0)],
)
def test_backoff_doubles_up_to_its_cap_and_is_spread(attempts: int, first: float, low: float, high: float, settings: Any) -> None:
    settings.RELAY_BACKOFF_MAX_SECONDS = 900
    waits = [dispatching.backoff_seconds(attempts, first) for _ in range(200)]
    assert low <= min(waits) < max(waits) <= high


# -- order --------------------------------------------------------------------------------------


@pytest.mark.covers("RLY-01")
def test_only_the_oldest_of_a_subject_goes_out(boxes: Boxes) -> None:
    first, second = queue(1), queue(1, function="MOD", version=2)
    other = queue(2)
    services.dispatch("customs")
    assert set(boxes.take_all()) == {first.file_name, other.file_name}
    assert services.dispatch("customs") == 0
    deliver(boxes, first)
    boxes.take_all()
    services.dispatch("customs")
    assert set(boxes.out_files("SGW101")) == {second.file_name}


def test_refused_message_ends_and_lets_the_next_go(boxes: Boxes, application: Application) -> None:
    first, second = queue(1), queue(1, function="MOD", version=2)
    services.dispatch("customs")
    boxes.take_all()
    deliver(boxes, first, result="REJECTED", code="SCHEMA", note="no such element")
    services.dispatch("customs")
    assert outbound(first).state == OutboundState.REFUSED
    assert set(boxes.out_files("SGW101")) == {second.file_name}
    assert application.refused == [("smartgate.filing:1", "SCHEMA", "no such element")]


def test_without_a_subject_nothing_waits(boxes: Boxes) -> None:
    messages = [queue(1, subject=""), queue(1, subject="")]
    services.dispatch("customs")
    assert set(boxes.out_files()) == {message.file_name for message in messages}


# -- workers that die or are slow --------------------------------------------------------------


@pytest.mark.covers("RLY-01")
def test_worker_that_dies_after_claiming_loses_nothing(boxes: Boxes) -> None:
    message = queue()
    assert [claimed.id for claimed in dispatching.claim("customs", uuid4())] == [message.pk]
    assert services.dispatch("customs") == 0, "the lease holds"
    expire_leases()
    services.dispatch("customs")
    assert boxes.out_files() == {message.file_name: bytes(message.content)}


@pytest.mark.covers("RLY-01")
def test_worker_that_dies_after_writing_doubles_nothing(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    message = queue()
    with monkeypatch.context() as patch:
        patch.setattr(dispatching, "record", _die)
        with pytest.raises(SystemError):
            services.dispatch("customs")
    taken = boxes.take_all()
    assert outbound(message).state == OutboundState.QUEUED
    expire_leases()
    services.dispatch("customs")
    assert boxes.take_all() == taken, "the partner gets the same id and bytes, and drops them"
    assert outbound(message).state == OutboundState.SENT


def _die(*_: Any) -> None:
    raise SystemError("killed")


def test_receipt_that_overtakes_the_record_of_sending_is_kept(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    message = queue()
    send = DirectoryChannel.send

    def send_and_be_answered(self: DirectoryChannel, letters: Sequence[Letter]) -> list[SendResult]:
        results = send(self, letters)
        boxes.take_all()
        deliver(boxes, message)
        return results

    monkeypatch.setattr(DirectoryChannel, "send", send_and_be_answered)
    services.dispatch("customs")
    assert outbound(message).state == OutboundState.DELIVERED


def test_slow_worker_does_not_write_over_its_successor(boxes: Boxes) -> None:
    message = queue()
    late = uuid4()
    claimed = dispatching.claim("customs", late)
    expire_leases()
    services.dispatch("customs")
    before = outbound(message)
    dispatching.record(claimed, [SendResult(AttemptOutcome.ERROR, "too late")], late)
    after = outbound(message)
    assert (after.state, after.attempts, after.due_at) == (before.state, before.attempts, before.due_at)
    assert Attempt.objects.count() == 2, "what was tried is on record all the same"


# -- a disk that fails -------------------------------------------------------------------------


@pytest.mark.covers("RLY-01")
def test_error_of_the_disk_is_recorded_and_tried_again(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    message = queue()

    def no_space(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", no_space)
        assert services.dispatch("customs") == 1
    assert boxes.out_files() == {}
    assert list((boxes.home / "OutBox" / ".writing").iterdir()) == []
    attempt = Attempt.objects.get()
    assert attempt.outcome == AttemptOutcome.ERROR
    assert "No space left" in attempt.error
    waiting = outbound(message)
    assert waiting.state == OutboundState.QUEUED
    assert 0 < (waiting.due_at - timezone.now()).total_seconds() <= 1
    make_due(message)
    services.dispatch("customs")
    assert set(boxes.out_files()) == {message.file_name}


def test_first_copy_to_leave_waits_the_plain_time_however_often_the_disk_failed(settings: Any) -> None:
    settings.RELAY_RECEIPT_TIMEOUT_SECONDS = 60
    message = queue()
    OutboundMessage.objects.filter(pk=message.pk).update(attempts=12)
    services.dispatch("customs")
    assert (outbound(message).due_at - timezone.now()).total_seconds() <= 60


def test_leftovers_of_killed_workers_go(boxes: Boxes) -> None:
    channel = DirectoryChannel.for_partner("customs")
    old, fresh = channel.writing / "old.tmp", channel.writing / "fresh.tmp"
    for path in (old, fresh):
        path.write_bytes(b"half a mess")
    os.utime(old, (0, 0))
    services.collect_returned("customs")
    assert [path.name for path in channel.writing.iterdir()] == ["fresh.tmp"]


# -- FailBox -----------------------------------------------------------------------------------


def put_to_fail_box(boxes: Boxes, message: OutboundMessage) -> Path:
    path = boxes.home / "FailBox" / message.file_name
    (boxes.home / "OutBox" / message.file_name).rename(path)
    return path


@pytest.mark.covers("RLY-02")
def test_file_in_fail_box_ends_its_message(boxes: Boxes, application: Application) -> None:
    message = queue()
    services.dispatch("customs")
    put_to_fail_box(boxes, message)
    stranger = boxes.home / "FailBox" / "readme.txt"
    stranger.write_text("not ours")
    assert services.collect_returned("customs") == 1
    refused = outbound(message)
    assert (refused.state, refused.reason_code) == (OutboundState.REFUSED, "FAIL_BOX")
    assert [subject for subject, _, _ in application.refused] == ["smartgate.filing:1"]
    assert boxes.names("FailBox") == ["readme.txt"]
    assert boxes.names("FailBox/handled") == [message.file_name]
    assert services.dispatch("customs") == 0


def test_file_in_fail_box_changes_nothing_once_the_message_has_ended(boxes: Boxes, application: Application) -> None:
    message = queue()
    services.dispatch("customs")
    put_to_fail_box(boxes, message)
    deliver(boxes, message)
    services.collect_returned("customs")
    assert outbound(message).state == OutboundState.DELIVERED
    assert application.refused == []


def test_refusal_waits_for_an_application_that_fails(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    message = queue()
    services.dispatch("customs")
    put_to_fail_box(boxes, message)
    with monkeypatch.context() as patch:
        patch.setattr(dispatching, "reference", _die)
        assert services.collect_returned("customs") == 0
    assert outbound(message).state == OutboundState.SENT
    assert services.collect_returned("customs") == 1
    assert len(application.refused) == 1


def test_technical_receipts_end_when_they_are_sent(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    deliver(boxes, message)
    assert services.dispatch("customs") == 0, "a technical receipt is not answered"
    assert not OutboundMessage.objects.filter(finished_at__isnull=True).exists()
    assert InboundMessage.objects.get().answer is None
