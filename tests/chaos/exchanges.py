"""The two ways to customs in a chaos run, what goes wrong on each, and how a message comes there in half."""

import contextlib
import errno
import json
import os
import random
import secrets
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from amqp import Message
from amqp.exceptions import AMQPError

from tests.rabbitmq import Node, running_node

#: Names of messages that are not what they say: set aside by the portal, and told apart by this at the end.
HALF = "half_"
#: The exchange's disk, so small that it can be filled.
DISK_MEGABYTES = 64
BALLAST = "ballast"
#: How long such a thing lasts: some of the portal's tries fail, and others come after it.
SECONDS = (1.0, 4.0)
#: How long one that writes in place pauses at most: what lies untouched for longer passes for what its sender left (docs/adr/0108).
IN_PLACE_SECONDS = (0.5, 1.0)
IN_PLACE_TRIES = 4
#: How long an answer is waited for that could be written so.
ANSWER_SECONDS = 5.0
#: What the broker may take for one answer; it is held up for longer at times.
BROKER_TIMEOUT_SECONDS = 3

#: Name, what is done, weight. What is done says whether it happened.
Fault = tuple[str, Callable[[random.Random], bool], int]


class Exchange(Protocol):
    """Where messages and answers lie between the portal and customs."""

    #: Names of the messages in half that lay there.
    halves: set[str]

    def environment(self) -> dict[str, str]:
        """What the portal has to know of it."""

    def customs_command(self, command: str) -> str:
        """The Procfile's command of the simulator, made to serve this exchange."""

    def faults(self) -> list[Fault]:
        """What can go wrong with it; only what this machine allows."""


class DirectoryExchange:
    """Boxes on a disk of their own."""

    def __init__(self, root: Path, *, has_disk: bool) -> None:
        self._root, self._boxes, self._has_disk = root, root / "customs", has_disk
        self.halves: set[str] = set()

    def environment(self) -> dict[str, str]:
        return {"EXCHANGE_ROOT": str(self._root)}

    def customs_command(self, command: str) -> str:
        return command

    def faults(self) -> list[Fault]:
        disk: list[Fault] = [("disk of the exchange full", self._fill_disk, 2)] if self._has_disk else []
        return [*disk, ("file half-written", self._write_half, 3), ("answer written in place", self._write_in_place, 3)]

    def _fill_disk(self, chance: random.Random) -> bool:
        ballast = self._root / BALLAST
        is_full = False
        try:
            with ballast.open("wb") as file:
                while True:
                    file.write(b"\0" * (1 << 20))
                    file.flush()
        except OSError as error:
            is_full = error.errno == errno.ENOSPC
        time.sleep(chance.uniform(*SECONDS))
        ballast.unlink()
        return is_full

    def _write_half(self, chance: random.Random) -> bool:
        """An agent that does not write beside and rename, and dies: half of a file lies there under its name."""
        whole = self._some_file()
        if not whole:
            return False
        name = f"{HALF}{secrets.token_hex(4)}.xml"
        # No two are alike: the same bytes once more would be a repeat.
        half = whole[: chance.randrange(1, len(whole))] + f"<!-- {name}".encode()
        try:
            (self._boxes / "InBox" / name).write_bytes(half)
        except OSError:
            return False
        self.halves.add(name)
        return True

    def _write_in_place(self, chance: random.Random) -> bool:
        """A partner that writes its answers under their names, and is held up in the middle of each; until the portal has looked."""
        return any(self._is_read_in_place(chance) for _ in range(IN_PLACE_TRIES))

    def _is_read_in_place(self, chance: random.Random) -> bool:
        aside = self._take_an_answer()
        if aside is None:
            return False
        whole, place = aside.read_bytes(), self._boxes / "InBox" / aside.name
        middle = chance.randrange(1, len(whole))
        try:
            with place.open("wb", buffering=0) as file:
                is_written = file.write(whole[:middle]) == middle
                time.sleep(chance.uniform(*IN_PLACE_SECONDS))
                is_written = is_written and file.write(whole[middle:]) == len(whole) - middle
        except OSError:
            is_written = False
        if not is_written:
            aside.replace(place)  # no room for it: whole after all, by the room that it had
            return False
        aside.unlink()
        # Who takes it now has looked at it before: nobody is down.
        until = time.monotonic() + 1
        while place.exists() and time.monotonic() < until:
            time.sleep(0.05)
        return not place.exists()

    def _take_an_answer(self) -> Path | None:
        """An answer of customs that the portal has not read yet, taken out of its box; None when none comes for a while."""
        taken = self._root / "taken"
        taken.mkdir(exist_ok=True)
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            for path in (self._boxes / "InBox").glob("*.xml"):
                if not path.name.startswith(HALF):
                    with contextlib.suppress(OSError):
                        return path.rename(taken / path.name)
            time.sleep(0.005)
        return None

    def _some_file(self) -> bytes:
        for box in ("InBox", "SentBox"):
            for path in sorted((self._boxes / box).glob("*.xml")):
                with contextlib.suppress(OSError):
                    if content := path.read_bytes():
                        return content
        return b""


