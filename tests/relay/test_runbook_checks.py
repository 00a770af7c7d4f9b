"""docs/operations/relay.md, tried: each check of the relay finds what the page says, and what it says is to be done mends it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from relay import consistency, services
from relay.models import InboundMessage, OutboundMessage, OutboundState, Pause
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, inbound, outbound, queue
from tests.relay.messages import receipt, technical
from tests.relay.runbook import commands_in, findings, tries, type_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("OPS-04")]

LATE = timedelta(minutes=consistency.LATE_MINUTES + 1)
LONG = timedelta(hours=consistency.UNDECIDED_HOURS + 1)
PAGE = "looking-for-what-does-not-fit"


@tries(f"{PAGE}/relay.overdue")
def test_what_should_have_gone(boxes: Boxes) -> None:
    queue(1)
    queue(1, version=2)
    OutboundMessage.objects.update(due_at=timezone.now() - LATE)
    (found,) = findings("relay.overdue")
    assert "a worker takes the queue relay" in found["to_do"]
    typed("relay_pause", "--reason", "x")
    assert findings("relay.overdue") == [], "what is paused is not overdue"
    typed("relay_resume")
    services.dispatch("customs")
    assert findings("relay.overdue") == []


@tries(f"{PAGE}/relay.unread", f"{PAGE}/relay.unhandled")
@pytest.mark.parametrize(("check", "step"), [("relay.unread", "read"), ("relay.unhandled", "handle")])
def test_what_came_and_was_left(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch, check: str, step: str) -> None:
    """The worker that took it in ended there, and none came after it."""
    boxes.put(receipt())
    with monkeypatch.context() as patch:
        patch.setattr("relay.services.storing.handle", lambda partner: 0)
        patch.setattr(f"relay.services.storing.{step}", lambda partner: 0)
        services.receive("customs")
    InboundMessage.objects.update(due_at=timezone.now() - LATE)
    (found,) = findings(check)
    assert "a worker takes the queue relay" in found["to_do"]
    services.receive("customs")
    assert findings(check) == []
    assert application.events == ["STORED"]


@tries(f"{PAGE}/relay.no_receipt")
@pytest.mark.parametrize("answer", ["has it", "has it not", "never takes it"])
def test_no_receipt_came(boxes: Boxes, application: Application, answer: str) -> None:
    message = queue()
    services.dispatch("customs")
    first = boxes.take_all()
    OutboundMessage.objects.update(sent_at=timezone.now() - LONG)
    (found,) = findings("relay.no_receipt")
    has_it, has_it_not, never = commands_in(found["to_do"])
    if answer == "has it not":
        type_in(has_it_not)
        services.dispatch("customs")
        assert boxes.take_all() == first
        boxes.put(technical(message.message_id))
        services.receive("customs")
    else:
        type_in(has_it if answer == "has it" else never)
    assert findings("relay.no_receipt") == []
    expected = OutboundState.REFUSED if answer == "never takes it" else OutboundState.DELIVERED
    assert outbound(message).state == expected


@tries(f"{PAGE}/relay.undecided")
@pytest.mark.parametrize("wanted", [True, False])
def test_nobody_decided(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    boxes.put(receipt())
    with monkeypatch.context() as patch:
        patch.setattr("relay.registry._inbound", {})
        services.receive("customs")
    InboundMessage.objects.update(last_seen_at=timezone.now() - LONG)
    (found,) = findings("relay.undecided")
    show, retry, discard = commands_in(found["to_do"])
    assert "UNKNOWN_TYPE" in type_in(show).out
    type_in(retry if wanted else discard)
    services.receive("customs")
    assert findings("relay.undecided") == []
    assert application.events == (["STORED"] if wanted else [])
    assert inbound().state == ("handled" if wanted else "discarded")


@tries(f"{PAGE}/relay.long_pause")
@pytest.mark.parametrize("words", [["--partner", "customs"], ["--type", "SGW101"], []])
def test_a_pause_was_forgotten(words: list[str]) -> None:
    typed("relay_pause", *words, "--reason", "停机")
    Pause.objects.update(paused_at=timezone.now() - LONG)
    (found,) = findings("relay.long_pause")
    (resume,) = commands_in(found["to_do"])
    type_in(resume)
    assert findings("relay.long_pause") == []


@tries(f"{PAGE}/relay.unknown_partner")
@pytest.mark.parametrize("comes_back", [True, False])
def test_a_partner_is_no_longer_configured(settings: Any, boxes: Boxes, comes_back: bool) -> None:
    settings.RELAY_PARTNERS = {"ccpit": {"channel": "directory"}} | (plain := settings.RELAY_PARTNERS)
    message = queue(partner="ccpit")
    with_both, settings.RELAY_PARTNERS = settings.RELAY_PARTNERS, plain
    (found,) = findings("relay.unknown_partner")
    if comes_back:
        assert "RELAY_PARTNERS" in found["to_do"]
        settings.RELAY_PARTNERS = with_both
        services.dispatch("ccpit")
        assert outbound(message).state == OutboundState.SENT
    else:
        (settle,) = commands_in(found["to_do"])
        type_in(settle)
        assert outbound(message).state == OutboundState.REFUSED
    assert findings("relay.unknown_partner") == []
