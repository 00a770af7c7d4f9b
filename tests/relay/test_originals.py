"""Who may send a type, and what an answer must say of the message it answers before anything counts as delivered."""

import uuid
from typing import Any

import pytest
from lxml import etree
from structlog.testing import capture_logs

from relay import registry, services, tasks
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from tests.relay.conftest import Application, Boxes, inbound, make_due, outbound, queue
from tests.relay.messages import read_fields, receipt, technical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application")]


def subject_of(business: etree._Element) -> str | None:
    """The subject of these tests' filings: SeqNo is the year and the number. Number 9 is nobody's."""
    number = int((business.findtext("{*}SeqNo") or "")[4:])
    return None if number == 9 else f"smartgate.filing:{number}"


@pytest.fixture(autouse=True)
def route(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered with everything, as smartgate does it."""
    monkeypatch.setattr(registry, "_inbound", {})
    registry.register_inbound("SGW102", application.handle, partner="customs", answers="SGW101", subject_of=subject_of)


def sent(boxes: Boxes, number: int = 1) -> OutboundMessage:
    """A filing that the partner has taken."""
    message = queue(number)
    services.dispatch("customs")
    boxes.take_all()
    return message


def refusals(boxes: Boxes, partner: str = "customs") -> list[list[str]]:
    """What the partner is told now of messages that were refused."""
    services.dispatch(partner)
    found = [content for name, content in boxes.take_all().items() if name.startswith("RCV001")]
    return [read_fields(content, "Result", "Code") for content in found]


@pytest.mark.covers("RLY-03")
@pytest.mark.parametrize("with_original", [True, False])
def test_type_of_another_partner_is_refused(with_original: bool, boxes: Boxes, application: Application, settings: Any) -> None:
    settings.RELAY_PARTNERS = {"customs": {"channel": "directory"}, "ccpit": {"channel": "directory"}}
    message = sent(boxes)
    theirs = Boxes(boxes.home.parent / "ccpit")
    content = receipt(in_reply_to=message.message_id if with_original else None)
    theirs.put(content.replace(b"<sender_id>customs<", b"<sender_id>ccpit<"))
    services.receive("ccpit")
    row = inbound()
    assert (row.state, row.reason_code) == (InboundState.QUARANTINED, "WRONG_PARTNER")
    assert refusals(theirs, "ccpit") == [["REJECTED", "WRONG_PARTNER"]]
    assert application.events == []
    assert outbound(message).state == OutboundState.SENT


@pytest.mark.covers("RLY-03")
def test_answer_that_names_no_message_is_refused(boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    boxes.put(receipt())
    services.receive("customs")
    assert (inbound().state, inbound().reason_code) == (InboundState.QUARANTINED, "NO_ORIGINAL")
    assert refusals(boxes) == [["REJECTED", "NO_ORIGINAL"]]
    assert application.events == []
    assert outbound(message).state == OutboundState.SENT


@pytest.mark.parametrize("stranger", [True, False])
def test_answer_that_names_nothing_it_could_answer_is_handled_without(stranger: bool, boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    boxes.put(b"junk")
    services.receive("customs")
    other = OutboundMessage.objects.get(message_type="RCV001").message_id
    boxes.put(receipt(in_reply_to=uuid.uuid4() if stranger else other))
    services.receive("customs")
    (incoming,) = application.received
    assert (incoming.original, application.events) == (None, ["STORED"])
    assert outbound(message).state == OutboundState.SENT


@pytest.mark.covers("RLY-01", "RLY-03")
def test_answer_about_one_filing_that_names_the_message_of_another_touches_neither(boxes: Boxes, application: Application) -> None:
    first, second, third = sent(boxes, 1), sent(boxes, 2), sent(boxes, 3)
    boxes.put(receipt(number=1, in_reply_to=second.message_id), "wrong.xml")
    boxes.put(receipt(number=3, in_reply_to=third.message_id), "right.xml")
    services.receive("customs")
    row = inbound(file_name="wrong.xml")
    assert (row.state, row.reason_code) == (InboundState.QUARANTINED, "WRONG_ORIGINAL")
    assert {outbound(first).state, outbound(second).state} == {OutboundState.SENT}
    assert application.delivered == ["smartgate.filing:3"]
    assert inbound(file_name="right.xml").state == InboundState.HANDLED


def test_where_the_application_knows_no_subject_what_it_refuses_delivers_nothing(boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    application.problem = registry.MessageRefused("UNKNOWN_FILING", "no filing has this number")
    boxes.put(receipt(number=9, in_reply_to=message.message_id))
    services.receive("customs")
    assert inbound().reason_code == "UNKNOWN_FILING"
    assert outbound(message).state == OutboundState.SENT


@pytest.mark.covers("RLY-02")
def test_answer_to_a_refused_message_is_handed_over_and_reported(boxes: Boxes, application: Application) -> None:
    message = sent(boxes)
    boxes.put(technical(message.message_id, result="REJECTED", code="SCHEMA"))
    services.receive("customs")
    boxes.put(receipt(in_reply_to=message.message_id))
    with capture_logs() as logs:
        services.receive("customs")
    (line,) = [entry for entry in logs if entry["event"] == "answer_contradicts_refusal"]
    assert (line["log_level"], line["message_type"], line["code"]) == ("warning", "SGW102", "SCHEMA")
    assert application.events == ["STORED"]
    assert outbound(message).state == OutboundState.REFUSED


@pytest.mark.covers("RLY-02")
@pytest.mark.parametrize("by", ["receipt", "FailBox"])
def test_copy_of_a_refused_message_is_taken_back(by: str, boxes: Boxes, application: Application) -> None:
    refused, waiting = sent(boxes, 1), queue(2)
    services.dispatch("customs")
    make_due(refused)
    services.dispatch("customs")
    assert set(boxes.out_files("SGW101")) == {refused.file_name, waiting.file_name}
    if by == "receipt":
        boxes.put(technical(refused.message_id, result="REJECTED", code="SCHEMA"))
        services.receive("customs")
    else:
        (boxes.home / "SentBox" / refused.file_name).rename(boxes.home / "FailBox" / refused.file_name)
    (boxes.home / "OutBox" / "SGW101_note.txt").write_text("not ours")
    tasks.sweep()
    assert outbound(refused).state == OutboundState.REFUSED
    assert set(boxes.names("OutBox")) == {waiting.file_name, "SGW101_note.txt"}
    assert services.withdraw_refused("customs") == 0


def test_nothing_is_taken_back_that_another_partner_was_sent(boxes: Boxes, settings: Any) -> None:
    settings.RELAY_PARTNERS = {"customs": {"channel": "directory"}, "ccpit": {"channel": "directory"}}
    message = queue()
    services.dispatch("customs")
    OutboundMessage.objects.filter(pk=message.pk).update(partner="ccpit", state=OutboundState.REFUSED, finished_at=message.created_at)
    assert services.withdraw_refused("customs") == 0
    assert boxes.names("OutBox") == [message.file_name]
    assert not InboundMessage.objects.exists()
