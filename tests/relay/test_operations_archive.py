"""`relay_archive`: what housekeeping wrote is found again, whole and verified, and what is damaged is said to be."""

import gzip
import tracemalloc
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from relay.models import InboundMessage, InboundState, OutboundMessage
from relay.services.operations import archive, housekeeping
from tests.relay.commands import typed
from tests.relay.conftest import Boxes
from tests.relay.rows import make_inbound, make_outbound
from tests.relay.runbook import small_disk
from tests.relay.test_operations_housekeeping import LATER, conversation, still_open  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("boxes", "application", "still_open"),
    pytest.mark.covers("RLY-04"),
]


@pytest.fixture
def root(settings: Any, tmp_path: Path) -> Path:
    settings.RELAY_ARCHIVE_DIR = tmp_path / "archive"
    return tmp_path / "archive"


def files(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.jsonl.gz"))


def test_what_was_archived_is_listed_and_shown(boxes: Boxes, root: Path, tmp_path: Path) -> None:
    message, answer = conversation(boxes)
    other, _ = conversation(boxes, 2)
    content = bytes(message.content)
    housekeeping.empty_old(now=LATER)
    month = f"{timezone.localtime():%Y-%m}"
    listed = typed("relay_archive", "list", "--month", month, "--json").json
    assert (len(listed["messages"]), listed["more"], listed["damaged"]) == (6, False, {})
    assert typed("relay_archive", "list", "--month", "1999-01", "--json").json["messages"] == []
    page = typed("relay_archive", "list", "--limit", 5)
    assert len(page.out.splitlines()) == 7
    assert "there are more" in page.out
    for number in (message.subject, message.subject.split(":")[1]):
        about = typed("relay_archive", "list", "--subject", number, "--json").json["messages"]
        assert {one["message_type"] for one in about} == {"SGW101", "RCV001", "SGW102"}
        assert str(message.message_id) in {one["message_id"] for one in about}
        assert str(other.message_id) not in {one["message_id"] for one in about}
    plain = typed("relay_archive", "show", message.message_id)
    assert plain.status == 0
    assert "verified: yes" in plain.out
    assert "辽B12345" in plain.out
    found = typed("relay_archive", "show", message.message_id, "--to", tmp_path / "bytes", "--json").json
    assert (found["verified"], found["size"], found["row"]) == (True, len(content), f"out:{message.pk}")
    assert b64decode(found["content"]["base64"]) == content == (tmp_path / "bytes").read_bytes()
    came = InboundMessage.objects.get(message_type="SGW102", subject=message.subject)
    for name in (came.message_id, f"in:{came.pk}"):
        assert b64decode(typed("relay_archive", "show", name, "--json").json["content"]["base64"]) == answer


def test_what_cannot_be_read_as_a_message_is_found_by_its_row_and_shown_safely(root: Path, tmp_path: Path) -> None:
    evil = b"\x1b[2J" + bytes(range(256))
    row = make_inbound(content=evil, state=InboundState.DISCARDED, message_type="")
    housekeeping.empty_old(now=LATER)
    shown = typed("relay_archive", "show", f"in:{row.pk}")
    assert shown.status == 0
    assert "\x1b" not in shown.out
    assert "verified: yes" in shown.out


def test_what_it_refuses(boxes: Boxes, root: Path, settings: Any, tmp_path: Path) -> None:
    message, _ = conversation(boxes)
    young = make_outbound(subject="open:9")

    def refused(*words: object) -> str:
        answer = typed("relay_archive", *words, "--json")
        assert answer.status == 1
        return str(answer.json["error"]["code"])

    assert refused("show", young.message_id) == "NOT_ARCHIVED"
    housekeeping.empty_old(now=LATER)
    assert refused("show", uuid4()) == "UNKNOWN_MESSAGE"
    assert refused("show", "out:999999999") == "UNKNOWN_MESSAGE"
    (tmp_path / "there").write_text("mine")
    assert refused("show", message.message_id, "--to", tmp_path / "there") == "NOT_WRITTEN"
    assert (tmp_path / "there").read_text() == "mine"
    make_inbound(message_id=message.message_id)
    assert refused("show", message.message_id) == "AMBIGUOUS"
    settings.RELAY_ARCHIVE_DIR = None
    assert refused("list") == refused("show", uuid4()) == "NO_ARCHIVE"
    for words in (["show", "4711"], ["list", "--month", "April"], []):
        assert typed("relay_archive", *words).status == 2


def test_a_file_that_cannot_be_written_leaves_nothing(boxes: Boxes, root: Path, tmp_path: Path) -> None:
    row = make_outbound(content=b"<x/>" * 100_000, subject="done:1")
    housekeeping.empty_old(now=LATER)
    (disk := tmp_path / "disk").mkdir()
    with small_disk(disk):
        answer = typed("relay_archive", "show", row.message_id, "--to", disk / "bytes", "--json")
        assert answer.json["error"]["code"] == "NOT_WRITTEN"
        assert "No space left" in answer.json["error"]["text"]
        assert list(disk.iterdir()) == []


def test_other_bytes_than_the_digest_says_are_not_given_out(root: Path, tmp_path: Path) -> None:
    row = make_outbound(subject="done:1", content=b"<true/>")
    housekeeping.empty_old(now=LATER)
    (path,) = files(root)
    good = path.read_bytes()
    path.write_bytes(gzip.compress(gzip.decompress(good).replace(b"PHRydWUvPg==", b"PGZha2UvPg==")))
    answer = typed("relay_archive", "show", row.message_id, "--to", tmp_path / "bytes", "--json")
    assert (answer.status, answer.json["error"]["code"]) == (1, "DAMAGED")
    assert str(path) in answer.err
    assert not (tmp_path / "bytes").exists()
    (path.parent / "outboundmessage-1-2.jsonl.gz").write_bytes(good)
    found = typed("relay_archive", "show", row.message_id, "--to", tmp_path / "bytes", "--json").json
    assert (found["verified"], (tmp_path / "bytes").read_bytes()) == (True, b"<true/>"), "another copy is whole"


def test_a_damaged_file_is_named_and_the_others_are_read(root: Path) -> None:
    whole = make_outbound(subject="done:1", content=b"<whole/>")
    housekeeping.empty_old(now=LATER)
    broken = make_outbound(subject="done:2", content=b"<broken/>" * 1000)
    housekeeping.empty_old(now=LATER)
    (path,) = (root / f"{timezone.localtime():%Y-%m}").glob(f"outboundmessage-{broken.pk}-{broken.pk}-*.jsonl.gz")
    good = path.read_bytes()
    for damage in (
        good[: len(good) // 2],
        b"something else",
        gzip.compress(b"something else\n"),
        gzip.compress(b'{"direction": "out", "content": "eA=="}\n'),
        gzip.compress(gzip.decompress(good)[:-500]),
        gzip.compress(gzip.decompress(good).replace(b"P", b"?")),
    ):
        path.write_bytes(damage)
        listed = typed("relay_archive", "list", "--json")
        assert str(whole.message_id) in {one["message_id"] for one in listed.json["messages"]}
        assert (listed.status, list(listed.json["damaged"])) == ((0, []) if b"?" in gzip_or_nothing(damage) else (1, [str(path)]))
        assert typed("relay_archive", "show", whole.message_id).status == 0
        answer = typed("relay_archive", "show", broken.message_id, "--json")
        assert (answer.status, answer.json["error"]["code"]) == (1, "DAMAGED")
        assert str(path) in answer.err


def gzip_or_nothing(content: bytes) -> bytes:
    """What is in it, when it can be unpacked."""
    try:
        return gzip.decompress(content)
    except (OSError, EOFError):
        return b""


def test_a_message_without_a_row_is_found_and_not_called_verified(root: Path) -> None:
    row = make_outbound(subject="done:1")
    housekeeping.empty_old(now=LATER)
    OutboundMessage.objects.all().delete()
    found = typed("relay_archive", "show", row.message_id, "--json").json
    assert (found["verified"], found["content"]["text"]) == (None, "<x/>")


def test_a_large_message_takes_little_memory(root: Path, settings: Any) -> None:
    size = 24 * 1024**2
    content = bytes(range(256)) * (size // 256)
    row = make_outbound(subject="done:1", content=content)
    small = make_outbound(subject="done:2")
    housekeeping.empty_old(now=LATER)

    class Counting(BytesIO):
        def write(self, piece: Any, /) -> int:
            self.most = max(getattr(self, "most", 0), len(piece))
            return len(piece)

    tracemalloc.start()
    try:
        found = archive.read(row.message_id, keep=10, into=Counting(), damaged=archive.Damaged())
        assert archive.read(small.message_id, keep=10, damaged=archive.Damaged()).size == 4
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.size, found.is_verified, found.beginning) == (size, True, content[:10])
    assert peak < size // 8
