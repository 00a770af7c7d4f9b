"""What comes in: stored before it is read, once however often it comes, and nothing bad stops the next file (RLY-03)."""

import os
import uuid
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from lxml import etree

from core.models import AuditEntry
from relay import lanes, registry, services
from relay.channels.directory import DirectoryChannel
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.services import storing
from tests.relay.conftest import Application, Boxes, inbound, outbound, queue
from tests.relay.messages import NS, filing, fill, package, read_fields, receipt, technical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application")]

ID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def die(*_: Any, **__: Any) -> None:
    raise SystemError("killed")


def answers(boxes: Boxes) -> list[bytes]:
    """The technical receipts that go to the partner now."""
    services.dispatch("customs")
    return [content for name, content in boxes.take_all().items() if name.startswith("RCV001")]


# -- the straight way ---------------------------------------------------------------------------


@pytest.mark.covers("RLY-03", "RLY-02")
def test_stored_byte_for_byte_handled_and_answered(boxes: Boxes, application: Application) -> None:
    content = receipt(message_id=ID)
    boxes.put(content, f"SGW102_{ID}.xml")
    assert services.receive("customs") == 1
    row = inbound()
    assert bytes(row.content) == content
    assert bytes(row.sha256 or b"") == sha256(content).digest()
    assert (row.partner, row.file_name, row.size, row.message_id) == ("customs", f"SGW102_{ID}.xml", len(content), ID)
    assert (row.state, row.outcome) == (InboundState.HANDLED, "took STORED")
    assert boxes.names("InBox") == []
    assert [message.message_id for message in application.received] == [ID]
    (answer,) = answers(boxes)
    assert read_fields(answer, "in_reply_to", "RefMessageId", "Result") == [str(ID), str(ID), "STORED"]


