"""The drop folder: drafts from other software, each file once, answered field by field, told what became of them (SGW-10)."""

import errno
import hashlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import F
from lxml import etree
from structlog.testing import capture_logs

from accounts.models import Enterprise
from core.models import AuditEntry
from relay import schemas
from relay.envelope import NS, q
from smartgate import services, states, tasks
from smartgate.drops import boxes as boxes_module
from smartgate.drops import messages
from smartgate.drops import services as drops
from smartgate.drops.boxes import Boxes, cut
from smartgate.drops.models import DropFile, DroppedFiling
from smartgate.messages import HEADER_FIELDS, LINE_FIELDS
from smartgate.models import Filing, FilingReceipt, FilingStatus
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


def claimed(home: Path) -> list[str]:
    return names(home, "in/.taking")


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


def test_a_file_with_very_many_items_is_refused_before_any_form_is_asked(home, monkeypatch):
    monkeypatch.setattr(drops, "FilingForm", None)
    monkeypatch.setattr(drops, "MOST_ITEMS", 3)
    drop(home, package(home.name, draft(1, lines=[LINE] * 2), draft(2, lines=[{}] * 2)))
    (answer,) = answers(home)
    assert (text(answer, "Code"), "共有表体 4 条" in text(answer, "Note"), names(home, "failed")) == ("TOO_MANY", True, ["a.xml"])
    assert not DropFile.unscoped.exists()


def test_no_form_is_asked_for_more_lines_than_a_page_has(home, monkeypatch):
    monkeypatch.setattr(drops, "FilingLineForm", None)
    drop(home, package(home.name, draft(1, lines=[{}] * 201)))
    (answer,) = answers(home)
    assert [text(one, "Text") for one in answer.iter(q("Error"))] == ["表体信息不能超过 200 条，现有 201 条。"]


def test_after_very_many_errors_no_more_are_looked_for(home, monkeypatch):
    monkeypatch.setattr(drops, "MOST_ERRORS", 3)
    wrong = {"customs_code": "9999", "bind_key_info": "辽BO2345"}
    asked = []
    real = drops.FilingForm
    monkeypatch.setattr(drops, "FilingForm", lambda values: asked.append(values) or real(values))
    drop(home, package(home.name, *(draft(number, **wrong) for number in range(4))))
    (answer,) = answers(home)
    assert [len(one.findall(q("Error"))) for one in answer.iterfind(q("Draft"))] == [2, 1, 0, 0]
    assert ("只列出前 3 处" in text(answer, "Note"), len(asked), Filing.unscoped.count()) == (True, 2, 0)


def test_it_is_checked_outside_of_the_transaction(home):
    """The forms take seconds for a large file."""
    at = []
    depth = len(connection.savepoint_ids)
    real = drops.FilingForm
    with mock.patch.object(drops, "FilingForm", lambda values: at.append(len(connection.savepoint_ids)) or real(values)):
        drop(home, package(home.name, draft(1)))
    assert (at, Filing.unscoped.count()) == ([depth], 1)


def test_what_another_worker_stored_during_the_check_is_stored_once(home):
    content = package(home.name, draft(1))
    real = drops._all_checked

    def meanwhile(drafts):
        checked = real(drafts)
        with mock.patch.object(drops, "_all_checked", real):
            drops._stored(Enterprise.objects.get(credit_code=home.name), message_id, digest, drafts)
        return checked

    message_id, digest = UUID(etree.fromstring(content).findtext(f".//{q('message_id')}")), hashlib.sha256(content).hexdigest()
    with mock.patch.object(drops, "_all_checked", meanwhile):
        drop(home, content)
    assert (Filing.unscoped.count(), DropFile.unscoped.count(), names(home, "done")) == (1, 1, ["a.xml"])


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


STEPS = ["services.create_filings", "services.messages.answer", "boxes.Boxes.begin", "boxes.Boxes.put_answer", "boxes.Boxes.put_away"]


