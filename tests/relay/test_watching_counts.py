"""What the relay counts of a message's way, and that it counts what was committed only."""

from typing import Any

import pytest
from django.db import transaction

from core import metrics as counting
from relay import metrics, services
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.registry import MessageRefused
from tests.relay.conftest import Application, Boxes, make_due, outbound, queue
from tests.relay.messages import receipt, technical
from tests.watching import counted, forget_counts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("OPS-03")]


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    forget_counts()


def relay_counts() -> dict[str, float]:
    """Without the seconds, which depend on the machine."""
    return {name: number for name, number in counted().items() if "_bucket" not in name and "_sum" not in name}


def test_a_message_on_its_way(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    make_due(message)
    services.dispatch("customs")  # nobody has taken the first copy
    boxes.take_all()
    answer = technical(message.message_id)
    boxes.put(answer, "RCV001_x.xml")
    boxes.put(receipt(in_reply_to=message.message_id))
    services.receive("customs")
    boxes.put(answer, "RCV001_x.xml")
    services.receive("customs")
    assert relay_counts() == {
        "relay_attempts_total{message_type=SGW101,outcome=sent,partner=customs}": 1,
        "relay_attempts_total{message_type=SGW101,outcome=waiting,partner=customs}": 1,
        "relay_leaving_seconds_count{message_type=SGW101,partner=customs}": 1,
        "relay_receipt_seconds_count{message_type=SGW101,partner=customs}": 1,
        "relay_received_total{again=no,partner=customs}": 2,
        "relay_received_total{again=yes,partner=customs}": 1,
        "relay_handled_total{message_type=RCV001,partner=customs}": 1,
        "relay_handled_total{message_type=SGW102,partner=customs}": 1,
    }
    assert 0 < counted()["relay_receipt_seconds_sum{message_type=SGW101,partner=customs}"] < 60


def test_what_goes_wrong(boxes: Boxes, application: Application) -> None:
    message = queue()
    (boxes.home / "OutBox" / message.file_name).mkdir(parents=True)  # a directory lies where the file should go
    services.dispatch("customs")
    boxes.put(technical(message.message_id, result="REJECTED", code="chosen by the partner"))
    boxes.put(b"junk", "SGW102_junk.xml")
    services.receive("customs")
    application.problem = MessageRefused("UNKNOWN_FILING", "no such filing")
    boxes.put(receipt(number=2))
    services.receive("customs")
    application.problem = ValueError("a bug")
    boxes.put(receipt(number=3))
    services.receive("customs")
    found = relay_counts()
    assert {
        "relay_attempts_total{message_type=SGW101,outcome=error,partner=customs}": 1.0,
        "relay_refused_total{message_type=SGW101,partner=customs}": 1.0,
        "relay_quarantined_total{code=NOT_XML,partner=customs}": 1.0,
        "relay_quarantined_total{code=UNKNOWN_FILING,partner=customs}": 1.0,
        "relay_handler_failures_total{message_type=SGW102,partner=customs}": 1.0,
    }.items() <= found.items()
    assert not [name for name in found if "leaving" in name or "receipt_seconds" in name or "chosen" in name]


def test_what_is_taken_back_is_not_counted() -> None:
    message = queue()
    with transaction.atomic():
        services.dispatching.refuse(outbound(message), message.created_at, "X", "taken back")
        transaction.set_rollback(True)
    assert relay_counts() == {}


def test_counting_fails_no_message(boxes: Boxes, settings: Any) -> None:
    """Redis is away: the message goes out, its receipt counts, and the numbers wait."""
    there, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(message.message_id))
    services.receive("customs")
    assert OutboundMessage.objects.get().state == OutboundState.DELIVERED
    assert InboundMessage.objects.get().state == InboundState.HANDLED
    settings.REDIS_URL = there
    assert relay_counts()["relay_receipt_seconds_count{message_type=SGW101,partner=customs}"] == 1


def test_labels_are_of_few_values() -> None:
    """No id, subject, enterprise or text of a partner's is a label: a series each would fill Prometheus."""
    assert {name for metric in counting.declared() for name in metric.labels if metric.name.startswith("relay_")} == {
        "partner",
        "message_type",
        "outcome",
        "code",
        "again",
    }
    assert metrics.REFUSED.labels == ("partner", "message_type"), "the code is the partner's choice"
