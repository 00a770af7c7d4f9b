"""The drop folder: drafts from other software, each file once, answered field by field, told what became of them (SGW-10)."""

import os
import time
from pathlib import Path
from unittest import mock
from uuid import UUID, uuid4

import pytest
from lxml import etree

from core.models import AuditEntry
from relay import schemas
from relay.envelope import NS, q
from smartgate import services, states, tasks
from smartgate.drops import messages
from smartgate.drops import services as drops
from smartgate.drops.models import DropFile, DroppedFiling
from smartgate.messages import HEADER_FIELDS, LINE_FIELDS
from smartgate.models import Filing, FilingStatus
from smartgate.services.answers import apply_event
from tests.races import at_once
from tests.smartgate.factories import HEADER, LINE, make_filing

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-10")]
WHAT_HEADER = {name: wire for wire, name in HEADER_FIELDS} | {"plate_verified": "PlateVerified"}
WHAT_LINE = {name: wire for wire, name in LINE_FIELDS}


@pytest.fixture
def root(tmp_path: Path, settings) -> Path:
    settings.SMARTGATE_DROP_ROOT = tmp_path / "drops"
    settings.SMARTGATE_DROP_ROOT.mkdir()
    return settings.SMARTGATE_DROP_ROOT


@pytest.fixture
def home(root: Path, administrator) -> Path:
    """The directory of the administrator's enterprise."""
    place = root / administrator.enterprise.credit_code
    place.mkdir()
    tasks.take_drops()
    return place


def wire(values, names):
    elements = ((names[name], value) for name, value in values.items() if value not in (None, ""))
    order = list(names.values())
    return "".join(f"<{name}>{value}</{name}>" for name, value in sorted(elements, key=lambda one: order.index(one[0])))


def draft(number=0, lines=(LINE,), **changed):
    header = {**HEADER, "bind_key_info": f"辽B5{number:04d}", **changed}
    items = "".join(f"<Item>{wire(line, WHAT_LINE)}</Item>" for line in lines)
    return f"<Draft><Reference>R-{number}</Reference><Head>{wire(header, WHAT_HEADER)}</Head><List>{items}</List></Draft>"


def package(sender, *drafts, message_id: UUID | None = None, prolog=""):
    return f"""<?xml version="1.0" encoding="UTF-8"?>{prolog}
<Package xmlns="{NS}"><EnvelopInfo><version>1.0</version><message_id>{message_id or uuid4()}</message_id><message_type>SGW301</message_type>
<sender_id>{sender}</sender_id><receiver_id>LNSW</receiver_id><send_time>2026-11-21T08:00:00+08:00</send_time></EnvelopInfo>
<DataInfo><SmartGateDrafts>{"".join(drafts)}</SmartGateDrafts></DataInfo></Package>""".encode()


def drop(home: Path, content: bytes, name="a.xml", *, age=0):
    path = home / "in" / name
    path.write_bytes(content)
    os.utime(path, (time.time() - age, time.time() - age))
    tasks.take_drops()


def answers(home: Path, kind="SGW302"):
    """Every answer of a type, each valid by its published schema."""
    found = []
    for path in sorted((home / "answers").glob(f"{kind}_*.xml")):
        root = etree.fromstring(path.read_bytes())
        schemas.validate(root, kind)
        found.append(root.find(f".//{q('DataInfo')}")[0])
    return found


def names(home: Path, box: str) -> list[str]:
    return sorted(path.name for path in (home / box).iterdir() if not path.name.startswith("."))


def text(element, name):
    return element.findtext(q(name)) or ""


def test_drafts_are_stored_and_answered_with_their_numbers(home, administrator):
    message_id = uuid4()
    drop(home, package(home.name, draft(1), draft(2, lines=()), message_id=message_id))
    filings = list(Filing.unscoped.order_by("pk"))
    assert [filing.status for filing in filings] == [FilingStatus.DRAFT] * 2
    assert (filings[0].created_by, filings[0].lines.count(), filings[1].lines.count()) == (administrator, 1, 0)
    by_hand = make_filing(administrator, bind_key_info="辽B50001")
    assert services.snapshot(filings[0]) == services.snapshot(by_hand)
    (answer,) = answers(home)
    assert text(answer, "Result") == "ACCEPTED"
    told = [(text(one, "Reference"), text(one, "SeqNo"), text(one, "SureId")) for one in answer.iterfind(q("Draft"))]
    assert told == [(f"R-{number}", filing.data_center_no, filing.trip_no) for number, filing in enumerate(filings, start=1)]
    assert (home / "answers" / f"SGW302_{message_id}.xml").exists()
    assert (names(home, "in"), names(home, "done"), names(home, "failed")) == ([], ["a.xml"], [])
    assert AuditEntry.unscoped.filter(action="smartgate.filing.create").count() == 3


