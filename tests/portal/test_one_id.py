"""One id from the click to customs' answer: in the browser, the logs, the audit trail, the messages both ways (OPS-03)."""

import re
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import structlog
from django.core.management import call_command
from django.test import Client
from structlog.testing import capture_logs

from core.models import AuditEntry
from notifications.models import Delivery
from notifications.services import queue_email, send_due
from relay import services
from relay.channels import open_channel
from relay.models import InboundMessage, OutboundMessage
from smartgate.models import Filing
from tests.relay.messages import read_fields
from tests.smartgate.pages import NEW, entry_post
from tests.smartgate.wire import receive_receipt, receive_technical_receipt, sent_files

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.covers("OPS-03")]


@pytest.fixture(autouse=True)
def _exchange(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EXCHANGE_ROOT = tmp_path / "exchange"
    settings.CARD_REQUIRED = False
    monkeypatch.setattr("relay.tasks.dispatch.apply_async", lambda **_: None)
    call_command("seed_reference", verbosity=0)


def captured() -> Any:
    """What goes into the log, with what every line of a request or a message carries."""
    return capture_logs(processors=[structlog.contextvars.merge_contextvars])


def declare(client: Client, **extra: Any) -> str:
    """A filing declared in the browser; the id that its answer names."""
    answer = client.post(NEW, entry_post("declare_confirmed"), **extra)
    assert answer.status_code == 302
    return str(answer["X-Request-ID"])


def ids(logs: list[Any], *events: str) -> dict[str, set[str]]:
    """Event → the ids of its lines; the events must be there."""
    found = {event: {entry.get("request_id", "") for entry in logs if entry["event"] == event} for event in events}
    assert all(found.values()), found
    return found


def same(logs: list[Any], *events: str) -> set[str]:
    """The ids of all lines of these events, each of which must be there."""
    return set().union(*ids(logs, *events).values())


def test_from_the_click_to_the_answer(operator_client: Client) -> None:
    with captured() as logs:
        request_id = declare(operator_client)
        services.dispatch("customs")
        filing, message = Filing.unscoped.get(), OutboundMessage.objects.get(message_type="SGW101")
        (sent,) = sent_files()
        content = sent.read_bytes()
        sent.unlink()
        receive_technical_receipt(message.message_id)
        receive_receipt(filing, "STORED", in_reply_to=message.message_id)
        services.dispatch("customs")
    UUID(request_id)
    assert same(logs, "request_started", "filing_declared", "request_finished", "relay_attempt", "relay_handled") == {request_id}
    handled = [entry for entry in logs if entry["event"] == "relay_handled"]
    assert [entry["message_type"] for entry in handled] == ["RCV001", "SGW102"]
    assert read_fields(content, "correlation_id") == [request_id]
    # Our receipt for their answer, too.
    assert set(OutboundMessage.objects.values_list("message_type", "request_id")) == {("SGW101", request_id), ("RCV001", request_id)}
    assert set(InboundMessage.objects.values_list("request_id", flat=True)) == {request_id}
    actions = AuditEntry.unscoped.filter(object_type="smartgate.filing").exclude(request_id=request_id)
    assert not actions.exists()
    assert AuditEntry.unscoped.filter(request_id=request_id).count() >= 2, "the click's entry, and that of customs' answer"


@pytest.mark.parametrize("way", ["RCV001", "FailBox"])
def test_from_the_click_to_the_refusal(operator_client: Client, way: str) -> None:
    with captured() as logs:
        request_id = declare(operator_client)
        services.dispatch("customs")
        message = OutboundMessage.objects.get()
        if way == "RCV001":
            receive_technical_receipt(message.message_id, "REJECTED", "no")
        else:
            (sent,) = sent_files()
            box = sent.parent.parent / "FailBox"
            box.mkdir(exist_ok=True)
            sent.rename(box / sent.name)
            assert open_channel("customs").returned()
            # As in a worker, whose task has an id of its own.
            with structlog.contextvars.bound_contextvars(request_id="of-the-sweep"):
                services.collect_returned("customs")
    assert ids(logs, "relay_refused") == {"relay_refused": {request_id}}
    refused = AuditEntry.unscoped.filter(object_type="smartgate.filing").latest("pk")
    assert refused.actor_id is None, "the exchange's doing"
    assert refused.request_id == request_id


def test_a_failing_handler_and_the_quarantine(operator_client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RELAY_HANDLER_ATTEMPTS = 1
    with captured() as logs:
        request_id = declare(operator_client)
        services.dispatch("customs")
        message = OutboundMessage.objects.get()
        monkeypatch.setattr("relay.services.handling._business_message", lambda *_: 1 / 0)
        receive_receipt(Filing.unscoped.get(), "STORED", in_reply_to=message.message_id)
    assert same(logs, "relay_handler_failed", "relay_quarantined") == {request_id}


def test_what_is_mailed_on_account_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifications.tasks.send.apply_async", lambda **_: None)
    with structlog.contextvars.bound_contextvars(request_id="click-4711"):
        queue_email(address="a@example.com", subject="x", text="y")
        queue_email(address="b@example.com", subject="x\ny", text="no mail has such a subject")
    with captured() as logs:
        send_due()
    assert same(logs, "delivery_sent", "delivery_failed") == {"click-4711"}
    assert set(Delivery.objects.values_list("request_id", flat=True)) == {"click-4711"}


# -- what the browser is told -------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["chosen-by-somebody", "<x>& 海关", "a" * 10_000])
def test_nobody_chooses_the_id_from_outside(client: Client, given: str) -> None:
    with captured() as logs:
        answer = client.get("/accounts/login/", headers={"X-Request-ID": given})
    UUID(answer["X-Request-ID"])
    assert same(logs, "request_started", "request_finished") == {answer["X-Request-ID"]}


def test_pages_of_what_went_wrong_show_it(client: Client, operator_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("portal.views.home.editions", fail)
    client.raise_request_exception = False
    strict = Client(enforce_csrf_checks=True)
    for answer, status in (
        (client.get("/"), 500),
        (operator_client.get("/nowhere/"), 404),
        (operator_client.get("/accounts/operators/"), 403),
        (strict.post("/accounts/login/"), 403),
    ):
        assert answer.status_code == status
        shown = re.search(r"请求编号（联系客服时请提供）：<code>([^<]+)</code>", answer.content.decode())
        assert shown, status
        assert shown[1] == answer["X-Request-ID"]
