"""The directory exchange keeps the contract of channels."""

import multiprocessing
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relay import services
from relay.channels import directory
from relay.channels.base import Letter
from relay.channels.directory import DirectoryChannel
from relay.models import InboundMessage
from relay.services import storing
from tests.relay.channel_contract import ChannelContract
from tests.relay.conftest import Application, Boxes, inbound
from tests.relay.messages import NS, receipt

_ages = count(1)


class BoxPartner:
    """The partner's agent at its boxes."""

    def __init__(self, root: Path, code: str) -> None:
        DirectoryChannel(root, code)
        self.code = code
        self.boxes = Boxes(root / code)

    def put(self, content: bytes, message_type: str = "SGW102", message_id: uuid.UUID | None = None) -> str:
        name = self.boxes.put(content, f"{message_type}_{message_id or uuid.uuid4()}.xml")
        # Files written one after another may get the same time.
        os.utime(self.boxes.home / "InBox" / name, ns=(0, next(_ages)))
        return name

    def take(self) -> list[bytes]:
        return list(self.boxes.take_all().values())

    def refuse(self) -> None:
        for name in self.boxes.out_files():
            (self.boxes.home / "OutBox" / name).rename(self.boxes.home / "FailBox" / name)

    def put_among_refused(self, content: bytes) -> None:
        (self.boxes.home / "FailBox" / "readme.txt").write_bytes(content)

    def lying(self) -> int:
        return len(self.boxes.names("InBox"))

    def set_aside(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.boxes.home / "FailBox").glob("inbound-*")]

    @contextmanager
    def failing(self) -> Iterator[None]:
        def no_space(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.fsync", no_space)
            yield

    @contextmanager
    def losing(self) -> Iterator[None]:
        def deny(path: Path, *_: Any, **__: Any) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "unlink", deny)
            yield


@pytest.fixture
def partner(boxes: Boxes) -> BoxPartner:
    return BoxPartner(boxes.home.parent, "customs")


@pytest.fixture
def second(partner: BoxPartner, settings: Any) -> BoxPartner:
    settings.RELAY_PARTNERS = {code: {"channel": "directory"} for code in ("customs", "ccpit")}
    return BoxPartner(partner.boxes.home.parent, "ccpit")


class TestDirectoryChannel(ChannelContract):
    """Files in boxes."""


# -- a partner that does not write beside and rename (docs/adr/0108) --------------------------------


def age(path: Path, seconds: float) -> None:
    """As if it had been written to so long ago."""
    os.utime(path, (time.time() - seconds,) * 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.covers("RLY-03")
class TestFilesWrittenInPlace:
    """Nothing of them is lost, and what is whole waits for nobody."""

    @pytest.fixture
    def path(self, partner: BoxPartner) -> Path:
        return partner.boxes.home / "InBox" / f"SGW102_{uuid.uuid4()}.xml"

    @pytest.mark.parametrize("cut", [0, 200, -1])
    def test_what_breaks_off_is_left_until_it_is_whole(self, path: Path, application: Application, cut: int) -> None:
        content = receipt()
        path.write_bytes(content[:cut])
        assert services.receive("customs") == 0
        assert path.exists()
        with path.open("ab") as file:
            file.write(content[cut:] if cut else content)
        assert services.receive("customs") == 1
        assert application.events == ["STORED"]
        assert not path.exists()
        assert InboundMessage.objects.count() == 1

    def test_what_breaks_off_and_stays_so_is_set_aside_in_its_time(self, path: Path) -> None:
        path.write_bytes(receipt()[:-40])
        age(path, directory.SETTLING_SECONDS - 1)
        assert services.receive("customs") == 0
        age(path, directory.SETTLING_SECONDS)
        assert services.receive("customs") == 1
        assert inbound().reason_code == "NOT_XML"
        assert not path.exists()

    @pytest.mark.parametrize("seconds", [-30.0, -1e9])
    def test_a_clock_that_is_ahead_keeps_nothing_back(self, path: Path, seconds: float) -> None:
        path.write_bytes(b"junk")
        age(path, seconds)
        assert services.receive("customs") == 1
        assert inbound().reason_code == "NOT_XML"

    @pytest.mark.parametrize(
        "content",
        [
            receipt(),
            receipt() + b"\r\n\r\n",
            receipt() + b"<!-- sent by an agent -->",
            receipt().decode().replace("UTF-8", "UTF-16").encode("utf-16"),
            receipt()
            .replace(b"<Package xmlns=", b"<ex:Package xmlns=")
            .replace(b"<ex:Package ", b'<ex:Package xmlns:ex="' + NS.encode() + b'" ')
            .replace(b"</Package>", b"</ex:Package >"),
        ],
        ids=["plain", "line ends", "comment", "UTF-16", "prefix"],
    )
    def test_what_is_whole_is_taken_at_once(self, path: Path, application: Application, content: bytes) -> None:
        path.write_bytes(content)
        assert services.receive("customs") == 1
        assert application.events == ["STORED"]

    @pytest.mark.parametrize("how", ["goes on", "is replaced"])
    def test_what_changes_between_reading_and_deleting_is_read_again(
        self, path: Path, application: Application, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        content = receipt()
        first = content[:200] if how == "goes on" else receipt(event="LOCKED")
        path.write_bytes(first)
        age(path, 60)
        store = storing.store

        def store_and_change(*words: Any) -> dict[str, int]:
            monkeypatch.setattr(storing, "store", store)
            if how == "goes on":
                with path.open("ab") as file:
                    file.write(content[200:])
            else:
                path.with_suffix(".tmp").write_bytes(content)
                path.with_suffix(".tmp").rename(path)
            return store(*words)

        monkeypatch.setattr(storing, "store", store_and_change)
        services.receive("customs")
        services.receive("customs")
        assert application.events == (["STORED"] if how == "goes on" else ["LOCKED", "STORED"])
        assert {bytes(row.content) for row in InboundMessage.objects.all()} == {first, content}
        assert not path.exists()

    def test_what_is_too_large_waits_until_nobody_writes_to_it(self, path: Path, settings: Any) -> None:
        settings.RELAY_MAX_MESSAGE_BYTES = 10
        path.write_bytes(b"x" * 11)
        assert services.receive("customs") == 0
        age(path, directory.SETTLING_SECONDS)
        assert services.receive("customs") == 1
        assert inbound().reason_code == "TOO_LARGE"
        assert not path.exists()

    def test_what_takes_the_place_of_a_file_that_is_too_large_is_read(
        self, path: Path, application: Application, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        content = receipt()
        settings.RELAY_MAX_MESSAGE_BYTES = len(content)
        path.write_bytes(content + b" ")
        age(path, 60)
        note = storing.note_unread

        def note_and_replace(*words: Any) -> int | None:
            path.with_suffix(".tmp").write_bytes(content)
            path.with_suffix(".tmp").rename(path)
            return note(*words)

        monkeypatch.setattr(storing, "note_unread", note_and_replace)
        services.receive("customs")
        services.receive("customs")
        assert application.events == ["STORED"]
        assert not path.exists()


def test_a_fork_sends_by_threads_of_its_own(tmp_path: Path) -> None:
    """Those of its parent are not there: what is given to them would never be written."""
    channel = DirectoryChannel(tmp_path, "customs")
    mine, its = (Letter(uuid.uuid4(), "SGW101", b"<Package/>") for _ in range(2))
    channel.send([mine])
    child = multiprocessing.get_context("fork").Process(target=channel.send, args=([its],))
    child.start()
    child.join(60)
    child.kill()
    assert {path.name for path in channel.out_box.glob("*.xml")} == {mine.file_name, its.file_name}
