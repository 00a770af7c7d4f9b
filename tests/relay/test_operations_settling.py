"""What the partner said by telephone: a message's end as an operator puts it down, and what its application makes of it."""

from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import pytest

from core.models import AuditEntry
from core.workflow import ActionRefused
from relay import registry, services
from relay.models import OutboundMessage, OutboundState
from relay.registry import OutboundRef
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, outbound, queue
from tests.relay.messages import receipt, technical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("RLY-04")]


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch, application: Application) -> list[tuple[str, bool, str]]:
    """What the application heard when a refused message was settled."""
    heard: list[tuple[str, bool, str]] = []

    def on_settled(ref: OutboundRef, at: datetime, delivered: bool, reason: str) -> None:
        if reason == "nein":
            raise ActionRefused("不行")
        heard.append((ref.subject, delivered, reason))

    monkeypatch.setattr(registry, "_outbound", {"SGW101": replace(registry._outbound["SGW101"], on_settled=on_settled)})
    return heard


def sent(number: int = 1) -> OutboundMessage:
    """A message that waits for its receipt."""
    message = queue(number)
    services.dispatch("customs")
    return message


def refused(boxes: Boxes) -> OutboundMessage:
    """A message that the exchange refused."""
    message = sent()
    boxes.take_all()
    boxes.put(technical(message.message_id, result="REJECTED", code="SCHEMA"))
    services.receive("customs")
    return message


def test_the_partner_has_what_waits(application: Application) -> None:
    message = sent()
    dry = typed("relay_settle", message.message_id, "--delivered", "--reason", "电话确认", "--json")
    assert (dry.status, dry.json["dry_run"], dry.json["state"]) == (0, True, "delivered")
    assert outbound(message).state == OutboundState.SENT
    assert not AuditEntry.unscoped.exists()
    application.delivered.clear()
    assert typed("relay_settle", message.message_id, "--delivered", "--reason", "电话确认", "--yes").status == 0
    assert outbound(message).state == OutboundState.DELIVERED
    assert application.delivered == [message.subject]
    entry = AuditEntry.unscoped.get()
    assert (entry.action, entry.reason, entry.before["state"], entry.after["state"]) == (
        "relay.message.settle",
        "电话确认",
        "sent",
        "delivered",
    )


def test_the_partner_will_never_take_what_waits(boxes: Boxes, application: Application) -> None:
    message = sent()
    assert typed("relay_settle", message.message_id, "--not-delivered", "--reason", "海关确认没有", "--yes").status == 0
    row = outbound(message)
    assert (row.state, row.reason_code, row.reason_text) == (OutboundState.REFUSED, "OPERATOR", "海关确认没有")
    assert application.refused == [(message.subject, "OPERATOR", "海关确认没有")]
    services.withdraw_refused("customs")
    assert boxes.out_files() == {}


def test_a_delivery_is_told_once_more_and_never_taken_back(boxes: Boxes, application: Application) -> None:
    message = sent()
    boxes.take_all()
    boxes.put(technical(message.message_id))
    services.receive("customs")
    assert typed("relay_settle", message.message_id, "--delivered", "--reason", "x", "--yes").status == 0
    assert application.delivered == [message.subject] * 2
    against = typed("relay_settle", message.message_id, "--not-delivered", "--reason", "x", "--yes", "--json")
    assert (against.status, against.json["error"]["code"]) == (1, "DELIVERED")


@pytest.mark.parametrize(("word", "delivered", "state"), [("--delivered", True, "delivered"), ("--not-delivered", False, "refused")])
def test_a_refusal_is_for_the_application_to_follow(
    boxes: Boxes, settled: list[tuple[str, bool, str]], word: str, delivered: bool, state: str
) -> None:
    message = refused(boxes)
    assert typed("relay_settle", message.message_id, word, "--reason", "海关答复", "--yes").status == 0
    assert settled == [(message.subject, delivered, "海关答复")]
    assert outbound(message).state == state


def test_the_application_may_say_no(boxes: Boxes, settled: list[tuple[str, bool, str]]) -> None:
    message = refused(boxes)
    answer = typed("relay_settle", message.message_id, "--delivered", "--reason", "nein", "--yes", "--json")
    assert (answer.status, answer.json["error"]) == (1, {"code": "FORBIDDEN", "text": "不行"})
    assert outbound(message).state == OutboundState.REFUSED
    assert not AuditEntry.unscoped.exists()


def test_without_a_hook_a_refusal_stands(boxes: Boxes) -> None:
    message = refused(boxes)
    answer = typed("relay_settle", message.message_id, "--delivered", "--reason", "x", "--yes", "--json")
    assert (answer.status, answer.json["error"]["code"]) == (1, "NOT_FOR_THIS_TYPE")


def test_our_receipts_are_nothing_to_settle(boxes: Boxes) -> None:
    boxes.put(receipt())
    services.receive("customs")
    message = OutboundMessage.objects.get(message_type="RCV001")
    answer = typed("relay_settle", message.message_id, "--delivered", "--reason", "x", "--yes", "--json")
    assert (answer.status, answer.json["error"]["code"]) == (1, "NO_RECEIPT_NEEDED")


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 2),
        (["x", "--delivered", "--reason", "x"], 2),
        ([str(uuid4()), "--reason", "x"], 2),
        ([str(uuid4()), "--delivered", "--not-delivered", "--reason", "x"], 2),
        ([str(uuid4()), "--delivered"], 2),
        ([str(uuid4()), "--delivered", "--reason", "x"], 1),
        ([str(uuid4()), "--delivered", "--reason", " "], 1),
    ],
)
def test_bad_input(words: list[str], status: int) -> None:
    assert typed("relay_settle", *words, "--yes").status == status
