"""Customs as a process of its own (RLY-06): what it accepts, what it answers, and that it survives being killed."""

import hashlib
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from lxml import etree

from relay import schemas
from tests.relay.messages import filing, package, read_fields, technical

DEADLINE = 20.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Look again until `condition` holds; what it returned."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {DEADLINE} s: {what}")


@dataclass
class Office:
    """A running simulator and the portal's side of its boxes."""

    home: Path
    options: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def journal_path(self) -> Path:
        return self.home / "journal.jsonl"

    def start(self) -> None:
        for box in ("OutBox", "SentBox", "InBox", "FailBox"):
            (self.home / box).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "simulators.customs", "--root", str(self.home), "--journal", str(self.journal_path)]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--poll", "0.02", *self.options], cwd=settings.BASE_DIR, stderr=log, stdout=subprocess.DEVNULL
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=DEADLINE)

    def send(self, content: bytes, message_id: uuid.UUID, message_type: str = "SGW101", name: str = "") -> str:
        name = name or f"{message_type}_{message_id}.xml"
        beside = self.home / "OutBox" / f".{name}"
        beside.write_bytes(content)
        beside.rename(self.home / "OutBox" / name)
        return name

    def file(self, plate: str = "辽B12345", number: int = 1, **options: Any) -> tuple[uuid.UUID, bytes]:
        """Send a filing; its id and bytes."""
        message_id = uuid.uuid4()
        content = package(
            filing(number, plate=plate, **options), message_type="SGW101", message_id=message_id, sender="LNSW", receiver="customs"
        )
        self.send(content, message_id)
        return message_id, content

    def journal(self) -> list[dict[str, Any]]:
        return (
            [json.loads(line) for line in self.journal_path.read_text(encoding="utf-8").splitlines()] if self.journal_path.exists() else []
        )

    def came(self, message_type: str) -> list[bytes]:
        """What customs has put into InBox, oldest first; each is checked against the published schema."""
        paths = sorted((self.home / "InBox").glob(f"*{message_type}_*.xml"), key=lambda path: path.stat().st_mtime_ns)
        contents = [path.read_bytes() for path in paths]
        for content in contents:
            schemas.validate(etree.fromstring(content), message_type)
        return contents

    def events(self) -> list[str]:
        return [read_fields(content, "Event")[0] for content in self.came("SGW102")]

    def names(self, box: str) -> list[str]:
        return sorted(path.name for path in (self.home / box).iterdir() if path.is_file())


@pytest.fixture
def office(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Office]:
    """A simulator that answers at once; options by indirect parameter."""
    it = Office(tmp_path, list(getattr(request, "param", [])))
    it.start()
    yield it
    assert it.process is not None
    if it.process.poll() is None:
        it.process.kill()
        it.process.wait()


@pytest.mark.covers("RLY-06")
def test_filing_is_journalled_receipted_and_answered(office: Office) -> None:
    message_id, content = office.file(lines=3)
    until(lambda: office.events() == ["STORED"], "the answer")
    (line,) = office.journal()
    assert (line["message_id"], line["type"], line["function"], line["version"]) == (str(message_id), "SGW101", "ADD", 1)
    assert (line["SeqNo"], line["BindKeyInfo"], line["lines"]) == ("202600000000000001", "辽B12345", 3)
    assert line["sha256"] == hashlib.sha256(content).hexdigest()
    (stored,) = office.came("RCV001")
    assert read_fields(stored, "RefMessageId", "Result") == [str(message_id), "STORED"]
    (answer,) = office.came("SGW102")
    assert read_fields(answer, "in_reply_to", "sender_id", "receiver_id") == ["customs", "LNSW", str(message_id)]
    assert office.names("SentBox") == [f"SGW101_{message_id}.xml"]
    assert office.names("OutBox") == []


@pytest.mark.covers("RLY-06")
@pytest.mark.parametrize("office", [["--answer-delay", "0.1"]], indirect=True)
@pytest.mark.parametrize(
    ("plate", "expected"),
    [
        ("辽BREJ01", ["REJECTED"]),
        ("辽BSWP01", ["CLOSED", "STORED"]),
        ("辽BTWC01", ["STORED"] * 4),
        ("辽BLCK01", ["STORED", "LOCKED"]),
        ("辽BUNL01", ["STORED", "LOCKED", "UNLOCKED"]),
        ("辽BCLS01", ["STORED", "CLOSED"]),
        ("辽BMAN01", ["STORED", "CLOSED_MANUALLY"]),
        ("辽BDEP01", ["STORED", "CLOSED", "DEPARTED"]),
    ],
)
def test_plate_chooses_what_happens(office: Office, plate: str, expected: list[str]) -> None:
    office.file(plate)
    until(lambda: len(office.came("SGW102")) == len(expected), f"{len(expected)} answers")
    assert office.events() == expected
    numbers = {read_fields(content, "ReceiptNo")[0] for content in office.came("SGW102")}
    assert len(numbers) == len(set(expected)), "one receipt has one number, however often it is sent"