def test_one_wrong_field_and_nothing_of_the_file_is_stored(home):
    wrong = draft(2, lines=[LINE, {**LINE, "vessel_name": ""}], customs_code="9999", bind_key_info="辽BO2345")
    drop(home, package(home.name, draft(1), wrong))
    (answer,) = answers(home)
    assert (text(answer, "Result"), text(answer, "Code")) == ("REFUSED", "INVALID")
    first, second = answer.iterfind(q("Draft"))
    assert first.find(q("Error")) is None
    errors = {(text(one, "Line"), text(one, "Field")): text(one, "Text") for one in second.iterfind(q("Error"))}
    assert errors.keys() == {("0", "CustomsMaster"), ("0", "BindKeyInfo"), ("2", "TransportId")}
    assert errors["2", "TransportId"] == "运输方式为水路时，船名必填。"
    assert (Filing.unscoped.count(), names(home, "failed"), names(home, "done")) == (0, ["a.xml"], [])


def test_an_unusual_plate_passes_when_it_is_vouched_for(home):
    drop(home, package(home.name, draft(bind_key_info="WX8888")))
    drop(home, package(home.name, draft(bind_key_info="WX8888", plate_verified="false")), "b.xml")
    assert not Filing.unscoped.exists()
    drop(home, package(home.name, draft(bind_key_info="WX8888", plate_verified="true")), "c.xml")
    filing = Filing.unscoped.get()
    assert (filing.bind_key_info, filing.plate_verified) == ("WX8888", True)
    # Whoever means something else by it is not guessed at.
    drop(home, package(home.name, draft(bind_key_info="WX8889", plate_verified="maybe")), "d.xml")
    assert (Filing.unscoped.count(), names(home, "failed")) == (1, ["a.xml", "b.xml", "d.xml"])


def test_the_same_file_again_changes_nothing(home):
    content = package(home.name, draft(1))
    drop(home, content)
    before = (home / "answers" / names(home, "answers")[0]).read_bytes()
    drop(home, content)
    drop(home, content, "b.xml")
    assert (Filing.unscoped.count(), DropFile.unscoped.count()) == (1, 1)
    assert [(home / "answers" / name).read_bytes() for name in names(home, "answers")] == [before]
    assert len(names(home, "done")) == 3


def test_another_file_under_a_used_id_is_refused(home):
    message_id = uuid4()
    drop(home, package(home.name, draft(1), message_id=message_id))
    drop(home, package(home.name, draft(2), message_id=message_id), "b.xml")
    assert sorted(text(answer, "Code") for answer in answers(home)) == ["", "ID_REUSED"]
    assert (Filing.unscoped.count(), names(home, "failed")) == (1, ["b.xml"])


DOCTYPE = '<!DOCTYPE x [<!ENTITY a "b">]>'
HOSTILE = {
    "no XML": (lambda home: b"<Package", "NOT_XML"),
    "entities": (lambda home: package(home.name, draft(1), prolog=DOCTYPE), "DOCTYPE"),
    "something else": (lambda home: b"<x/>", "NOT_A_PACKAGE"),
    "of another enterprise": (lambda home: package("91210200MA0000000X", draft(1)), "WRONG_SENDER"),
    "another message": (lambda home: package(home.name, draft(1)).replace(b"SGW301", b"SGW999"), "UNKNOWN_TYPE"),
    "an element that is none": (lambda home: package(home.name, draft(1)).replace(b"<Head>", b"<Head><Status>stored</Status>"), "SCHEMA"),
    "a number of ours": (
        lambda home: package(home.name, draft(1)).replace(b"<Head>", b"<Head><SeqNo>202600000000000001</SeqNo>"),
        "SCHEMA",
    ),
    "nothing in it": (lambda home: package(home.name), "SCHEMA"),
}


