"""The two ways to customs in a chaos run, what goes wrong on each, and how a message comes there in half."""

import contextlib
import json
import os
import random
import secrets
import subprocess
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
#: What the broker may take for one answer; it is held up for longer at times.
BROKER_TIMEOUT_SECONDS = 3

Fault = tuple[str, Callable[[random.Random], None], int]


class Exchange(Protocol):
    """Where messages and answers lie between the portal and customs."""

    def environment(self) -> dict[str, str]:
        """What the portal has to know of it."""

    def customs_command(self, command: str) -> str:
        """The Procfile's command of the simulator, made to serve this exchange."""

    def faults(self) -> list[Fault]:
        """Name, what is done, weight; only what this machine allows."""


class DirectoryExchange:
    """Boxes on a disk of their own."""

    def __init__(self, root: Path, *, has_disk: bool) -> None:
        self._root, self._boxes, self._has_disk = root, root / "customs", has_disk

    def environment(self) -> dict[str, str]:
        return {"EXCHANGE_ROOT": str(self._root)}

    def customs_command(self, command: str) -> str:
        return command

    def faults(self) -> list[Fault]:
        disk: list[Fault] = [("disk of the exchange full", self._fill_disk, 2)] if self._has_disk else []
        return [*disk, ("file half-written", self._write_half, 3)]

    def _fill_disk(self, chance: random.Random) -> None:
        ballast = self._root / BALLAST
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(b"\0" * (1 << 20))
                file.flush()
        time.sleep(chance.uniform(*SECONDS))
        ballast.unlink()

    def _write_half(self, chance: random.Random) -> None:
        """An agent that does not write beside and rename: half of a file lies there under its name."""
        if whole := self._some_file():
            half = self._boxes / "InBox" / f"{HALF}{secrets.token_hex(4)}.xml"
            with contextlib.suppress(OSError):
                half.write_bytes(whole[: chance.randrange(1, len(whole))])

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

    def _kill(self, chance: random.Random) -> None:
        self._node.kill()
        time.sleep(chance.uniform(0.0, 2.0))
        self._node.start()

    def _hold_up(self, chance: random.Random) -> None:
        self._node.pause()
        time.sleep(chance.uniform(1.0, 3.0 * BROKER_TIMEOUT_SECONDS))
        self._node.resume()

    def _cut(self, _chance: random.Random) -> None:
        self._node.control("close_all_connections", "chaos")

    def _fill_disk(self, chance: random.Random) -> None:
        """As RabbitMQ sees it: less is free than has to be. It takes nothing from who publishes then."""
        self._node.control("set_disk_free_limit", "1000000GB")
        time.sleep(chance.uniform(*SECONDS))
        self._node.control("set_disk_free_limit", "50MB")

    def _publish_half(self, chance: random.Random) -> None:
        whole = b'<?xml version="1.0" encoding="UTF-8"?><Package xmlns="http://example.invalid"><EnvelopInfo>' + secrets.token_bytes(200)
        half = Message(
            whole[: chance.randrange(1, len(whole))],
            delivery_mode=2,
            type=HALF.removesuffix("_"),
            message_id=str(uuid.UUID(int=chance.getrandbits(128))),
        )
        with contextlib.suppress(OSError, AMQPError), self._node.connected() as channel:
            channel.basic_publish(half, routing_key="customs.in", mandatory=True)


@contextlib.contextmanager
def directory_exchange(root: Path) -> Iterator[Exchange]:
    """Boxes on a file system of their own, where the machine lets us mount one."""
    root.mkdir(parents=True, exist_ok=True)
    # Anybody may enter: PostgreSQL and others run as accounts of their own.
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(root)]
    has_disk = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield DirectoryExchange(root, has_disk=has_disk)
    finally:
        if has_disk:
            subprocess.run(["umount", "--lazy", str(root)], capture_output=True, check=False)


@contextlib.contextmanager
def broker_exchange(_root: Path) -> Iterator[Exchange]:
    """A RabbitMQ node for the run."""
    with running_node() as node:
        yield BrokerExchange(node)


EXCHANGES = {"directory": directory_exchange, "broker": broker_exchange}
