"""What could stop the intake and must not: large files, files that stay, files nobody reads, values nobody can read."""

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from relay import conf, services
from relay.channels.directory import DirectoryChannel
from relay.envelope import zoned_time
from relay.models import InboundMessage, InboundState, OutboundMessage
from relay.services import handling, storing
from tests.relay.conftest import Application, Boxes, inbound
from tests.relay.messages import read_fields, receipt, technical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application")]

ID = uuid.UUID("12345678-1234-5678-1234-567812345678")


def answers(boxes: Boxes) -> list[bytes]:
    """The technical receipts that go to the partner now."""
    services.dispatch("customs")
    return [content for name, content in boxes.take_all().items() if name.startswith("RCV001")]


# -- large files ----------------------------------------------------------------------------------


@pytest.fixture
def three_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of a step lies between two and three of these tests' receipts."""
    limit = len(receipt()) * 5 // 2
    monkeypatch.setattr(conf, "BATCH_BYTES", limit)
    monkeypatch.setattr(handling, "BATCH_BYTES", limit)


@pytest.mark.covers("RLY-03")
def test_a_step_ends_where_its_contents_grow_large(
    boxes: Boxes, application: Application, three_at_a_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 9):
        boxes.put(receipt(number=number))
    taken: list[int] = []
    handled: list[int] = []
    take_in, load = storing._take_in, handling.load
    monkeypatch.setattr(storing, "_take_in", lambda partner, channel, files: (taken.append(len(files)), take_in(partner, channel, files)))
    monkeypatch.setattr(handling, "load", lambda ids, token: (handled.append(len(ids)), load(ids, token))[1])
    assert services.receive("customs") == 8
    assert taken == handled == [3, 3, 2]
    assert len(application.events) == 8


