"""What `queue_message` promises the application that calls it."""

import uuid
from typing import Any

import pytest
import structlog
from django.core.cache import cache, caches
from django.db import transaction
from lxml import etree

from relay import registry, services
from relay.conf import UnknownPartnerError
from relay.envelope import SignInfo
from relay.models import OutboundMessage, OutboundState
from relay.schemas import NoSchemaError, SchemaViolationError
from tests.relay.conftest import Application, queue
from tests.relay.messages import filing, read_fields

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("application")]


def call(**changes: Any) -> OutboundMessage:
    """`queue_message` with arguments that are right but for `changes`."""
    arguments: dict[str, Any] = {
        "partner": "customs",
        "message_type": "SGW101",
        "business": filing(),
        "subject": "smartgate.filing:1",
        "enterprise_id": 7,
    }
    return services.queue_message(**(arguments | changes))


@pytest.mark.covers("RLY-01")
def test_message_is_kept_and_announced_when_the_transaction_commits(wakes: list[str]) -> None:
    with transaction.atomic():
        call()
        assert wakes == []
    message = OutboundMessage.objects.get()
    assert (message.state, message.subject, message.enterprise_id) == (OutboundState.QUEUED, "smartgate.filing:1", 7)
    assert wakes == ["customs"]


@pytest.mark.covers("RLY-01")
def test_message_goes_with_the_transaction_that_fails(wakes: list[str]) -> None:
    def declare_and_fail() -> None:
        with transaction.atomic():
            call()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        declare_and_fail()
    assert not OutboundMessage.objects.exists()
    assert wakes == []


def test_refused_outside_a_transaction() -> None:
    with pytest.raises(services.NotInTransactionError):
        call()
    assert not OutboundMessage.objects.exists()


@pytest.mark.covers("RLY-05")
@pytest.mark.parametrize(
    ("path", "value"),
    [("Head/RdCode", "10000"), ("Head/VehicleWeight", "-1"), ("Head/CustomsMaster", ""), ("List/Item/GNo", "0"), ("Function", "PUT")],
)
def test_what_breaks_the_schema_is_not_stored(path: str, value: str) -> None:
    business = filing()
    broken = business.find("/".join(f"{{*}}{name}" for name in path.split("/")))
    assert broken is not None
    broken.text = value
    with transaction.atomic():
        with pytest.raises(SchemaViolationError, match=path.rsplit("/", maxsplit=1)[-1]):
            call(business=business)
        # Nothing went to the database, so the caller may go on in the same transaction.
        call()
    assert OutboundMessage.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"partner": "nobody"}, UnknownPartnerError),
        ({"message_type": "COO101"}, services.UnregisteredTypeError),
        ({"message_type": "RCV001"}, services.UnregisteredTypeError),
    ],
)
def test_wrong_addresses_are_refused(changes: dict[str, str], error: type[Exception]) -> None:
    with transaction.atomic(), pytest.raises(error):
        call(**changes)
    assert not OutboundMessage.objects.exists()


@pytest.mark.parametrize("message_type", ["ZZZ999", "../RCV"])
def test_type_without_a_schema_is_refused(message_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_outbound", {message_type: registry.OutboundHooks(None, None)})
    with transaction.atomic(), pytest.raises(NoSchemaError):
        call(message_type=message_type)
    assert not OutboundMessage.objects.exists()


@pytest.mark.covers("OPS-03")
def test_envelope_names_both_sides_and_carries_the_request_id() -> None:
    reply_to = uuid.uuid4()
    with structlog.contextvars.bound_contextvars(request_id="req-42"), transaction.atomic():
        message = call(in_reply_to=reply_to, signature=SignInfo("SM2-SM3", "QUJD", "REVG"))
    content = bytes(OutboundMessage.objects.get().content)
    assert message.request_id == "req-42"
    assert read_fields(content, "message_id") == [str(message.message_id)]
    assert read_fields(content, "sender_id", "receiver_id", "in_reply_to") == ["LNSW", "customs", str(reply_to)]
    assert read_fields(content, "correlation_id") == ["req-42"]
    assert read_fields(content, "algorithm", "certificate", "signature") == ["SM2-SM3", "QUJD", "REVG"]
    assert read_fields(content, "send_time")[0].endswith("+08:00")


def test_request_id_that_anybody_may_choose_cannot_break_the_message() -> None:
    with structlog.contextvars.bound_contextvars(request_id="<x>& 海关" + "a" * 100), transaction.atomic():
        call()
    content = bytes(OutboundMessage.objects.get().content)
    assert read_fields(content, "correlation_id") == ["x" + "a" * 57]


def test_a_burst_asks_for_one_run(wakes: list[str]) -> None:
    for number in range(1, 6):
        queue(number)
    assert wakes == ["customs"]


@pytest.mark.covers("RLY-01")
def test_declaring_goes_on_while_redis_is_away(settings: Any, wakes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    add = cache.add
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "unix:///nowhere/redis.sock"}}
    monkeypatch.setattr(type(caches["default"]), "add", lambda *args, **kwargs: asked.append("add") or add(*args, **kwargs))
    queue(1)
    queue(2)
    assert OutboundMessage.objects.filter(state=OutboundState.QUEUED).count() == 2
    assert wakes == []
    assert asked == ["add"], "after a failure nobody else waits for Redis"


def test_declaring_goes_on_while_the_broker_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_broker(*_: Any, **__: Any) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr("relay.tasks.dispatch.apply_async", no_broker)
    queue(1)
    assert OutboundMessage.objects.get().state == OutboundState.QUEUED


def test_business_element_is_in_the_message_as_it_was(application: Application) -> None:
    expected = etree.tostring(filing(3, lines=2), method="c14n", exclusive=True)
    queue(3, lines=2)
    package = etree.fromstring(bytes(OutboundMessage.objects.get().content))
    business = package.find("{*}DataInfo")
    assert business is not None
    assert etree.tostring(business[0], method="c14n", exclusive=True) == expected
    assert application.events == []
