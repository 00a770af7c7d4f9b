"""Stopping what goes out and letting it go again: commands, audit, races."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from core.models import AuditEntry
from relay import services
from relay.channels.base import Letter, SendResult
from relay.channels.directory import DirectoryChannel
from relay.management.operating import ShellOperator
from relay.models import OutboundMessage, OutboundState, Pause
from relay.services import dispatching, operations
from tests.races import at_once
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, make_due, outbound, queue
from tests.relay.messages import receipt, technical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("RLY-04")]

SOMEBODY = ShellOperator("os:tester")


def hold(partner: str = "", message_type: str = "") -> Pause:
    """A pause."""
    return operations.pause(partner=partner, message_type=message_type, reason="海关停机", operator=SOMEBODY)


@pytest.mark.parametrize(("partner", "message_type"), [("", ""), ("customs", ""), ("", "SGW101"), ("customs", "SGW101")])
def test_nothing_that_a_pause_covers_goes_out_until_it_ends(boxes: Boxes, partner: str, message_type: str) -> None:
    hold(partner, message_type)
    message = queue()
    assert services.dispatch("customs") == 0
    assert boxes.out_files() == {}
    assert outbound(message).state == OutboundState.QUEUED
    operations.resume(partner=partner, message_type=message_type, operator=SOMEBODY)
    assert services.dispatch("customs") == 1
    assert set(boxes.out_files()) == {message.file_name}


def test_what_waits_for_its_receipt_does_not_go_again_in_a_pause(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    hold("customs")
    make_due(message)
    assert services.dispatch("customs") == 0


def test_a_pause_holds_up_nobody_else_and_receipts_still_come_in(boxes: Boxes, settings: Any, application: Application) -> None:
    settings.RELAY_PARTNERS = {"customs": {"channel": "directory"}, "ccpit": {"channel": "directory"}}
    first = queue(1)
    services.dispatch("customs")
    boxes.take_all()
    hold("customs", "SGW101")
    held = queue(2)
    free = queue(3)
    OutboundMessage.objects.filter(pk=free.pk).update(partner="ccpit")
    boxes.put(technical(first.message_id))
    boxes.put(receipt(number=1, in_reply_to=first.message_id))
    services.receive("customs")
    assert outbound(first).state == OutboundState.DELIVERED
    assert application.events == ["delivered", "STORED"]
    assert services.dispatch("customs") == 1, "our technical receipt, which is of another type"
    assert [name[:6] for name in boxes.out_files()] == ["RCV001"]
    assert services.dispatch("ccpit") == 1
    assert outbound(held).attempts == 0


def test_a_pause_of_a_whole_partner_holds_back_receipts_too(boxes: Boxes) -> None:
    hold("customs")
    boxes.put(receipt())
    services.receive("customs")
    assert services.dispatch("customs") == 0


def test_one_end_does_not_end_another_pause(boxes: Boxes) -> None:
    hold("customs")
    hold("", "SGW101")
    queue()
    operations.resume(partner="customs", message_type="", operator=SOMEBODY)
    assert services.dispatch("customs") == 0
    operations.resume(partner="", message_type="SGW101", operator=SOMEBODY)
    assert services.dispatch("customs") == 1


def test_who_when_and_why_are_kept() -> None:
    begun = timezone.now()
    assert typed("relay_pause", "--partner", "customs", "--reason", " 海关停机 ", "--operator", "张三").status == 0
    assert typed("relay_resume", "--partner", "customs", "--reason", "已恢复").status == 0
    row = Pause.objects.get()
    assert (row.partner, row.message_type, row.reason, row.resume_reason) == ("customs", "", "海关停机", "已恢复")
    assert row.paused_by.startswith("张三 (os:")
    assert row.resumed_by.startswith("os:")
    assert row.resumed_at is not None
    assert begun <= row.paused_at <= row.resumed_at
    entries = AuditEntry.unscoped.filter(object_type="relay.pause").order_by("pk")
    assert [(entry.action, entry.actor_name, entry.reason) for entry in entries] == [
        ("relay.pause.begin", row.paused_by, "海关停机"),
        ("relay.pause.end", row.resumed_by, "已恢复"),
    ]


def test_commands_answer_in_json() -> None:
    paused = typed("relay_pause", "--type", "SGW101", "--reason", "x", "--json")
    assert (paused.status, paused.json["paused"]["message_type"]) == (0, "SGW101")
    typed("relay_pause", "--partner", "customs", "--reason", "y")
    status = typed("relay_status", "--json").json
    assert [(one["partner"], one["message_type"], one["reason"]) for one in status["pauses"]] == [("", "SGW101", "x"), ("customs", "", "y")]
    resumed = typed("relay_resume", "--type", "SGW101", "--json").json
    assert [one["message_type"] for one in resumed["resumed"]] == ["SGW101"]
    assert [one["partner"] for one in resumed["still_paused"]] == ["customs"]
    assert "still paused" not in typed("relay_resume", "--all").out
    assert not Pause.objects.filter(resumed_at__isnull=True).exists()
    assert typed("relay_resume", "--all").out == "nothing was paused\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["relay_pause", "--partner", "nobody", "--reason", "x"], "UNKNOWN_PARTNER"),
        (["relay_pause", "--type", "XXX999", "--reason", "x"], "UNKNOWN_TYPE"),
        (["relay_pause", "--reason", "  "], "REASON_MISSING"),
        (["relay_pause", "--reason", "长" * 501], "REASON_TOO_LONG"),
        (["relay_resume"], "NOT_PAUSED"),
        (["relay_resume", "--partner", "customs"], "NOT_PAUSED"),
    ],
)
def test_what_cannot_be_is_refused_with_status_1(words: list[str], code: str) -> None:
    plain, with_json = typed(*words), typed(*words, "--json")
    assert (plain.status, with_json.status) == (1, 1)
    assert code in plain.err
    assert with_json.json["error"]["code"] == code
    assert not Pause.objects.exists()
    assert not AuditEntry.unscoped.exists()


def test_what_is_not_understood_has_status_2() -> None:
    assert typed("relay_pause").status == 2
    assert typed("relay_resume", "--nonsense").status == 2


def test_pausing_twice_says_who_did_it_first() -> None:
    hold("customs")
    again = typed("relay_pause", "--partner", "customs", "--reason", "noch einmal")
    assert again.status == 1
    assert "ALREADY_PAUSED" in again.err
    assert "os:tester" in again.err
    assert "海关停机" in again.err
    assert Pause.objects.count() == 1


def test_status_shows_the_pause_in_each_row_that_it_covers() -> None:
    queue()
    hold("customs", "RCV001")
    rows = {row["message_type"]: row for row in typed("relay_status", "--json").json["traffic"]}
    assert rows["SGW101"]["paused"] == ""
    assert rows["RCV001"]["paused"] == "海关停机"
    text = typed("relay_status").out
    assert "paused: partner customs, type RCV001, since" in text


@pytest.mark.parametrize("rows", [2, 4])
def test_pausing_at_once_pauses_once(rows: int) -> None:
    results = at_once(*[lambda: hold("customs")] * rows)
    assert sorted(getattr(result, "code", "paused") for result in results) == ["ALREADY_PAUSED"] * (rows - 1) + ["paused"]
    assert AuditEntry.unscoped.filter(action="relay.pause.begin").count() == 1


def test_pause_during_a_send_lets_it_end_and_begins_nothing_new(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch is being written when the pause comes; it is recorded, and the second is never claimed."""
    monkeypatch.setattr(dispatching, "BATCH", 2)
    monkeypatch.setattr(dispatching.claim, "__defaults__", (2,))
    messages = [queue(number) for number in range(1, 5)]
    writing, paused = Event(), Event()
    send = DirectoryChannel.send

    def slow(self: DirectoryChannel, letters: list[Letter]) -> list[SendResult]:
        writing.set()
        assert paused.wait(20)
        return send(self, letters)

    monkeypatch.setattr(DirectoryChannel, "send", slow)

    def worker() -> int:
        try:
            return services.dispatch("customs")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(worker)
        assert writing.wait(20)
        hold("customs")
        paused.set()
        assert sending.result() == 2
    assert [outbound(message).state for message in messages] == [OutboundState.SENT] * 2 + [OutboundState.QUEUED] * 2
    assert set(boxes.out_files()) == {message.file_name for message in messages[:2]}


def test_a_claim_that_ran_out_in_a_pause_is_not_taken_over(boxes: Boxes) -> None:
    message = queue()
    dispatching.claim("customs", uuid4())
    OutboundMessage.objects.filter(pk=message.pk).update(leased_until=timezone.now() - timedelta(seconds=1))
    hold()
    assert services.dispatch("customs") == 0