def test_twice_means_two_messages_each_of_them_repeated(office: Office) -> None:
    office.file("辽BTWC01")
    until(lambda: len(office.came("SGW102")) == 4, "four files")
    ids = [read_fields(content, "message_id")[0] for content in office.came("SGW102")]
    assert len(set(ids)) == 2
    assert len(set(office.came("SGW102"))) == 2


@pytest.mark.parametrize(("plate", "expected"), [("辽B12345", "CHANGE_ACCEPTED"), ("辽BCRJ01", "CHANGE_REJECTED")])
def test_change_is_answered_as_a_change(office: Office, plate: str, expected: str) -> None:
    office.file(plate, function="MOD", version=2)
    until(lambda: office.events() == [expected], expected)


@pytest.mark.parametrize(
    ("remark", "expected"),
    [("请改走二号通道", "CHANGE_ACCEPTED"), ("请改走二号通道 CRJ01", "CHANGE_REJECTED"), ("XYZ01", "CHANGE_ACCEPTED")],
)
def test_the_remark_of_a_change_decides_before_the_plate(office: Office, remark: str, expected: str) -> None:
    office.file("辽BACC01", remark=remark)
    office.file("辽BACC01", function="MOD", version=2, base=1, remark=remark)
    until(lambda: office.events() == ["STORED", expected], expected)
    assert [line["base"] for line in office.journal()] == [None, 1]


def test_customs_changes_only_what_it_holds(office: Office) -> None:
    """Also after it was killed: what it holds follows from the journal."""

    def said(event: str, number: int) -> None:
        until(lambda: office.events()[-1:] == [event] and len(office.events()) == number, f"answer {number}: {event}")

    office.file()
    said("STORED", 1)
    office.file(function="MOD", version=2, base=1, remark="CRJ01")
    said("CHANGE_REJECTED", 2)
    office.file(function="MOD", version=3, base=1)
    said("CHANGE_ACCEPTED", 3)
    office.stop(signal.SIGKILL)
    office.start()
    office.file(function="DEL", version=4, base=1)
    said("CHANGE_REJECTED", 4)
    assert read_fields(office.came("SGW102")[-1], "Code") == ["E1311"]
    office.file(function="DEL", version=5, base=3)
    said("CHANGE_ACCEPTED", 5)
    office.file(function="MOD", version=6, base=5)
    said("CHANGE_REJECTED", 6)


@pytest.mark.parametrize("office", [["--behaviour", "reject"]], indirect=True)
def test_option_sets_what_happens_to_other_plates(office: Office) -> None:
    office.file("辽B12345", 1)
    office.file("辽BACC01", 2)
    until(lambda: sorted(office.events()) == ["REJECTED", "STORED"], "both answers")


def test_silent_customs_takes_it_once_and_speaks_at_the_third_copy(office: Office) -> None:
    message_id, content = office.file("辽BMUT01")
    for copy in (1, 2):
        until(lambda: office.names("OutBox") == [], f"copy {copy} taken")
        assert office.names("InBox") == []
        office.send(content, message_id)
    until(lambda: office.events() == ["STORED"], "the answer")
    assert len(office.came("RCV001")) == 1
    assert len(office.journal()) == 1


def test_customs_that_never_answers(office: Office) -> None:
    office.file("辽BNEV01", 1)
    office.file("辽B12345", 2)
    until(lambda: office.events() == ["STORED"], "the other's answer")
    assert len(office.journal()) == 2
    assert len(office.came("RCV001")) == 1


def test_answer_without_a_technical_receipt(office: Office) -> None:
    office.file("辽BNRC01")
    until(lambda: office.events() == ["STORED"], "the answer")
    assert office.came("RCV001") == []


def test_refused_by_receipt_and_by_fail_box(office: Office) -> None:
    refused, _ = office.file("辽BRFS01", 1)
    failed, _ = office.file("辽BFAL01", 2)
    until(lambda: office.names("FailBox") == [f"SGW101_{failed}.xml"], "the file in FailBox")
    (answer,) = until(lambda: office.came("RCV001"), "the refusal")
    assert read_fields(answer, "RefMessageId", "Result") == [str(refused), "REJECTED"]
    assert office.journal() == []


