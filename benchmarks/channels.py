"""Messages a second out and back over each channel, beside bare commits of the same row. Rows of the table of `benchmarks.relay`."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from amqp import Message
from django.conf import settings
from django.utils import timezone

from benchmarks.report import Row
from benchmarks.world import ROOT, World
from relay import services
from relay.channels import open_channel
from relay.channels.directory import DirectoryChannel
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from tests import rabbitmq

AIM_PER_SECOND = 1000
EXAMPLES = ROOT / "docs" / "protocol" / "examples"
#: Puts what a partner sends where the relay finds it: (message id, bytes) of each.
Put = Callable[[list[tuple[uuid.UUID, bytes]]], None]


def rows(world: World) -> tuple[list[Row], list[str]]:
    """One process sends and takes in as many messages as there are filings in the rest of the table, for each channel."""
    count = world.scale.filings
    measured: list[Row] = []
    notes = [
        f"channels: {count:,} messages (docs/protocol/examples) by one process, with nobody at work on the other side. Out: claimed,",
        "handed over (flushed, or confirmed by the broker), recorded. Back: RCV001 stored, taken away, read, handled.",
        f"aim: {AIM_PER_SECOND} messages a second out",
    ]
    with ExitStack() as stack:
        channels: list[tuple[str, Callable[[], Put]]] = [("directory", lambda: _at_directory(world.directory / "exchange-alone"))]
        if rabbitmq.IS_THERE:
            node = stack.enter_context(rabbitmq.running_node())
            channels.append(("broker (RabbitMQ)", lambda: _at_broker(node)))
        else:
            notes.append(f"broker: {rabbitmq.MISSING}")
        for name, prepare in channels:
            with world.cleared(), _configured():
                put = prepare()
                committed = _commit(count)
                out = _timed(lambda: _send(count))
                put([_receipt() for _ in range(count)])
                back = _timed(lambda: _take_in(count))
            if not measured:
                measured.append(_row("bare commits of a row as it waits to be sent", count, committed))
            measured.append(_row(f"messages out: row → {name}", count, out) | {"in_aim": count / out >= AIM_PER_SECOND})
            measured.append(_row(f"messages back: {name} → handled", count, back))
    return measured, notes


def _row(what: str, number: int, seconds: float) -> Row:
    per_second = round(number / seconds, 1)
    return {"what": what, "number": number, "seconds": round(seconds, 3), "per_second": per_second, "of bare tasks": None, "in_aim": None}


def _timed(job: Callable[[], None]) -> float:
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


@contextmanager
def _configured() -> Iterator[None]:
    """Whatever the block sets is as before after it."""
    names = ("RELAY_PARTNERS", "RELAY_BROKER_PASSWORDS", "EXCHANGE_ROOT")
    before = {name: getattr(settings, name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


def _at_directory(root: Path) -> Put:
    settings.EXCHANGE_ROOT = root
    settings.RELAY_PARTNERS = {"customs": {"channel": "directory"}}
    channel = DirectoryChannel(root, "customs")
    for path in [*channel.out_box.glob("*.xml"), *channel.in_box.glob("*.xml")]:
        path.unlink()

    def put(messages: list[tuple[uuid.UUID, bytes]]) -> None:
        for message_id, content in messages:
            (channel.in_box / f"RCV001_{message_id}.xml").write_bytes(content)

    return put


def _at_broker(node: rabbitmq.Node) -> Put:
    settings.RELAY_PARTNERS = {"customs": {"channel": "amqp", "url": node.url}}
    settings.RELAY_BROKER_PASSWORDS = {"customs": node.password}
    open_channel("customs").returned()  # connects, and makes the queues

    def put(messages: list[tuple[uuid.UUID, bytes]]) -> None:
        with node.connected() as channel:
            for message_id, content in messages:
                message = Message(content, type="RCV001", message_id=str(message_id), delivery_mode=2)
                channel.basic_publish(message, routing_key="customs.in", mandatory=True)

    return put


def _example(message_type: str) -> tuple[uuid.UUID, bytes]:
    """An example with an id of its own."""
    content = (EXAMPLES / f"{message_type}.xml").read_bytes()
    begin = content.index(b"<message_id>") + len(b"<message_id>")
    message_id = uuid.uuid4()
    return message_id, content[:begin] + str(message_id).encode() + content[content.index(b"</message_id>") :]


def _receipt() -> tuple[uuid.UUID, bytes]:
    return _example("RCV001")


def _commit(count: int) -> float:
    """Put as many messages into the outbox, each in a transaction of its own, as an application does; seconds that took."""
    now = timezone.now()
    waiting = [
        OutboundMessage(
            message_id=message_id,
            message_type="SGW101",
            partner="customs",
            subject=f"bench:{number}",
            content=content,
            state=OutboundState.QUEUED,
            created_at=now,
            due_at=now,
        )
        for number, (message_id, content) in enumerate(_example("SGW101") for _ in range(count))
    ]
    return _timed(lambda: _save(waiting))


def _save(messages: list[Any]) -> None:
    for message in messages:
        message.save(force_insert=True)


def _send(count: int) -> None:
    services.dispatch("customs")
    sent = OutboundMessage.objects.filter(state=OutboundState.SENT).count()
    if sent != count:
        raise RuntimeError(f"{sent} of {count} messages were sent")


def _take_in(count: int) -> None:
    taken = 0
    while taken < count:
        before = taken
        taken += services.receive("customs")
        if taken == before:
            raise RuntimeError(f"{taken} of {count} messages came")
    handled = InboundMessage.objects.filter(state=InboundState.HANDLED).count()
    if handled != count:
        raise RuntimeError(f"{handled} of {count} messages were handled")
