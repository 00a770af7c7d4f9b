"""Handing messages to the application, and what a reply says about the message it answers."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog
from django.db import connection
from django.utils import timezone
from structlog.testing import capture_logs

from relay import registry, services
from relay.models import InboundMessage, InboundState, Lane, OutboundMessage, OutboundState
from relay.registry import Incoming, MessageRefused
from relay.services import handling
from tests.races import at_once
from tests.relay.conftest import Application, Boxes, inbound, make_due, outbound, queue
from tests.relay.messages import receipt, technical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application")]


def sent(boxes: Boxes, number: int = 1, **options: Any) -> OutboundMessage:
    """A filing that the partner has taken."""
    message = queue(number, **options)
    services.dispatch("customs")
    boxes.take_all()
    return message


def come_in(boxes: Boxes, *contents: bytes) -> None:
    """These files come in, one after another."""
    for content in contents:
        boxes.put(content)
        services.receive("customs")


def use(monkeypatch: pytest.MonkeyPatch, handler: Callable[[Incoming], str | None]) -> None:
    monkeypatch.setattr(registry, "_inbound", {"SGW102": registry.InboundRoute(handler, "customs")})


# -- delivery -------------------------------------------------------------------------------------


@pytest.mark.covers("RLY-01")
def test_technical_receipt_delivers(boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    come_in(boxes, technical(message.message_id))
    delivered = outbound(message)
    assert (delivered.state, delivered.finished_at is not None) == (OutboundState.DELIVERED, True)
    assert application.delivered == ["smartgate.filing:1"]
    make_due(message)
    services.dispatch("customs")
    assert boxes.out_files("SGW101") == {}


@pytest.mark.covers("RLY-01")
def test_reply_proves_delivery_before_it_is_handled(boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    come_in(boxes, receipt(in_reply_to=message.message_id))
    assert application.events == ["delivered", "STORED"]
    assert outbound(message).state == OutboundState.DELIVERED
    (incoming,) = application.received
    assert incoming.original is not None
    assert (incoming.original.message_id, incoming.original.subject) == (message.message_id, "smartgate.filing:1")
    come_in(boxes, technical(message.message_id))
    assert application.delivered == ["smartgate.filing:1"], "the late technical receipt changes nothing"


def test_rejection_after_delivery_changes_nothing(boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    come_in(boxes, technical(message.message_id), technical(message.message_id, result="REJECTED", code="X"))
    assert outbound(message).state == OutboundState.DELIVERED
    assert application.refused == []


def test_rejection_that_can_only_name_the_file_finds_its_message(boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    come_in(boxes, technical(None, file_name=message.file_name, result="REJECTED", code="NOT_XML"))
    assert outbound(message).state == OutboundState.REFUSED
    assert application.refused == [("smartgate.filing:1", "NOT_XML", "")]


def test_receipt_for_nothing_of_ours_is_noted(boxes: Boxes) -> None:
    come_in(boxes, technical(uuid4()), technical(None, file_name="stranger.xml"))
    assert set(InboundMessage.objects.values_list("state", "outcome")) == {(InboundState.HANDLED, "names no message of ours")}


def test_one_partner_cannot_speak_for_another(boxes: Boxes, application: Application, settings: Any) -> None:
    settings.RELAY_PARTNERS = {"customs": {"channel": "directory"}, "ccpit": {"channel": "directory"}}
    message = sent(boxes)
    theirs = Boxes(boxes.home.parent / "ccpit")
    theirs.put(technical(message.message_id).replace(b">customs<", b">ccpit<"))
    services.receive("ccpit")
    assert outbound(message).state == OutboundState.SENT
    assert inbound(partner="ccpit").outcome == "names no message of ours"


# -- handlers that fail -----------------------------------------------------------------------------


@pytest.mark.covers("RLY-03")
def test_handler_that_fails_is_tried_again_and_holds_up_nobody(
    boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(message: Incoming) -> str:
        if message.business.findtext("{*}Event") == "CLOSED":
            raise RuntimeError("a bug")
        return application.handle(message)

    use(monkeypatch, handler)
    for event in ("STORED", "CLOSED", "LOCKED"):
        boxes.put(receipt(event=event))
    services.receive("customs")
    assert set(application.events) == {"LOCKED", "STORED"}
    assert InboundMessage.objects.filter(state=InboundState.HANDLED).count() == 2
    waiting = inbound(state=InboundState.READY)
    assert (waiting.attempts, waiting.reason_code) == (1, "RETRY")
    assert "a bug" in waiting.reason_text
    assert waiting.due_at > timezone.now()
    use(monkeypatch, application.handle)
    make_due(waiting)
    services.receive("customs")
    assert "CLOSED" in application.events
    assert inbound(pk=waiting.pk).state == InboundState.HANDLED


@pytest.mark.covers("RLY-03")
def test_handler_that_always_fails_ends_in_quarantine(boxes: Boxes, application: Application, settings: Any) -> None:
    settings.RELAY_HANDLER_ATTEMPTS = 3
    application.problem = RuntimeError("a bug")
    come_in(boxes, receipt())
    for _ in range(2):
        make_due(inbound())
        services.receive("customs")
    row = inbound()
    assert (row.state, row.reason_code, row.attempts) == (InboundState.QUARANTINED, "HANDLER_FAILED", 3)
    application.problem = None
    services.retry_quarantined(row.pk, actor=None)
    services.receive("customs")
    assert application.events == ["STORED"]


@pytest.mark.covers("RLY-03")
def test_application_may_refuse_a_message(boxes: Boxes, application: Application) -> None:
    application.problem = MessageRefused("UNKNOWN_FILING", "no filing has this number")
    come_in(boxes, receipt())
    row = inbound()
    assert (row.state, row.reason_code, row.reason_text) == (InboundState.QUARANTINED, "UNKNOWN_FILING", "no filing has this number")


@pytest.mark.covers("RLY-01")
def test_what_a_failed_handler_wrote_is_gone_and_its_neighbours_stays(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(message: Incoming) -> None:
        event = message.business.findtext("{*}Event") or ""
        Lane.objects.create(name=f"written by {event}")
        if event == "CLOSED":
            raise MessageRefused("NO", "after writing")

    use(monkeypatch, handler)
    for event in ("STORED", "CLOSED", "LOCKED"):
        boxes.put(receipt(event=event))
    services.receive("customs")
    written = set(Lane.objects.filter(name__startswith="written").values_list("name", flat=True))
    assert written == {"written by STORED", "written by LOCKED"}


def test_delivery_and_the_applications_change_are_one(boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    application.problem = RuntimeError("a bug")
    come_in(boxes, receipt(in_reply_to=message.message_id))
    assert outbound(message).state == OutboundState.SENT, "the hook ran in the transaction that failed"
    application.problem = None
    make_due(inbound(state=InboundState.READY))
    services.receive("customs")
    assert outbound(message).state == OutboundState.DELIVERED


def test_worker_that_dies_each_time_is_found_out(
    boxes: Boxes, application: Application, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RELAY_HANDLER_ATTEMPTS = 2

    class Killed(BaseException):
        """Nothing catches it, as nothing catches SIGKILL."""

    def kill(_message: Incoming) -> str:
        raise Killed

    use(monkeypatch, kill)
    boxes.put(receipt())
    for _ in range(2):
        with pytest.raises(Killed):
            services.receive("customs")
        InboundMessage.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    services.receive("customs")
    row = inbound()
    assert (row.state, row.reason_code) == (InboundState.QUARANTINED, "HANDLER_FAILED")
    assert "died" in row.reason_text


# -- order and leases -------------------------------------------------------------------------------


@pytest.mark.covers("RLY-01")
def test_order_is_kept_per_subject_and_never_across(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = sent(boxes, 1), sent(boxes, 2)
    broken = True

    def handler(message: Incoming) -> str:
        if broken and message.original and message.original.subject == "smartgate.filing:1":
            raise RuntimeError("not yet")
        return application.handle(message)

    use(monkeypatch, handler)
    come_in(
        boxes,
        receipt(event="STORED", number=1, in_reply_to=first.message_id),
        receipt(event="CLOSED", number=1, in_reply_to=first.message_id),
        receipt(event="LOCKED", number=2, in_reply_to=second.message_id),
    )
    assert [message.business.findtext("{*}Event") for message in application.received] == ["LOCKED"]
    broken = False
    InboundMessage.objects.filter(state=InboundState.READY).update(due_at=timezone.now())
    services.receive("customs")
    assert [message.business.findtext("{*}Event") for message in application.received] == ["LOCKED", "STORED", "CLOSED"]


@pytest.mark.covers("RLY-01")
def test_worker_that_was_overtaken_keeps_nothing(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes.put(receipt())

    def slow(message: Incoming) -> str:
        # While this one is at work its lease runs out and another worker takes the message, in a connection of its own.
        Lane.objects.create(name=f"slow work {uuid4()}")

        def take_over() -> None:
            InboundMessage.objects.filter(pk=message.inbound_id).update(lease_token=uuid4())
            connection.close()

        thread = threading.Thread(target=take_over)
        thread.start()
        thread.join(timeout=20)
        return "slow"

    use(monkeypatch, slow)
    services.receive("customs")
    assert not Lane.objects.filter(name__startswith="slow").exists()
    assert inbound().state == InboundState.READY


@pytest.mark.covers("RLY-01")
def test_two_workers_handle_each_message_once(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handling.claim, "__defaults__", (5,))
    for number in range(1, 31):
        boxes.put(receipt(number=number))
    monkeypatch.setattr("relay.services.storing.handle", lambda _partner: 0)
    services.receive("customs")
    assert InboundMessage.objects.filter(state=InboundState.READY).count() == 30

    at_once(*[lambda: services.handle("customs")] * 2)
    assert InboundMessage.objects.filter(state=InboundState.HANDLED).count() == 30
    handled = [message.inbound_id for message in application.received]
    assert len(handled) == len(set(handled)) == 30


# -- one id to grep -----------------------------------------------------------------------------------


@pytest.mark.covers("OPS-03")
def test_logs_carry_the_id_of_the_request_that_declared(boxes: Boxes) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req-77"):
        message = queue()
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        services.dispatch("customs")
        boxes.take_all()
        come_in(boxes, receipt(in_reply_to=message.message_id))
    lines = {entry["event"]: entry for entry in logs if entry.get("subject") == "smartgate.filing:1"}
    assert {entry["request_id"] for entry in lines.values()} == {"req-77"}
    assert set(lines) == {"relay_attempt", "relay_handled"}
    assert lines["relay_attempt"]["message_id"] == str(message.message_id)