@pytest.mark.parametrize(("content", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_such_file_is_refused_and_kept(home, content, code):
    drop(home, content(home), age=drops.YOUNG_SECONDS + 1)
    (answer,) = answers(home)
    assert (text(answer, "Result"), text(answer, "Code")) == ("REFUSED", code)
    assert (names(home, "in"), names(home, "failed"), Filing.unscoped.count()) == ([], ["a.xml"], 0)


def test_too_large_and_no_file_at_all(home, settings):
    settings.RELAY_MAX_MESSAGE_BYTES = 100
    (home / "in" / "d.xml").mkdir()
    (home / "in" / "l.xml").symlink_to("/etc/passwd")
    drop(home, b"x" * 101)
    assert sorted(text(answer, "Code") for answer in answers(home)) == ["NOT_A_FILE", "NOT_A_FILE", "TOO_LARGE"]
    assert names(home, "failed") == ["a.xml", "d.xml", "l.xml"]


def test_what_is_still_being_written_is_left_alone(home):
    content = package(home.name, draft(1))
    for name in (".a.xml", "a.xml.tmp", "a.txt"):
        drop(home, content, name)
    drop(home, content[:-40])
    assert (names(home, "in"), Filing.unscoped.count(), names(home, "answers")) == (["a.txt", "a.xml", "a.xml.tmp"], 0, [])
    drop(home, content)
    assert Filing.unscoped.count() == 1


class PowerCutError(BaseException):
    """What no code catches."""


@pytest.mark.parametrize("step", ["create_filings", "Boxes.put_answer", "Boxes.put_away", "messages.answer", "write_whole", "flush"])
def test_whatever_dies_the_file_is_taken_once(home, step):
    content = package(home.name, draft(1), draft(2))
    with mock.patch(f"smartgate.drops.services.{step}", side_effect=PowerCutError), pytest.raises(PowerCutError):
        drop(home, content)
    assert names(home, "in") == ["a.xml"]
    tasks.take_drops()
    assert (Filing.unscoped.count(), len(answers(home)), names(home, "done"), names(home, "in")) == (2, 1, ["a.xml"], [])


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_take_it_once(home):
    (home / "in" / "a.xml").write_bytes(package(home.name, draft(1)))
    at_once(*[tasks.take_drops] * 4)
    tasks.take_drops()
    assert (Filing.unscoped.count(), DropFile.unscoped.count(), names(home, "done")) == (1, 1, ["a.xml"])


def test_later_states_and_receipts_are_told_once(home, administrator):
    drop(home, package(home.name, draft(1)))
    assert answers(home, "SGW303") == [], "the answer has told of the draft"
    filing = Filing.unscoped.get()
    services.declare_filing(actor=administrator, filing_id=filing.pk)
    tasks.take_drops()
    tasks.take_drops()
    (told,) = answers(home, "SGW303")
    filing.refresh_from_db()
    assert (text(told, "Reference"), text(told, "SeqNo"), text(told, "Version")) == ("R-1", filing.data_center_no, "1")
    assert (text(told, "Status"), text(told, "StatusName")) == ("declared", "申报")
    apply_event(filing, states.Event.RELAY_REFUSED, at=filing.status_at, note="海关端未能接收报文", message_id=filing.message_id)
    tasks.take_drops()
    assert {text(one, "Note") for one in answers(home, "SGW303")} == {"", "海关端未能接收报文"}
    services.delete_filing(actor=administrator, filing_id=filing.pk)
    tasks.take_drops()
    assert "已删除" in {text(one, "StatusName") for one in answers(home, "SGW303")}


def test_an_answer_that_could_not_be_written_is_written_later(home, administrator):
    drop(home, package(home.name, draft(1)))
    services.declare_filing(actor=administrator, filing_id=Filing.unscoped.get().pk)
    with mock.patch("smartgate.drops.services.write_whole", side_effect=OSError("disk full")):
        tasks.take_drops()
    assert DroppedFiling.unscoped.get().told_version == 1
    tasks.take_drops()
    assert len(answers(home, "SGW303")) == 1


def test_one_broken_directory_keeps_no_other_waiting(home, root, other_operator):
    theirs = root / other_operator.enterprise.credit_code
    theirs.mkdir()
    (theirs / "in").write_text("a file where a directory should be")
    drop(home, package(home.name, draft(1)))
    assert Filing.unscoped.count() == 1


def test_a_file_that_nobody_can_digest_keeps_no_other_waiting(home):
    (home / "in" / "a.xml").write_bytes(package(home.name, draft(1)))
    real = drops.take
    with mock.patch.object(drops, "take", lambda enterprise, boxes, name: 1 / 0 if name == "a.xml" else real(enterprise, boxes, name)):
        drop(home, package(home.name, draft(2)), "b.xml")
    assert (names(home, "in"), names(home, "done"), Filing.unscoped.count()) == (["a.xml"], ["b.xml"], 1)


def test_without_an_administrator_it_says_so(home, administrator):
    administrator.is_active = False
    administrator.save()
    drop(home, package(home.name, draft(1)))
    assert [text(answer, "Code") for answer in answers(home)] == ["NO_ACCOUNT"]
    assert not Filing.unscoped.exists()


def test_nowhere_to_look_is_no_error(settings, tmp_path):
    for place in (None, tmp_path / "nowhere"):
        settings.SMARTGATE_DROP_ROOT = place
        assert drops.take_all() == 0


def test_the_published_types_are_the_ones_in_use():
    assert {messages.DRAFTS, messages.ANSWER, messages.STATE} == {"SGW301", "SGW302", "SGW303"}