def test_storing_reading_and_claiming_each_keep_to_the_limit(
    boxes: Boxes, application: Application, three_at_a_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    DirectoryChannel.for_partner("customs")
    for number in range(1, 9):
        boxes.put(receipt(number=number))
    (files,) = _in_one_batch(boxes, monkeypatch)
    with CaptureQueriesContext(connection) as stored:
        assert storing.store("customs", files) == {}
    assert sum("INSERT INTO relay_inboundmessage" in query["sql"] for query in stored) == 3
    with CaptureQueriesContext(connection) as read:
        assert services.read("customs") == 8
    assert sum("UPDATE relay_inboundmessage" in query["sql"] for query in read) == 3
    assert len(handling.claim("customs", uuid.uuid4())) == 3


def _in_one_batch(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a channel without any limit of its own would hand over."""
    with monkeypatch.context() as patch:
        patch.setattr(conf, "BATCH_BYTES", 1 << 40)
        return list(DirectoryChannel.for_partner("customs").receive(100))


# -- files that stay ------------------------------------------------------------------------------


@pytest.mark.covers("RLY-03")
@pytest.mark.parametrize("content", [receipt(message_id=ID), b"x" * 9000], ids=["readable", "too large"])
def test_file_that_stays_is_taken_once_in_a_run_and_answered_once(
    content: bytes, boxes: Boxes, application: Application, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RELAY_MAX_MESSAGE_BYTES = 8000

    def deny(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    name = boxes.put(content, f"SGW102_{ID}.xml")
    with monkeypatch.context() as patch:
        for change in ("unlink", "rename", "replace"):
            patch.setattr(Path, change, deny)
        assert services.receive("customs") == 1
    first = answers(boxes)
    assert len(first) == 1
    assert boxes.names("InBox") == [name]
    with monkeypatch.context() as patch:
        for change in ("unlink", "rename", "replace"):
            patch.setattr(Path, change, deny)
        assert services.receive("customs") == 1
    assert inbound().repeats == 1
    assert answers(boxes) == [], "the partner did not send it again, it only lies there"
    services.receive("customs")
    assert boxes.names("InBox") == []
    assert answers(boxes) == first


def test_what_comes_during_a_run_is_taken_in_it(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes.put(receipt(event="STORED"), "first.xml")
    forget = DirectoryChannel.forget

    def forget_while_another_comes(channel: DirectoryChannel, files: Any) -> set[str]:
        if files[0].name == "first.xml":
            boxes.put(receipt(event="LOCKED"), "second.xml")
        return forget(channel, files)

    monkeypatch.setattr(DirectoryChannel, "forget", forget_while_another_comes)
    assert services.receive("customs") == 2
    assert application.events == ["STORED", "LOCKED"]


# -- files nobody reads ---------------------------------------------------------------------------


@pytest.mark.covers("RLY-02", "RLY-03")
def test_file_over_the_limit_is_refused_and_sent_again_takes_no_more_room(boxes: Boxes, settings: Any) -> None:
    settings.RELAY_MAX_MESSAGE_BYTES = 10
    name = f"SGW102_{ID}.xml"
    boxes.put(b"x" * 11, name)
    services.receive("customs")
    first = answers(boxes)
    assert [read_fields(answer, "RefMessageId", "RefFileName", "Result", "Code") for answer in first] == [
        [str(ID), name, "REJECTED", "TOO_LARGE"]
    ]
    boxes.put(b"x" * 11, name)
    services.receive("customs")
    row = inbound()
    assert (row.repeats, row.state, row.reason_code) == (1, InboundState.QUARANTINED, "TOO_LARGE")
    assert boxes.names("FailBox") == [row.kept_as]
    assert answers(boxes) == first
    boxes.put(b"x" * 12, name)
    services.receive("customs")
    assert InboundMessage.objects.count() == len(boxes.names("FailBox")) == 2


@pytest.mark.covers("RLY-03")
def test_what_is_no_file_is_refused_by_its_name(boxes: Boxes) -> None:
    services.receive("customs")
    for attempt in range(2):
        (boxes.home / "InBox" / "link.xml").symlink_to("/etc/passwd")
        (boxes.home / "InBox" / "folder.xml").mkdir()
        (boxes.home / "InBox" / "folder.xml" / "kept").write_text(str(attempt))
        services.receive("customs")
        refused = [read_fields(answer, "RefFileName", "Code") for answer in answers(boxes)]
        assert sorted(refused) == [["folder.xml", "NOT_A_FILE"], ["link.xml", "NOT_A_FILE"]]
    assert list((boxes.home / "InBox").iterdir()) == []
    aside = boxes.home / "FailBox"
    assert sorted(path.read_text() for path in aside.glob("inbound-*/kept")) == ["0", "1"], "no directory is written over"
    assert len([path for path in aside.iterdir() if path.is_symlink()]) == 1


def test_technical_receipt_over_the_limit_is_not_answered(boxes: Boxes, settings: Any) -> None:
    settings.RELAY_MAX_MESSAGE_BYTES = 10
    boxes.put(technical(ID), f"RCV001_{ID}.xml")
    services.receive("customs")
    assert inbound().reason_code == "TOO_LARGE"
    assert answers(boxes) == []


# -- values nobody can read -----------------------------------------------------------------------

BEYOND = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1899-12-31T23:59:59Z", "3000-01-01T00:00:00Z"]


@pytest.mark.covers("RLY-03", "RLY-05")
@pytest.mark.parametrize("field", ["send_time", "EventTime"])
@pytest.mark.parametrize("when", BEYOND)
def test_time_that_nobody_can_read_back_is_refused(when: str, field: str, boxes: Boxes, application: Application) -> None:
    content = receipt()
    (old,) = read_fields(content, field)
    boxes.put(content.replace(f"<{field}>{old}<".encode(), f"<{field}>{when}<".encode()), "bad.xml")
    os.utime(boxes.home / "InBox" / "bad.xml", (1, 1))
    boxes.put(receipt(event="LOCKED"))
    services.receive("customs")
    assert inbound(file_name="bad.xml").reason_code == "SCHEMA"
    assert application.events == ["LOCKED"]


@pytest.mark.parametrize("when", [*BEYOND, "2026-03-01T08:00:00", "2026-02-30T08:00:00Z", "yesterday", ""])
def test_zoned_time_refuses(when: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        zoned_time(when)


def test_zoned_time_is_utc() -> None:
    assert zoned_time("2026-03-01T08:30:00.5+08:00") == datetime(2026, 3, 1, 0, 30, 0, 500_000, tzinfo=UTC)
    assert zoned_time("2026-03-01T08:30:00+08:00").tzinfo is UTC


@pytest.mark.covers("RLY-03")
def test_row_that_cannot_be_read_is_set_aside_and_its_neighbours_handled(
    boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    for event in ("STORED", "CLOSED", "LOCKED"):
        boxes.put(receipt(event=event), f"{event}.xml")
    with monkeypatch.context() as patch:
        patch.setattr(storing, "handle", lambda _partner: 0)
        services.receive("customs")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE relay_inboundmessage SET send_time = '9999-12-31T23:59:59-14:00' WHERE file_name = 'CLOSED.xml'")
    assert services.handle("customs") == 3
    assert set(application.events) == {"STORED", "LOCKED"}
    row = inbound(file_name="CLOSED.xml")
    assert (row.state, row.reason_code, row.send_time, row.lease_token) == (InboundState.QUARANTINED, "UNREADABLE_ROW", None, None)
    services.retry_quarantined(row.pk, actor=None)
    services.receive("customs")
    assert "CLOSED" in application.events


def test_row_with_such_a_value_can_be_read_anew(boxes: Boxes, application: Application) -> None:
    boxes.put(receipt())
    services.receive("customs")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE relay_inboundmessage SET state = 'received', send_time = '9999-12-31T23:59:59-14:00'")
    assert services.read("customs") == 1
    assert inbound().state == InboundState.READY
    assert OutboundMessage.objects.count() == 1