@pytest.mark.covers("RLY-06")
def test_repeats_are_dropped_and_receipted_again(office: Office) -> None:
    message_id, content = office.file()
    until(lambda: office.events() == ["STORED"], "the answer")
    (first,) = office.came("RCV001")
    for path in (office.home / "InBox").glob("*.xml"):
        path.unlink()
    office.send(content, message_id)
    assert until(lambda: office.came("RCV001"), "the receipt again") == [first]
    assert len(office.journal()) == 1
    assert office.events() == []


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda content: content.replace(b">ADD<", b">PUT<"), "SCHEMA"),
        (lambda content: content[:-20], "NOT_XML"),
        (lambda content: content.replace(b"?>", b"?><!DOCTYPE Package>", 1), "DOCTYPE"),
        (lambda content: content.replace(b">SGW101<", b">SGW999<"), "UNKNOWN_TYPE"),
        (lambda content: content.replace(b">LNSW<", b">SHSW<"), "WRONG_SENDER"),
    ],
)
def test_unreadable_filing_is_refused_and_the_next_is_taken(office: Office, spoil: Callable[[bytes], bytes], code: str) -> None:
    message_id = uuid.uuid4()
    content = package(filing(), message_type="SGW101", message_id=message_id, sender="LNSW", receiver="customs")
    name = office.send(spoil(content), message_id)
    until(lambda: office.names("FailBox") == [name], "the file in FailBox")
    (answer,) = office.came("RCV001")
    assert read_fields(answer, "Result", "Code") == ["REJECTED", code]
    office.file(number=2)
    until(lambda: office.events() == ["STORED"], "the next filing's answer")


def test_same_id_with_other_bytes_is_refused(office: Office) -> None:
    message_id, content = office.file()
    until(lambda: office.events() == ["STORED"], "the answer")
    office.send(content.replace("辽B12345".encode(), "辽B54321".encode()), message_id)
    until(lambda: office.names("FailBox"), "the file in FailBox")
    assert [line["BindKeyInfo"] for line in office.journal()] == ["辽B12345"]


@pytest.mark.parametrize("office", [["--resend-after", "0.2"]], indirect=True)
def test_answer_goes_again_until_the_portal_confirms_it(office: Office) -> None:
    office.file()
    first = until(lambda: office.came("SGW102"), "the answer")
    for _ in range(2):
        for path in (office.home / "InBox").glob("SGW102*"):
            path.unlink()
        assert until(lambda: office.came("SGW102"), "the answer again") == first
    answer_id = uuid.UUID(read_fields(first[0], "message_id")[0])
    confirmation = (
        technical(answer_id).replace(b"sender_id>customs", b"sender_id>LNSW").replace(b"receiver_id>LNSW", b"receiver_id>customs")
    )
    office.send(confirmation, uuid.uuid4(), "RCV001")
    receipts = office.home / "journal.jsonl.receipts"
    until(lambda: receipts.exists() and str(answer_id) in receipts.read_text(), "the confirmation")
    for path in (office.home / "InBox").glob("SGW102*"):
        path.unlink()
    # The second filing's answer comes twice over; in that time the confirmed one would have come again.
    office.file(number=2)
    until(lambda: office.came("SGW102"), "the second filing's answer")
    for path in (office.home / "InBox").glob("SGW102*"):
        path.unlink()
    again = until(lambda: office.came("SGW102"), "the second filing's answer again")
    assert [read_fields(content, "message_id")[0] for content in again] != [str(answer_id)]


@pytest.mark.covers("RLY-06")
@pytest.mark.parametrize("office", [["--answer-delay", "1.0"]], indirect=True)
def test_killed_customs_owes_its_answers_still(office: Office) -> None:
    taken = [office.file(number=number)[0] for number in range(1, 6)]
    until(lambda: len(office.journal()) == 5, "the journal")
    office.stop(signal.SIGKILL)
    with office.journal_path.open("ab") as journal:
        journal.write(b'{"at": "2026-')  # a line that the kill cut short
    office.start()
    until(lambda: len(office.came("SGW102")) == 5, "all answers")
    assert sorted(line["message_id"] for line in office.journal()) == sorted(map(str, taken))
    answered = [read_fields(content, "in_reply_to")[0] for content in office.came("SGW102")]
    assert sorted(answered) == sorted(map(str, taken))


@pytest.mark.covers("RLY-06")
def test_file_taken_twice_around_a_kill_is_journalled_once(office: Office) -> None:
    message_id, content = office.file()
    until(lambda: office.events() == ["STORED"], "the answer")
    office.stop(signal.SIGKILL)
    office.send(content, message_id)  # as if it had died before moving the file
    office.start()
    until(lambda: office.names("OutBox") == [], "the file taken again")
    assert len(office.journal()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly(office: Office, number: int) -> None:
    office.file()
    until(lambda: office.events() == ["STORED"], "the answer")
    assert office.stop(number) == 0
    assert "Traceback" not in (office.home / "log").read_text()


@pytest.mark.covers("RLY-06")
def test_it_imports_nothing_of_the_portal() -> None:
    code = "import sys, simulators.customs.customs; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.replace("'", '"')))
    assert loaded.isdisjoint({"django", "portal", "smartgate", "relay", "accounts", "reference", "core"})
