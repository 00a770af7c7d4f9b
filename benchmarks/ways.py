"""The two ways to customs, as settings of this process and of the processes that it starts: the directory and a broker of our own."""

import atexit
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from benchmarks.world import World
from relay.channels import open_channel
from relay.channels.directory import DirectoryChannel
from tests import rabbitmq

#: The machine may have much else to do.
START_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Way:
    """One channel to customs. `node` is the broker's, if it is one."""

    name: str
    root: Path
    node: rabbitmq.Node | None = None
    partner: dict[str, str] = field(default_factory=lambda: {"channel": "directory"})

    def environment(self) -> dict[str, str]:
        """What a worker is started with so that it goes this way."""
        return {
            "EXCHANGE_ROOT": str(self.root),
            "RELAY_PARTNERS": json.dumps({"customs": self.partner}),
            "RELAY_BROKER_PASSWORDS": json.dumps({"customs": self.node.password} if self.node else {}),
        }

    def place(self) -> list[str]:
        """How the customs simulator, and `benchmarks.partner`, are told where the messages lie."""
        return ["--amqp", self.node.full_url] if self.node else ["--root", str(self.root / "customs")]


def both(world: World) -> list[Way]:
    """The ways there are on this machine."""
    root = world.directory / "exchange-alone"
    found = [Way("directory", root)]
    if rabbitmq.IS_THERE:
        node = _node()
        found.append(Way("broker (RabbitMQ)", root, node, {"channel": "amqp", "url": node.url}))
    return found


def missing() -> list[str]:
    """A note on the one that there is not."""
    return [] if rabbitmq.IS_THERE else [f"broker: {rabbitmq.MISSING}"]


@cache
def _node() -> rabbitmq.Node:
    """One for the whole run: it takes longer to start than many a measure."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(rabbitmq.running_node(START_SECONDS))


@contextmanager
def taken(way: Way) -> Iterator[None]:
    """This process goes this way, whose boxes and queues are there and empty; the settings are as before afterwards."""
    values: dict[str, Any] = {
        "EXCHANGE_ROOT": way.root,
        "RELAY_PARTNERS": {"customs": way.partner},
        "RELAY_BROKER_PASSWORDS": {"customs": way.node.password} if way.node else {},
    }
    before = {name: getattr(settings, name) for name in values}
    for name, value in values.items():
        setattr(settings, name, value)
    try:
        _empty(way)
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


def _empty(way: Way) -> None:
    if way.node is None:
        channel = DirectoryChannel(way.root, "customs")
        for box in (channel.out_box, channel.sent_box, channel.in_box, channel.fail_box):
            for path in box.glob("*.xml"):
                path.unlink()
        return
    open_channel("customs").returned()  # connects, and makes the queues
    with way.node.connected() as queues:
        for name in ("out", "in", "fail", "parked"):
            queues.queue_purge(f"customs.{name}")
