"""The same id and the same bytes once more: one message, a set of them, dry run, who may not, races."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from core.models import AuditEntry
from core.workflow import ActionRefused
from relay import registry, services
from relay.management.operating import ShellOperator
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.registry import OutboundRef
from relay.services import dispatching, operations
from relay.services.operations import ResendOutcome
from tests.races import at_once
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, inbound, make_due, outbound, queue
from tests.relay.messages import receipt, technical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("RLY-04")]

SOMEBODY = ShellOperator("os:tester")


def delivered(boxes: Boxes, number: int = 1) -> tuple[OutboundMessage, bytes]:
    """A message that arrived, and the receipt that said so."""
    message = queue(number)
    services.dispatch("customs")
    boxes.take_all()
    stored = technical(message.message_id)
    boxes.put(stored)
    services.receive("customs")
    assert outbound(message).state == OutboundState.DELIVERED
    return message, stored


def refused(boxes: Boxes, number: int = 1) -> OutboundMessage:
    """A message that the partner did not take."""
    message = queue(number)
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(message.message_id, result="REJECTED", code="SCHEMA"))
    services.receive("customs")
    assert outbound(message).state == OutboundState.REFUSED
    return message


def allow(monkeypatch: pytest.MonkeyPatch, application: Application, problem: Exception | None = None) -> list[OutboundRef]:
    """Let the application have a say; what it was asked."""
    asked: list[OutboundRef] = []

    def on_requeued(ref: OutboundRef, at: datetime) -> None:
        asked.append(ref)
        if problem is not None:
            raise problem

    hooks = replace(registry._outbound["SGW101"], on_requeued=on_requeued)
    monkeypatch.setattr(registry, "_outbound", {"SGW101": hooks})
    return asked


def test_a_delivered_message_goes_again_with_the_same_bytes_and_its_old_receipt_counts(boxes: Boxes, application: Application) -> None:
    message, stored = delivered(boxes)
    result = operations.resend(message_id=message.message_id, operator=SOMEBODY)
    assert result.outcome == ResendOutcome.QUEUED
    services.dispatch("customs")
    assert boxes.take_all() == {message.file_name: bytes(message.content)}
    assert outbound(message).state == OutboundState.SENT
    boxes.put(stored)
    services.receive("customs")
    row = outbound(message)
    assert (row.state, row.attempts) == (OutboundState.DELIVERED, 2)
    assert application.delivered == [message.subject] * 2
    assert inbound(message_type="RCV001").repeats == 1


def test_an_old_answer_counts_as_the_receipt_too(boxes: Boxes, application: Application) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    answer = receipt(in_reply_to=message.message_id)
    boxes.put(answer)
    services.receive("customs")
    operations.resend(message_id=message.message_id, operator=SOMEBODY)
    services.dispatch("customs")
    boxes.put(answer)
    services.receive("customs")
    assert outbound(message).state == OutboundState.DELIVERED
    assert inbound(message_type="SGW102").state == InboundState.HANDLED


def test_a_repeat_without_resending_is_not_handled_again(boxes: Boxes, application: Application) -> None:
    message, stored = delivered(boxes)
    boxes.put(stored)
    services.receive("customs")
    assert application.delivered == [message.subject]


def test_what_waits_for_its_receipt_goes_at_once(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    assert services.dispatch("customs") == 0
    operations.resend(message_id=message.message_id, operator=SOMEBODY)
    assert services.dispatch("customs") == 1
    assert set(boxes.out_files()) == {message.file_name}


def test_what_waits_for_its_receipt_is_still_a_repeat_and_a_refusal_ends_it(boxes: Boxes, application: Application) -> None:
    """Nothing has been said of it yet: what is said before the copy goes is about the one that it repeats, and is news."""
    message = queue()
    services.dispatch("customs")
    again(message)
    (claimed,) = dispatching.claim("customs", uuid4())
    assert claimed.is_repeat
    boxes.put(technical(message.message_id, result="REJECTED", code="SCHEMA"))
    services.receive("customs")
    assert outbound(message).state == OutboundState.REFUSED


def test_what_failed_on_our_side_goes_at_once() -> None:
    message = queue()
    OutboundMessage.objects.filter(pk=message.pk).update(due_at=timezone.now() + timedelta(hours=1), attempts=5)
    assert operations.resend(message_id=message.message_id, operator=SOMEBODY).outcome == ResendOutcome.QUEUED
    assert services.dispatch("customs") == 1


def test_a_refused_message_goes_again_only_when_its_application_agrees(
    boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = refused(boxes)
    assert operations.resend(message_id=message.message_id, operator=SOMEBODY).outcome == ResendOutcome.FORBIDDEN, "it has no say"
    allow(monkeypatch, application, ActionRefused("已重新申报"))
    result = operations.resend(message_id=message.message_id, operator=SOMEBODY)
    assert (result.outcome, result.text) == (ResendOutcome.FORBIDDEN, "已重新申报")
    assert outbound(message).state == OutboundState.REFUSED
    assert not AuditEntry.unscoped.filter(action="relay.message.resend").exists()
    asked = allow(monkeypatch, application)
    assert operations.resend(message_id=message.message_id, operator=SOMEBODY).outcome == ResendOutcome.QUEUED
    assert [ref.message_id for ref in asked] == [message.message_id]
    row = outbound(message)
    assert (row.state, row.reason_code, row.reason_text, row.finished_at) == (OutboundState.QUEUED, "", "", None)


def test_our_own_receipt_goes_again(boxes: Boxes) -> None:
    boxes.put(receipt())
    services.receive("customs")
    services.dispatch("customs")
    first = boxes.take_all()
    message = OutboundMessage.objects.get(message_type="RCV001")
    operations.resend(message_id=message.message_id, operator=SOMEBODY)
    services.dispatch("customs")
    assert boxes.take_all() == first
    assert outbound(message).finished_at is not None


def test_it_keeps_its_place_in_the_order_of_its_record(boxes: Boxes) -> None:
    older, _ = delivered(boxes)
    younger = queue(1, version=2)
    operations.resend(message_id=older.message_id, operator=SOMEBODY)
    services.dispatch("customs")
    assert set(boxes.take_all()) == {older.file_name}
    assert outbound(younger).state == OutboundState.QUEUED


def test_what_is_being_sent_is_left_alone() -> None:
    message = queue()
    dispatching.claim("customs", uuid4())
    assert operations.resend(message_id=message.message_id, operator=SOMEBODY).outcome == ResendOutcome.SENDING


def test_what_is_queued_already_is_not_audited_again() -> None:
    message = queue()
    assert operations.resend(message_id=message.message_id, operator=SOMEBODY).outcome == ResendOutcome.ALREADY
    assert not AuditEntry.unscoped.exists()


def test_dry_run_says_what_would_be_and_changes_nothing(
    boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch, wakes: list[str]
) -> None:
    asked = allow(monkeypatch, application)
    good, bad = delivered(boxes)[0], refused(boxes, 2)
    before = list(OutboundMessage.objects.order_by("pk").values())
    wakes.clear()
    dry = typed("relay_resend", "--partner", "customs", "--type", "SGW101", "--state", "delivered", "--json")
    assert (dry.status, dry.json["dry_run"], dry.json["counts"]["queued"]) == (0, True, 1)
    assert [row["message_id"] for row in dry.json["messages"]] == [str(good.message_id)]
    assert typed("relay_resend", bad.message_id, "--json").json["messages"][0]["outcome"] == "queued"
    assert len(asked) == 1, "asked, and what the application did then is taken back"
    assert list(OutboundMessage.objects.order_by("pk").values()) == before
    assert not AuditEntry.unscoped.exists()
    assert wakes == []
    assert services.dispatch("customs") == 0


def test_a_filtered_set_goes_again(boxes: Boxes) -> None:
    messages = [delivered(boxes, number)[0] for number in (1, 2, 3)]
    middle = outbound(messages[1])
    OutboundMessage.objects.filter(pk=messages[0].pk).update(created_at=middle.created_at - timedelta(hours=2))
    since = timezone.localtime(middle.created_at - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    done = typed("relay_resend", "--since", since, "--state", "delivered", "--yes", "--reason", "海关丢失", "--operator", "李四", "--json")
    assert (done.status, done.json["counts"]["queued"]) == (0, 2)
    services.dispatch("customs")
    assert set(boxes.take_all()) == {message.file_name for message in messages[1:]}
    entries = AuditEntry.unscoped.filter(action="relay.message.resend")
    assert {(entry.actor_name[:2], entry.reason) for entry in entries} == {("李四", "海关丢失")}
    assert {entry.object_id for entry in entries} == {str(message.pk) for message in messages[1:]}


def test_without_a_state_only_what_has_not_ended_is_meant(boxes: Boxes) -> None:
    delivered(boxes)
    waiting = queue(2)
    rows = typed("relay_resend", "--partner", "customs", "--type", "SGW101", "--json").json["messages"]
    assert [row["message_id"] for row in rows] == [str(waiting.message_id)]


def test_sent_is_what_waits_for_a_receipt_and_since_a_time_all_that_went(boxes: Boxes) -> None:
    """Our technical receipts end as `sent`; nobody means those of three years."""
    boxes.put(receipt())
    services.receive("customs")
    waiting = queue()
    services.dispatch("customs")
    boxes.take_all()
    ours = OutboundMessage.objects.get(message_type="RCV001")
    assert (ours.state, ours.finished_at is None) == (OutboundState.SENT, False)

    def chosen(*words: object) -> set[str]:
        rows = typed("relay_resend", "--partner", "customs", "--state", "sent", "--json", *words).json["messages"]
        return {row["message_id"] for row in rows}

    assert chosen() == chosen("--until", "2199-01-01") == {str(waiting.message_id)}
    assert chosen("--since", "2020-01-01") == {str(waiting.message_id), str(ours.message_id)}


def test_by_subject(boxes: Boxes) -> None:
    queue(1)
    other = queue(2)
    rows = typed("relay_resend", "--subject", other.subject, "--json").json["messages"]
    assert [row["message_id"] for row in rows] == [str(other.message_id)]


def test_more_than_one_portion(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.services.operations.resending.PORTION", 2)
    for number in range(1, 6):
        delivered(boxes, number)
    assert typed("relay_resend", "--state", "delivered", "--type", "SGW101", "--yes", "--json").json["counts"]["queued"] == 5


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 1),
        ([str(uuid4())], 1),
        (["no-uuid"], 2),
        (["--state", "wrong"], 2),
        (["--since", "yesterday"], 2),
        (["--since", "2026-13-45"], 2),
        ([str(uuid4()), "--partner", "customs"], 2),
    ],
)
def test_bad_input(words: list[str], status: int) -> None:
    assert typed("relay_resend", *words, "--yes").status == status


def test_for_people(boxes: Boxes) -> None:
    message, _ = delivered(boxes)
    text = typed("relay_resend", message.message_id).out
    assert str(message.message_id) in text
    assert "dry run: nothing was changed" in text
    assert typed("relay_resend", "--partner", "nobody").out.strip().endswith("no message fits")


def test_two_resends_at_once_send_once(boxes: Boxes) -> None:
    message, _ = delivered(boxes)
    results = at_once(*[lambda: operations.resend(message_id=message.message_id, operator=SOMEBODY).outcome] * 4)
    assert sorted(results) == [ResendOutcome.ALREADY] * 3 + [ResendOutcome.QUEUED]
    assert AuditEntry.unscoped.filter(action="relay.message.resend").count() == 1
    services.dispatch("customs")
    assert outbound(message).attempts == 2


def test_a_receipt_and_a_resend_at_once_end_in_order(boxes: Boxes) -> None:
    """Whichever is first: the message ends delivered, or goes once more; it is never both finished and queued."""
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    stored = technical(message.message_id)
    boxes.put(stored)
    at_once(lambda: services.receive("customs"), lambda: operations.resend(message_id=message.message_id, operator=SOMEBODY))
    services.dispatch("customs")
    if boxes.take_all():
        boxes.put(stored)
    services.receive("customs")
    assert outbound(message).state == OutboundState.DELIVERED
    assert InboundMessage.objects.exclude(state=InboundState.HANDLED).count() == 0


# -- what counts for a message that goes again (docs/adr/0095) ----------------------------------------


def again(message: OutboundMessage) -> None:
    """An operator has it sent once more."""
    assert operations.resend(message_id=message.message_id, operator=SOMEBODY).outcome == ResendOutcome.QUEUED


def test_a_partner_that_says_nothing_to_a_repeat_holds_up_its_record_once_and_no_longer(
    boxes: Boxes, application: Application, settings: Any
) -> None:
    settings.RELAY_RECEIPT_TIMEOUT_SECONDS = 60
    older, _ = delivered(boxes)
    OutboundMessage.objects.filter(pk=older.pk).update(attempts=9)
    again(older)
    younger = queue(1, version=2)
    services.dispatch("customs")
    assert set(boxes.take_all()) == {older.file_name}
    assert 0 < (outbound(older).due_at - timezone.now()).total_seconds() <= 60, "however often it went before"
    assert services.dispatch("customs") == 0, "the partner has its time to answer"
    make_due(older)
    services.dispatch("customs")
    assert outbound(older).state == OutboundState.DELIVERED
    assert set(boxes.take_all()) == {younger.file_name}
    assert application.delivered == [older.subject], "nothing new was heard"
    assert services.dispatch("customs") == 0, "it does not go for ever"


def test_what_was_never_delivered_goes_for_as_long_as_it_takes(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    again(message)
    for _ in range(3):
        make_due(message)
        services.dispatch("customs")
        assert set(boxes.take_all()) == {message.file_name}
    assert outbound(message).state == OutboundState.SENT


def test_what_was_delivered_goes_again_each_time_it_is_asked_for(boxes: Boxes) -> None:
    message, _ = delivered(boxes)
    for _ in range(2):
        again(message)
        services.dispatch("customs")
        assert set(boxes.take_all()) == {message.file_name}


def test_an_old_receipt_does_not_stand_for_a_copy_that_has_not_gone(boxes: Boxes, application: Application) -> None:
    message, stored = delivered(boxes)
    again(message)
    boxes.put(stored)
    boxes.put(receipt(event="STORED", in_reply_to=message.message_id))
    services.receive("customs")
    assert outbound(message).state == OutboundState.QUEUED
    assert application.events == ["delivered", "STORED"], "customs' answer is handed on all the same"
    services.dispatch("customs")
    assert message.file_name in boxes.take_all()
    boxes.put(stored)
    services.receive("customs")
    assert outbound(message).state == OutboundState.DELIVERED


@pytest.mark.parametrize("late", ["repeat", "new", "fail box"])
def test_a_late_refusal_of_an_earlier_copy_does_not_end_what_is_about_to_go(
    boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    said = technical(message.message_id, result="REJECTED", code="SCHEMA")
    boxes.put(said)
    services.receive("customs")
    allow(monkeypatch, application)
    again(message)
    if late == "fail box":
        (boxes.home / "FailBox" / message.file_name).write_bytes(bytes(message.content))
        assert services.collect_returned("customs") == 1
    else:
        boxes.put(said if late == "repeat" else technical(message.message_id, result="REJECTED", code="SCHEMA"))
        services.receive("customs")
    assert outbound(message).state == OutboundState.QUEUED
    assert len(application.refused) == 1
    services.dispatch("customs")
    assert message.file_name in boxes.take_all()
    boxes.put(said)
    services.receive("customs")
    assert outbound(message).state == OutboundState.REFUSED, "the same bytes, the same answer: it counts for the copy that went"
    assert len(application.refused) == 2


def test_a_refusal_that_comes_before_sending_was_recorded_counts(boxes: Boxes, application: Application) -> None:
    """The worker died between writing and recording: the message is queued by its row, and the partner has had it."""
    message = queue()
    boxes.put(technical(message.message_id, result="REJECTED", code="SCHEMA"))
    services.receive("customs")
    assert outbound(message).state == OutboundState.REFUSED


def test_an_answer_proves_that_a_refused_message_arrived_and_it_need_not_go_again(
    boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = refused(boxes)
    allow(monkeypatch, application)
    again(message)
    boxes.put(technical(message.message_id))
    services.receive("customs")
    assert outbound(message).state == OutboundState.DELIVERED
    assert services.dispatch("customs") == 0