@pytest.mark.covers("RLY-03")
def test_stored_before_it_is_read(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    content = receipt()
    boxes.put(content)
    with monkeypatch.context() as patch:
        patch.setattr(storing, "read", die)
        with pytest.raises(SystemError):
            services.receive("customs")
    row = inbound()
    assert (bytes(row.content), row.state) == (content, InboundState.RECEIVED)
    assert boxes.names("InBox") == []
    services.receive("customs")
    assert application.events == ["STORED"]


@pytest.mark.covers("RLY-03")
def test_worker_that_dies_before_deleting_the_file_doubles_nothing(
    boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes.put(receipt())
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryChannel, "forget", die)
        with pytest.raises(SystemError):
            services.receive("customs")
    assert len(boxes.names("InBox")) == 1
    services.receive("customs")
    assert boxes.names("InBox") == []
    assert application.events == ["STORED"]
    assert inbound().repeats == 1


def test_oldest_first(boxes: Boxes, application: Application) -> None:
    for age, event in ((10, "LOCKED"), (30, "STORED"), (20, "CLOSED")):
        name = boxes.put(receipt(event=event))
        os.utime(boxes.home / "InBox" / name, (1_000_000 - age, 1_000_000 - age))
    services.receive("customs")
    assert application.events == ["STORED", "CLOSED", "LOCKED"]


def test_files_being_written_are_passed_over(boxes: Boxes, application: Application) -> None:
    services.receive("customs")
    for name in (".SGW102_x.xml", "SGW102_x.xml.tmp"):
        (boxes.home / "InBox" / name).write_bytes(receipt())
    assert services.receive("customs") == 0
    assert len(boxes.names("InBox")) == 2
    assert application.events == []


def test_one_worker_looks_into_the_box_and_the_other_helps_handling(boxes: Boxes, application: Application) -> None:
    boxes.put(receipt())
    token = lanes.take("receive:customs")
    assert token is not None
    assert services.receive("customs") == 0
    assert application.events == []
    lanes.release("receive:customs", token)
    assert services.receive("customs") == 1
    assert application.events == ["STORED"]


def test_worker_that_has_lost_its_lease_stops(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes.put(receipt())
    monkeypatch.setattr(lanes, "renew", lambda *_: False)
    assert services.receive("customs") == 0
    assert not InboundMessage.objects.exists()
    assert len(boxes.names("InBox")) == 1


# -- repeats ------------------------------------------------------------------------------------


@pytest.mark.covers("RLY-03")
def test_same_bytes_again_change_nothing_and_get_the_same_receipt_again(boxes: Boxes, application: Application) -> None:
    content = receipt(message_id=ID)
    boxes.put(content, f"SGW102_{ID}.xml")
    services.receive("customs")
    first = answers(boxes)
    before = inbound()
    boxes.put(content, f"SGW102_{ID}.xml")
    boxes.put(content, "another-name.xml")
    services.receive("customs")
    row = inbound()
    assert row.repeats == 1, "two copies in one look count as one repeat"
    assert row.last_seen_at > before.last_seen_at
    assert (row.state, row.finished_at, row.outcome) == (before.state, before.finished_at, before.outcome)
    assert application.events == ["STORED"]
    assert boxes.names("InBox") == []
    assert answers(boxes) == first
    assert OutboundMessage.objects.count() == 1


@pytest.mark.covers("RLY-03")
@pytest.mark.parametrize("together", [True, False])
def test_same_id_with_other_bytes_is_set_aside(boxes: Boxes, application: Application, together: bool) -> None:
    boxes.put(receipt(message_id=ID), "first.xml")
    if not together:
        services.receive("customs")
    else:
        os.utime(boxes.home / "InBox" / "first.xml", (1, 1))
    boxes.put(receipt(message_id=ID, event="REJECTED"), "second.xml")
    boxes.put(receipt(event="LOCKED"), "third.xml")
    services.receive("customs")
    assert application.events == ["STORED", "LOCKED"]
    row = inbound(file_name="second.xml")
    assert (row.state, row.reason_code, row.message_id) == (InboundState.QUARANTINED, "ID_REUSED", None)
    assert inbound(message_id=ID).file_name == "first.xml"
    results = sorted(tuple(read_fields(answer, "RefMessageId", "Result", "Code")) for answer in answers(boxes))
    assert (str(ID), "REJECTED", "ID_REUSED") in results
    assert len(results) == 3


# -- bad input ----------------------------------------------------------------------------------

LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY e "&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;">
]><l>&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;</l>"""
BAD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("NOT_XML", lambda: b""),
    "not XML": ("NOT_XML", lambda: b"SEQ;PLATE\n1;\xc1\xc9B12345\n"),
    "binary": ("NOT_XML", lambda: bytes(range(256)) * 16),
    "cut off": ("NOT_XML", lambda: receipt()[:-40]),
    "deep": ("NOT_XML", lambda: b"<a>" * 5000 + b"</a>" * 5000),
    "external entity": (
        "DOCTYPE",
        lambda: receipt(note="XXE").replace(b"?>", b'?><!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]>', 1).replace(b"XXE", b"&x;"),
    ),
    "billion laughs": ("DOCTYPE", lambda: LAUGHS),
    "remote document type": ("DOCTYPE", lambda: receipt().replace(b"?>", b'?><!DOCTYPE p SYSTEM "http://192.0.2.1/x.dtd">', 1)),
    "other XML": ("NOT_A_PACKAGE", lambda: b"<html><body>502 Bad Gateway</body></html>"),
    "unknown type": ("UNKNOWN_TYPE", lambda: receipt().replace(b">SGW102<", b">ZZZ999<")),
    "type of another direction": ("UNKNOWN_TYPE", lambda: package(filing(), message_type="SGW101")),
    "type that names a path": ("UNKNOWN_TYPE", lambda: receipt().replace(b">SGW102<", b">../../etc/passwd<")),
    "breaks the schema": ("SCHEMA", lambda: receipt(event="EXPLODED")),
    "two events": ("SCHEMA", lambda: receipt().replace(b"</Event>", b"</Event><Event>CLOSED</Event>")),
    "time without a zone": ("SCHEMA", lambda: receipt().replace(b"+00:00</send_time>", b"</send_time>")),
    "time out of range": ("SCHEMA", lambda: receipt().replace(b"<send_time>2026", b"<send_time>120260")),
    "wrong sender": ("WRONG_SENDER", lambda: receipt().replace(b">customs<", b">ccpit<")),
    "other receiver": ("WRONG_RECEIVER", lambda: receipt().replace(b">LNSW<", b">SHSW<")),
}


@pytest.mark.covers("RLY-03", "RLY-05")
@pytest.mark.parametrize("kind", BAD)
def test_bad_file_is_set_aside_with_its_reason_and_the_next_is_handled(kind: str, boxes: Boxes, application: Application) -> None:
    code, make = BAD[kind]
    content = make()
    boxes.put(content, "bad.xml")
    os.utime(boxes.home / "InBox" / "bad.xml", (1, 1))
    boxes.put(receipt(event="LOCKED"), "good.xml")
    services.receive("customs")
    row = inbound(file_name="bad.xml")
    assert (row.state, row.reason_code, bytes(row.content)) == (InboundState.QUARANTINED, code, content)
    assert row.reason_text
    assert application.events == ["LOCKED"]
    assert boxes.names("InBox") == []
    rejected = [answer for answer in answers(boxes) if read_fields(answer, "Result") == ["REJECTED"]]
    assert [read_fields(answer, "RefFileName", "Code") for answer in rejected] == [["bad.xml", code]]


def test_value_cut_in_two_by_a_comment_is_read_whole(boxes: Boxes, application: Application) -> None:
    boxes.put(receipt().replace(b">STORED<", b">STO<!-- x -->RE<?pi y?>D<"))
    services.receive("customs")
    assert application.events == ["STORED"]


@pytest.mark.covers("RLY-03")
def test_file_over_the_limit_is_moved_whole_and_never_read(boxes: Boxes, application: Application, settings: Any) -> None:
    settings.RELAY_MAX_MESSAGE_BYTES = 4000
    big = receipt(note="x" * 900) + b" " * 4000
    boxes.put(big, "big.xml")
    os.utime(boxes.home / "InBox" / "big.xml", (1, 1))
    boxes.put(receipt(event="LOCKED"), "good.xml")
    services.receive("customs")
    row = inbound(file_name="big.xml")
    assert (row.state, row.reason_code, row.size, bytes(row.content)) == (InboundState.QUARANTINED, "TOO_LARGE", len(big), b"")
    assert str(len(big)) in row.reason_text
    assert (boxes.home / "FailBox" / row.kept_as).read_bytes() == big
    assert application.events == ["LOCKED"]
    with pytest.raises(services.NotInQuarantineError, match="was not read"):
        services.retry_quarantined(row.pk, actor=None)


@pytest.mark.covers("RLY-03")
@pytest.mark.parametrize("size", [50 * 1024**2, 3 * 1024**3])
def test_huge_file_costs_neither_memory_nor_time(size: int, boxes: Boxes, application: Application) -> None:
    boxes.put(b"", "huge.xml")
    os.truncate(boxes.home / "InBox" / "huge.xml", size)
    os.utime(boxes.home / "InBox" / "huge.xml", (1, 1))
    boxes.put(receipt(event="LOCKED"), "good.xml")
    services.receive("customs")
    row = inbound(file_name="huge.xml")
    assert (row.reason_code, row.size) == ("TOO_LARGE", size)
    assert (boxes.home / "FailBox" / row.kept_as).stat().st_size == size
    assert application.events == ["LOCKED"]


def test_moving_a_big_file_that_was_cut_short_is_finished(boxes: Boxes, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RELAY_MAX_MESSAGE_BYTES = 10
    boxes.put(b"x" * 11, "big.xml")
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryChannel, "set_aside", die)
        with pytest.raises(SystemError):
            services.receive("customs")
    services.receive("customs")
    assert (boxes.home / "FailBox" / inbound().kept_as).stat().st_size == 11
    assert boxes.names("InBox") == []


def test_what_is_no_file_is_moved_away(boxes: Boxes, application: Application) -> None:
    services.receive("customs")
    box = boxes.home / "InBox"
    (box / "folder.xml").mkdir()
    (box / "link.xml").symlink_to("/etc/passwd")
    os.mkfifo(box / "pipe.xml")
    boxes.put(receipt(), "good.xml")
    services.receive("customs")
    assert application.events == ["STORED"]
    rows = InboundMessage.objects.filter(state=InboundState.QUARANTINED)
    assert {(row.file_name, row.reason_code, bytes(row.content)) for row in rows} == {
        (name, "NOT_A_FILE", b"") for name in ("folder.xml", "link.xml", "pipe.xml")
    }
    assert list(box.iterdir()) == []


def test_file_names_that_are_no_text_are_shown_and_handled(boxes: Boxes, application: Application) -> None:
    services.receive("customs")
    raw = os.fsencode(boxes.home / "InBox") + b"/\xff\xfe\n.xml"
    with open(raw, "wb") as file:
        file.write(b"junk")
    os.utime(raw, (1, 1))
    services.receive("customs")
    assert inbound().file_name == "???.xml"
    (answer,) = answers(boxes)
    assert read_fields(answer, "RefFileName") == ["???.xml"]


@pytest.mark.parametrize("name", ["RCV001_x.xml", "any.xml"])
def test_unreadable_technical_receipts_are_not_answered(name: str, boxes: Boxes) -> None:
    broken = technical(ID).replace(b">STORED<", b">PERHAPS<")
    boxes.put(broken if name == "any.xml" else b"junk", name)
    services.receive("customs")
    assert inbound().state == InboundState.QUARANTINED
    assert answers(boxes) == []


def test_receipt_that_contradicts_itself_is_set_aside(boxes: Boxes) -> None:
    message = queue()
    boxes.put(technical(message.message_id, in_reply_to=ID))
    services.receive("customs")
    assert inbound().reason_code == "CONTRADICTION"
    assert outbound(message).state == OutboundState.QUEUED


# -- running it again -----------------------------------------------------------------------------


@pytest.mark.covers("RLY-03")
def test_what_was_set_aside_can_be_run_again(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_inbound", {})
        boxes.put(receipt(message_id=ID))
        services.receive("customs")
    row = inbound()
    assert row.reason_code == "UNKNOWN_TYPE"
    answers(boxes)
    services.retry_quarantined(row.pk, actor=None)
    entry = AuditEntry.unscoped.get(action="relay.quarantine.retry")
    assert (entry.object_id, entry.before["reason_code"]) == (str(row.pk), "UNKNOWN_TYPE")
    services.receive("customs")
    assert application.events == ["STORED"]
    again = inbound()
    assert (again.state, again.message_id, again.reason_code) == (InboundState.HANDLED, ID, "")
    assert [read_fields(answer, "Result") for answer in answers(boxes)] == [["STORED"]]


def test_run_again_and_still_bad_it_is_set_aside_again_without_a_second_answer(boxes: Boxes) -> None:
    boxes.put(b"junk", "bad.xml")
    services.receive("customs")
    assert len(answers(boxes)) == 1
    services.retry_quarantined(inbound().pk, actor=None)
    services.receive("customs")
    assert (inbound().state, inbound().reason_code) == (InboundState.QUARANTINED, "NOT_XML")
    assert answers(boxes) == []


def test_only_what_was_set_aside_is_run_again(boxes: Boxes) -> None:
    boxes.put(receipt())
    services.receive("customs")
    with pytest.raises(services.NotInQuarantineError):
        services.retry_quarantined(inbound().pk, actor=None)
    with pytest.raises(InboundMessage.DoesNotExist):
        services.retry_quarantined(0, actor=None)


def test_unknown_namespace_is_no_package(boxes: Boxes) -> None:
    boxes.put(receipt().replace(NS.encode(), b"urn:somebody-else:1"))
    services.receive("customs")
    assert inbound().reason_code == "NOT_A_PACKAGE"


def test_fields_that_only_look_like_more_are_refused(boxes: Boxes, application: Application) -> None:
    root = etree.fromstring(receipt())
    business = root.find("{*}DataInfo/{*}SmartGateReceipt")
    assert business is not None
    fill(business, Extra="x")
    boxes.put(etree.tostring(root))
    services.receive("customs")
    assert inbound().reason_code == "SCHEMA"
    assert application.events == []