@pytest.mark.parametrize("step", [*STEPS, "boxes.write_whole", "boxes.flush"])
def test_whatever_dies_the_file_is_taken_once(home, step):
    content = package(home.name, draft(1), draft(2))
    with mock.patch(f"smartgate.drops.{step}", side_effect=PowerCutError), pytest.raises(PowerCutError):
        drop(home, content)
    assert (names(home, "in"), len(claimed(home))) == ([], 1)
    tasks.take_drops()
    assert (Filing.unscoped.count(), len(answers(home)), names(home, "done"), claimed(home)) == (2, 1, ["a.xml"], [])


#: What dies closes no files; Python does it afterwards, and says so.
AS_A_DEATH = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@contextmanager
def power_cut_at(number: int) -> Iterator[list[str]]:
    """Die before the `number`th line of smartgate.drops that this run comes to, no line counted twice; gives the lines it came to."""
    package_path = os.path.dirname(boxes_module.__file__)
    lines: list[str] = []

    def trace(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(package_path):
            return None
        if event == "line":
            line = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
            if line not in lines:
                lines.append(line)
                if len(lines) == number:
                    raise PowerCutError(line)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    except PowerCutError:
        pass
    finally:
        sys.settrace(before)


def deaths(prepare: Callable[[], None]) -> Iterator[int]:
    """Run the worker again and again, each time dying one line further on, until it comes through."""
    number = 0
    while True:
        number += 1
        prepare()
        with power_cut_at(number) as lines:
            tasks.take_drops()
        yield number
        if len(lines) < number:
            return


@AS_A_DEATH
def test_it_may_die_before_any_line_and_takes_a_file_once(home):
    sent: list[UUID] = []

    def prepare() -> None:
        sent.append(uuid4())
        (home / "in" / "a.xml").write_bytes(package(home.name, draft(len(sent)), message_id=sent[-1]))

    for _number in deaths(prepare):
        tasks.take_drops()
        assert (Filing.unscoped.count(), names(home, "in"), claimed(home)) == (len(sent), [], [])
        assert (home / "answers" / f"SGW302_{sent[-1]}.xml").exists()
        assert len(names(home, "done")) == len(sent)
    assert len(sent) > 100


@AS_A_DEATH
def test_it_may_die_before_any_line_and_refuses_a_file_once(home):
    count = 0

    def prepare() -> None:
        nonlocal count
        count += 1
        (home / "in" / "a.xml").write_bytes(package("91210200MA0000000X", draft(count)))

    for _number in deaths(prepare):
        tasks.take_drops()
        assert (len(answers(home)), len(names(home, "failed")), claimed(home)) == (count, count, [])
    assert count > 60


def test_what_gets_the_name_of_a_file_that_is_being_taken_is_taken_itself(home):
    """The software renames the next file over the last one while that is being stored."""
    first, second = uuid4(), uuid4()
    real = drops.create_filings

    def meanwhile(**options):
        if not Filing.unscoped.exists():
            (home / "in" / "b.tmp").write_bytes(package(home.name, draft(2), message_id=second))
            (home / "in" / "b.tmp").rename(home / "in" / "a.xml")
        return real(**options)

    with mock.patch.object(drops, "create_filings", meanwhile):
        drop(home, package(home.name, draft(1), message_id=first))
    tasks.take_drops()
    assert {path.name for path in (home / "answers").glob("SGW302_*")} == {f"SGW302_{one}.xml" for one in (first, second)}
    assert (Filing.unscoped.count(), len(names(home, "done")), names(home, "in")) == (2, 2, [])


def test_what_is_written_into_a_file_that_is_being_taken_is_taken_itself(home):
    """The same through a descriptor that was opened before: the file that is moved would be another one than was read."""
    later = package(home.name, draft(2), draft(3))
    real = drops.create_filings

    def meanwhile(**options):
        if not Filing.unscoped.exists():
            (home / "in" / ".taking" / claimed(home)[0]).write_bytes(later)
        return real(**options)

    with mock.patch.object(drops, "create_filings", meanwhile):
        drop(home, package(home.name, draft(1)))
    assert names(home, "done") == []
    tasks.take_drops()
    assert (Filing.unscoped.count(), names(home, "done")) == (3, ["a.xml"])
    assert (home / "done" / "a.xml").read_bytes() == later


def test_while_one_worker_is_at_a_folder_the_others_leave_it_alone(home):
    (home / "in" / "a.xml").write_bytes(package(home.name, draft(1)))
    with Boxes(home).alone() as is_alone:
        assert is_alone
        tasks.take_drops()
        assert names(home, "in") == ["a.xml"]
    tasks.take_drops()
    assert names(home, "done") == ["a.xml"]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_take_it_once(home):
    (home / "in" / "a.xml").write_bytes(package(home.name, draft(1)))
    at_once(*[tasks.take_drops] * 4)
    tasks.take_drops()
    assert (Filing.unscoped.count(), DropFile.unscoped.count(), names(home, "done")) == (1, 1, ["a.xml"])


@pytest.mark.django_db(transaction=True)
def test_they_take_it_once_where_locks_do_not_reach(home):
    """A shared disk that passes no locks on: the workers meet at the renames and in the database."""
    for number in range(5):
        (home / "in" / f"{number}.xml").write_bytes(package(home.name, draft(number)))
    with mock.patch.object(Boxes, "alone", return_value=nullcontext(True)):
        at_once(*[tasks.take_drops] * 4)
    with mock.patch.object(boxes_module, "time", SimpleNamespace(time=lambda: time.time() + boxes_module.MOST_DELAY)):
        tasks.take_drops()
    assert (Filing.unscoped.count(), DropFile.unscoped.count(), claimed(home)) == (5, 5, [])
    assert (len(names(home, "done")), len(answers(home))) == (5, 5)


@pytest.mark.parametrize("refusal", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_that_knows_no_locks_is_worked_on_all_the_same(home, refusal):
    with mock.patch.object(boxes_module.fcntl, "flock", side_effect=OSError(refusal, "no locks here")):
        for number in range(2):
            drop(home, package(home.name, draft(number)))
    assert (Filing.unscoped.count(), len(answers(home))) == (2, 2)
    assert [name for name in names(home, "done") if not re.match("[0-9a-f]{16}-", name)] == [], "a free name may be taken the next moment"


def test_one_file_that_cannot_be_deleted_keeps_no_other(home, settings):
    settings.SMARTGATE_DROP_KEEP_DAYS = 90
    for box, name in (("done", "a.xml"), ("done", "b.xml"), ("failed", "c.xml")):
        (home / box).mkdir(exist_ok=True)
        (home / box / name).write_bytes(b"x")
    unlink = os.unlink

    def refuses(path, **options):
        if str(path).endswith("a.xml"):
            raise PermissionError(errno.EPERM, "immutable")
        unlink(path, **options)

    with days_later(91), mock.patch.object(boxes_module.os, "unlink", refuses), capture_logs() as logs:
        assert drops.forget_old() == 2
    assert (names(home, "done"), names(home, "failed")) == (["a.xml"], [])
    (told,) = [entry for entry in logs if entry["event"] == "drop_not_deleted"]
    assert (told["count"], told["file"]) == (1, "a.xml")


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


def receipt_of(filing, number=1):
    """A receipt that has no effect."""
    FilingReceipt.unscoped.create(
        enterprise=filing.enterprise,
        filing=filing,
        receipt_no=f"R{number}",
        event="STORED",
        version=1,
        event_time=filing.status_at,
        received_at=filing.status_at,
        applied=False,
        message_id=uuid4(),
    )


def test_of_two_states_the_newer_one_is_known_by_its_number(home, administrator):
    drop(home, package(home.name, draft(1)))
    filing = Filing.unscoped.get()
    receipt_of(filing)
    tasks.take_drops()
    services.declare_filing(actor=administrator, filing_id=filing.pk)
    tasks.take_drops()
    filing.refresh_from_db()
    apply_event(filing, states.Event.RELAY_REFUSED, at=filing.status_at, note="", message_id=filing.message_id)
    receipt_of(filing, 2)
    receipt_of(filing, 3)
    tasks.take_drops()
    FilingReceipt.unscoped.all().update(disowned=True)
    services.delete_filing(actor=administrator, filing_id=filing.pk)
    tasks.take_drops()
    told = sorted((int(text(one, "Change")), len(one.findall(q("Receipt"))), text(one, "StatusName")) for one in answers(home, "SGW303"))
    assert [(receipts, status) for _number, receipts, status in told] == [
        (1, "暂存"),
        (1, "申报"),
        (3, "发往内网失败"),
        (3, "已删除"),
    ]
    assert len({number for number, *_rest in told}) == 4
    assert text(answers(home, "SGW303")[0], "StatusTime")


def test_what_changes_while_it_is_told_is_told_again(home, administrator):
    drop(home, package(home.name, draft(1)))
    filing = Filing.unscoped.get()
    services.declare_filing(actor=administrator, filing_id=filing.pk)
    real = Boxes.put_answer

    def meanwhile(boxes, name, content):
        real(boxes, name, content)
        if not FilingReceipt.unscoped.exists():
            receipt_of(filing)

    with mock.patch.object(Boxes, "put_answer", meanwhile):
        tasks.take_drops()
    assert len(answers(home, "SGW303")) == 1
    tasks.take_drops()
    tasks.take_drops()
    assert sorted(len(one.findall(q("Receipt"))) for one in answers(home, "SGW303")) == [0, 1]


def test_telling_asks_for_what_is_new_alone(home, administrator, django_assert_num_queries):
    drop(home, package(home.name, *(draft(number) for number in range(5))))
    boxes, enterprise = Boxes(home), administrator.enterprise
    with django_assert_num_queries(1):
        assert drops.tell(enterprise, boxes) == 0
    for filing in Filing.unscoped.order_by("pk")[:3]:
        receipt_of(filing)
        receipt_of(filing, 2)
    with django_assert_num_queries(2 + 3):
        assert drops.tell(enterprise, boxes) == 3
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        news = DroppedFiling.unscoped.filter(enterprise=enterprise, told__lt=F("changes")).order_by("pk")
        assert "dropped_filing_news" in news.explain()


def test_a_state_that_cannot_be_told_keeps_no_other_waiting(home, administrator):
    drop(home, package(home.name, draft(1), draft(2)))
    first, second = Filing.unscoped.order_by("pk")
    for filing in (first, second):
        receipt_of(filing)
    Filing.unscoped.filter(pk=first.pk).update(status_note="\x02")
    tasks.take_drops()
    assert [text(one, "SeqNo") for one in answers(home, "SGW303")] == [second.data_center_no]
    Filing.unscoped.filter(pk=first.pk).update(status_note="")
    tasks.take_drops()
    assert len(answers(home, "SGW303")) == 2


def test_a_file_from_a_clock_that_is_ahead_is_not_waited_for(home):
    drop(home, b"<Package", age=-drops.YOUNG_SECONDS - 60)
    assert names(home, "failed") == ["a.xml"]


def test_filings_that_came_another_way_are_not_counted(home, administrator):
    filing = make_filing(administrator)
    services.declare_filing(actor=administrator, filing_id=filing.pk)
    tasks.take_drops()
    assert (DroppedFiling.unscoped.count(), names(home, "answers")) == (0, [])


@AS_A_DEATH
def test_it_may_die_before_any_line_and_tells_every_state(home):
    drop(home, package(home.name, draft(1)))
    filing = Filing.unscoped.get()
    count = 0

    def prepare() -> None:
        nonlocal count
        count += 1
        receipt_of(filing, count)

    for _number in deaths(prepare):
        tasks.take_drops()
        told = max(answers(home, "SGW303"), key=lambda one: int(text(one, "Change")))
        assert len(told.findall(q("Receipt"))) == count
        assert len(answers(home, "SGW303")) == count
    assert count > 40


def test_an_answer_that_could_not_be_written_is_written_later(home, administrator):
    drop(home, package(home.name, draft(1)))
    services.declare_filing(actor=administrator, filing_id=Filing.unscoped.get().pk)
    with mock.patch("smartgate.drops.boxes.write_whole", side_effect=OSError("disk full")):
        tasks.take_drops()
    assert DroppedFiling.unscoped.get().told == 1
    tasks.take_drops()
    assert len(answers(home, "SGW303")) == 1


def test_one_broken_directory_keeps_no_other_waiting(home, root, other_operator):
    theirs = root / other_operator.enterprise.credit_code
    theirs.mkdir()
    (theirs / "in").write_text("a file where a directory should be")
    drop(home, package(home.name, draft(1)))
    assert Filing.unscoped.count() == 1


@contextmanager
def indigestible(prefix="bad", failure=ZeroDivisionError):
    """Files whose names begin so make our own program fail."""
    real = drops.take

    def take(enterprise, boxes, one):
        if one.name.startswith(prefix):
            raise failure
        return real(enterprise, boxes, one)

    with mock.patch.object(drops, "take", take):
        yield


@pytest.fixture
def clock(monkeypatch):
    """The clock by which a file's next try is put off."""
    now = SimpleNamespace(seconds=time.time())
    monkeypatch.setattr(boxes_module, "time", SimpleNamespace(time=lambda: now.seconds))
    return now


def tried_at(home: Path) -> list[tuple[int, int]]:
    """When the files that are not through are tried next, and how often they were."""
    return [(int(due), int(tries)) for due, tries, *_rest in (name.split("-", 3) for name in claimed(home))]


def test_a_file_that_nobody_can_digest_keeps_no_other_waiting(home):
    (home / "in" / "bad.xml").write_bytes(package(home.name, draft(1)))
    with indigestible():
        drop(home, package(home.name, draft(2)), "b.xml")
    assert (len(claimed(home)), names(home, "done"), Filing.unscoped.count()) == (1, ["b.xml"], 1)
    tasks.take_drops()
    assert (claimed(home), names(home, "done")) == ([], ["b.xml", "bad.xml"])


def test_more_of_them_than_a_run_takes_keep_no_other_waiting(home):
    for number in range(drops.MOST_FILES + 1):
        path = home / "in" / f"bad{number}.xml"
        path.write_bytes(b"x")
        os.utime(path, (number, number))
    with indigestible():
        drop(home, package(home.name, draft(1)))
        assert names(home, "done") == [], "the older ones come first, once"
        tasks.take_drops()
        assert (names(home, "in"), names(home, "done")) == ([], ["a.xml"])
        drop(home, package(home.name, draft(2)), "b.xml")
    assert names(home, "done") == ["a.xml", "b.xml"]


def test_what_failed_is_tried_later_and_later_and_for_ever(home, clock):
    (home / "in" / "bad.xml").write_bytes(package(home.name, draft(1)))
    waits = []
    with indigestible():
        for tries in range(1, 11):
            tasks.take_drops()
            ((due, tried),) = tried_at(home)
            assert tried == tries
            waits.append(due - int(clock.seconds))
            if waits[-1]:
                tasks.take_drops()
                assert tried_at(home) == [(due, tries)], "not before its time"
            clock.seconds = due
    assert waits == [0, 10, 20, 40, 80, 160, 320, 600, 600, 600]
    # Set back for a day: nothing waits for a day.
    clock.seconds = due - 86_400
    tasks.take_drops()
    assert (claimed(home), Filing.unscoped.count()) == ([], 1)


def test_a_file_that_kills_its_worker_is_put_off_like_the_others(home):
    (home / "in" / "bad.xml").write_bytes(package(home.name, draft(2)))
    with indigestible(failure=PowerCutError):
        for _worker in range(2):
            with pytest.raises(PowerCutError):
                tasks.take_drops()
        drop(home, package(home.name, draft(1)))
    assert names(home, "done") == ["a.xml"]


def test_a_file_that_cannot_be_read_is_its_own_trouble(home, administrator):
    """Another user's, with mode 0600: the others are taken, and what became of drafts is told."""
    drop(home, package(home.name, draft(1)))
    services.declare_filing(actor=administrator, filing_id=Filing.unscoped.get().pk)
    (home / "in" / "theirs.xml").write_bytes(b"x")
    real = drops.read_found

    def read_found(path, limit):
        if path.name.endswith("theirs.xml"):
            raise PermissionError(13, "Permission denied")
        return real(path, limit)

    with mock.patch.object(drops, "read_found", read_found):
        drop(home, package(home.name, draft(2)), "b.xml")
    assert (names(home, "in"), names(home, "done"), len(answers(home, "SGW303"))) == (["theirs.xml"], ["a.xml", "b.xml"], 1)


def test_one_that_cannot_be_answered_is_its_own_trouble(home, administrator):
    drop(home, package(home.name, draft(1)))
    services.declare_filing(actor=administrator, filing_id=Filing.unscoped.get().pk)
    full = uuid4()
    real = Boxes.put_answer

    def put_answer(boxes, name, content):
        if str(full) in name:
            raise OSError(28, "No space left on device")
        real(boxes, name, content)

    (home / "in" / "full.xml").write_bytes(package(home.name, draft(2), message_id=full))
    with mock.patch.object(Boxes, "put_answer", put_answer):
        drop(home, package(home.name, draft(3)), "b.xml")
    assert (len(claimed(home)), names(home, "done"), len(answers(home, "SGW303"))) == (1, ["a.xml", "b.xml"], 1)
    tasks.take_drops()
    assert (Filing.unscoped.count(), names(home, "done"), len(answers(home))) == (3, ["a.xml", "b.xml", "full.xml"], 3)


@pytest.mark.parametrize("box", ["done", "failed"])
def test_names_are_cut_by_bytes_and_stay_names_of_xml_files(home, box):
    name = "单" * 83 + ".xml"
    for number in range(2):
        drop(home, package(home.name if box == "done" else "91210200MA0000000X", draft(number)), name)
    first, second = sorted(names(home, box), key=len)
    assert second.endswith(f"-{first}")
    assert name.endswith(first)
    assert first.endswith("单.xml")


def test_a_short_name_is_not_cut():
    assert [cut("单据.xml"), cut("x" * 176 + ".xml"), len(cut("x" * 177 + ".xml"))] == ["单据.xml", "x" * 176 + ".xml", 180]


def test_nothing_takes_the_place_of_what_failed_before(home, settings):
    """Neither what was too large to be read, nor links that lead nowhere."""
    settings.RELAY_MAX_MESSAGE_BYTES = 100
    for letter in "xyz":
        drop(home, letter.encode() * 101)
    for number in range(2):
        (home / "in" / "l.xml").symlink_to(f"nowhere{number}")
        tasks.take_drops()
    kept = {path for path in (home / "failed").iterdir() if not path.is_symlink()}
    assert {path.read_bytes()[:1] for path in kept} == {b"x", b"y", b"z"}
    assert {os.readlink(path) for path in (home / "failed").iterdir() if path.is_symlink()} == {"nowhere0", "nowhere1"}
    notes = sorted(text(answer, "Note") for answer in answers(home))
    assert [note.split()[0] for note in notes] == ["a.xml"] * 3 + ["l.xml"] * 2


def test_no_file_is_begun_after_its_time(home):
    for number in range(3):
        (home / "in" / f"{number}.xml").write_bytes(package(home.name, draft(number)))
    with mock.patch.object(drops, "MOST_SECONDS", -1):
        tasks.take_drops()
    assert (names(home, "in"), len(claimed(home)), Filing.unscoped.count()) == ([], 3, 0)
    tasks.take_drops()
    assert Filing.unscoped.count() == 3


def test_without_an_administrator_it_says_so(home, administrator):
    administrator.is_active = False
    administrator.save()
    drop(home, package(home.name, draft(1)))
    assert [text(answer, "Code") for answer in answers(home)] == ["NO_ACCOUNT"]
    assert not Filing.unscoped.exists()


@contextmanager
def days_later(days: float) -> Iterator[None]:
    """The clock of housekeeping is set forward; nobody can set back when a file was moved."""
    later = time.time() + days * 86_400
    with (
        mock.patch.object(boxes_module, "time", SimpleNamespace(time=lambda: later)),
        mock.patch("django.utils.timezone.now", return_value=datetime.fromtimestamp(later, UTC)),
    ):
        yield


def test_files_lie_there_for_some_time_and_are_known_for_ever(home, settings):
    right, wrong = package(home.name, draft(1), draft(2)), package(home.name, draft(3, customs_code="9999"))
    # As the sender wrote them years ago: it counts since when they lie here.
    drop(home, right, "a.xml", age=10**8)
    drop(home, wrong, "b.xml", age=10**8)
    (home / "failed" / "somebody's").mkdir()
    (home / "answers" / ".writing" / "x.tmp").write_bytes(b"x")
    before = {path.name: path.read_bytes() for path in (home / "answers").glob("*.xml")}
    boxes = (names(home, "done"), names(home, "failed"), names(home, "answers"))
    with days_later(1 / 48):
        tasks.forget_imports()
    assert (home / "answers" / ".writing" / "x.tmp").exists()
    with days_later(89):
        tasks.forget_imports()
        assert boxes == (names(home, "done"), names(home, "failed"), names(home, "answers"))
        assert list((home / "answers" / ".writing").iterdir()) == []
    assert not DropFile.unscoped.filter(answer=b"").exists()
    settings.SMARTGATE_DROP_KEEP_DAYS = 0
    with days_later(10_000):
        tasks.forget_imports()
    assert boxes == (names(home, "done"), names(home, "failed"), names(home, "answers"))
    settings.SMARTGATE_DROP_KEEP_DAYS = 90
    with days_later(91):
        tasks.forget_imports()
    assert (names(home, "done"), names(home, "failed"), names(home, "answers")) == ([], ["somebody's"], [])
    assert DropFile.unscoped.filter(answer=b"").count() == 2
    drop(home, right, "c.xml")
    drop(home, wrong, "d.xml")
    assert (Filing.unscoped.count(), DropFile.unscoped.count(), names(home, "done")) == (2, 2, ["c.xml"])
    after = {path.name: path.read_bytes() for path in (home / "answers").glob("*.xml")}
    assert after.keys() == before.keys()
    assert sum(after[name] == before[name] for name in before) == 1
    assert sorted(text(answer, "Code") for answer in answers(home)) == ["", "REFUSED_BEFORE"]


def test_what_became_of_drafts_is_told_long_after_their_file_is_gone(home, administrator):
    drop(home, package(home.name, draft(1)))
    with days_later(91):
        tasks.forget_imports()
    receipt_of(Filing.unscoped.get())
    tasks.take_drops()
    assert len(answers(home, "SGW303")) == 1


def test_nowhere_to_look_is_no_error(settings, tmp_path):
    for place in (None, tmp_path / "nowhere"):
        settings.SMARTGATE_DROP_ROOT = place
        assert (drops.take_all(), drops.forget_old()) == (0, 0)


def test_the_published_types_are_the_ones_in_use():
    assert {messages.DRAFTS, messages.ANSWER, messages.STATE} == {"SGW301", "SGW302", "SGW303"}