class BrokerExchange:
    """Queues of a RabbitMQ of the run's own."""

    def __init__(self, node: Node) -> None:
        self._node = node
        #: One thing at a time: nobody can be told anything by a node that is down.
        self._lock = threading.Lock()
        self.halves: set[str] = set()

    def environment(self) -> dict[str, str]:
        return {
            "RELAY_PARTNERS": json.dumps({"customs": {"channel": "amqp", "url": self._node.url}}),
            "RELAY_BROKER_PASSWORDS": json.dumps({"customs": self._node.password}),
            "RELAY_BROKER_TIMEOUT_SECONDS": str(BROKER_TIMEOUT_SECONDS),
        }

    def customs_command(self, command: str) -> str:
        place, _, rest = command.partition(" --journal ")
        return f"{place.partition(' --root ')[0]} --amqp {self._node.full_url} --journal {rest}"

    def faults(self) -> list[Fault]:
        return [
            ("broker killed", self._kill, 2),
            ("broker held up", self._hold_up, 2),
            ("connections of the broker cut", self._cut, 2),
            ("disk of the broker full", self._fill_disk, 2),
            ("half a message published", self._publish_half, 3),
        ]

    def _kill(self, chance: random.Random) -> bool:
        with self._lock:
            self._node.kill()
            time.sleep(chance.uniform(0.0, 2.0))
            self._node.start()
        return True

    def _hold_up(self, chance: random.Random) -> bool:
        with self._lock:
            self._node.pause()
            time.sleep(chance.uniform(1.0, 3.0 * BROKER_TIMEOUT_SECONDS))
            self._node.resume()
        return True

    def _cut(self, _chance: random.Random) -> bool:
        with self._lock:
            self._node.control("close_all_connections", "chaos")
        return True

    def _fill_disk(self, chance: random.Random) -> bool:
        """As RabbitMQ sees it: less is free than has to be. It takes nothing from who publishes then."""
        with self._lock:
            self._node.control("set_disk_free_limit", "1000000GB")
            time.sleep(chance.uniform(*SECONDS))
            self._node.control("set_disk_free_limit", "50MB")
        return True

    def _publish_half(self, chance: random.Random) -> bool:
        whole = b'<?xml version="1.0" encoding="UTF-8"?><Package xmlns="http://example.invalid"><EnvelopInfo>' + secrets.token_bytes(200)
        message_id = str(uuid.UUID(int=chance.getrandbits(128)))
        half = Message(
            whole[: chance.randrange(1, len(whole))] + f"<!-- {message_id}".encode(),
            delivery_mode=2,
            type=HALF.removesuffix("_"),
            message_id=message_id,
        )
        try:
            with self._lock, self._node.connected() as channel:
                channel.basic_publish(half, routing_key="customs.in", mandatory=True)
        except (OSError, AMQPError):
            return False
        # Confirmed: it lies there, whatever becomes of the broker.
        self.halves.add(f"{HALF}{message_id}.xml")
        return True


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[str]:
    """A file system of its own at `place`, so small that it can be filled; gives why this machine has none to offer, or an empty text."""
    if os.geteuid() != 0:
        yield "only root may mount a small disk"
        return
    # Anybody may enter: PostgreSQL and others run as accounts of their own.
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    try:
        yield "" if done.returncode == 0 else f"a small disk cannot be mounted: {done.stderr.strip()}"
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "--lazy", str(place)], capture_output=True, check=False)


@contextlib.contextmanager
def directory_exchange(root: Path) -> Iterator[Exchange]:
    """Boxes on a file system of their own, where the machine lets us mount one (`test_the_exchange_has_a_disk_that_can_be_filled`)."""
    root.mkdir(parents=True, exist_ok=True)
    with small_disk(root) as missing:
        yield DirectoryExchange(root, has_disk=not missing)


@contextlib.contextmanager
def broker_exchange(_root: Path) -> Iterator[Exchange]:
    """A RabbitMQ node for the run."""
    with running_node() as node:
        yield BrokerExchange(node)


EXCHANGES = {"directory": directory_exchange, "broker": broker_exchange}
