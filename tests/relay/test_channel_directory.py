"""The directory exchange keeps the contract of channels."""

import multiprocessing
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relay.channels.base import Letter
from relay.channels.directory import DirectoryChannel
from tests.relay.channel_contract import ChannelContract
from tests.relay.conftest import Boxes

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
