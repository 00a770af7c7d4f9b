"""Messages a second out and back over each channel, beside bare commits of the same row. Rows of the table of `benchmarks.relay`."""

import time
import uuid
from collections.abc import Callable
from functools import partial

from amqp import Message
from django.utils import timezone

from benchmarks import ways
from benchmarks.report import Row
from benchmarks.world import ROOT, World
from relay import services
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState

AIM_PER_SECOND = 1000
EXAMPLES = ROOT / "docs" / "protocol" / "examples"


def rows(world: World) -> tuple[list[Row], list[str]]:
    """One process sends and takes in as many messages as there are filings in the rest of the table, for each channel."""
    count = world.scale.filings
    measured: list[Row] = []
    notes = [
        f"channels: {count:,} messages (docs/protocol/examples) by one process, with nobody at work on the other side. Out: claimed,",
        "handed over (flushed, or confirmed by the broker), recorded. Back: RCV001 stored, taken away, read, handled.",
        f"aim: {AIM_PER_SECOND} messages a second out",
    ]
    for way in ways.both(world):
        messages = waiting(count)
        with world.cleared(), ways.taken(way):
            committed = timed(partial(save, messages))
            out = timed(lambda: send(count))
            put(way, [receipt() for _ in range(count)])
            back = timed(lambda: take_in(count))
        if not measured:
            measured.append(_row("bare commits of a row as it waits to be sent", count, committed))
        measured.append(_row(f"messages out: row → {way.name}", count, out) | {"in_aim": count / out >= AIM_PER_SECOND})
        measured.append(_row(f"messages back: {way.name} → handled", count, back))
    return measured, notes + ways.missing()


def _row(what: str, number: int, seconds: float) -> Row:
    per_second = round(number / seconds, 1)
    return {"what": what, "number": number, "seconds": round(seconds, 3), "per_second": per_second, "of bare tasks": None, "in_aim": None}


def timed(job: Callable[[], None]) -> float:
    """Seconds that it took."""
    begun = time.perf_counter()
    job()
    return time.perf_counter() - begun


def put(way: ways.Way, messages: list[tuple[uuid.UUID, bytes]]) -> None:
    """As customs does it."""
    if way.node is None:
        for message_id, content in messages:
            (way.root / "customs" / "InBox" / f"RCV001_{message_id}.xml").write_bytes(content)
        return
    with way.node.connected() as queues:
        for message_id, content in messages:
            message = Message(content, type="RCV001", message_id=str(message_id), delivery_mode=2)
            queues.basic_publish(message, routing_key="customs.in", mandatory=True)


def _example(message_type: str) -> tuple[uuid.UUID, bytes]:
    """An example with an id of its own."""
    content = (EXAMPLES / f"{message_type}.xml").read_bytes()
    begin = content.index(b"<message_id>") + len(b"<message_id>")
    message_id = uuid.uuid4()
    return message_id, content[:begin] + str(message_id).encode() + content[content.index(b"</message_id>") :]


def receipt() -> tuple[uuid.UUID, bytes]:
    """A technical receipt of customs' exchange that names no message of ours: what an application does is not in it."""
    return _example("RCV001")


def waiting(count: int) -> list[OutboundMessage]:
    """As many messages as they are put into the outbox, not saved yet."""
    now = timezone.now()
    return [
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


def save(messages: list[OutboundMessage]) -> None:
    """Each in a transaction of its own, as an application does."""
    for message in messages:
        message.save(force_insert=True)


def send(count: int) -> None:
    """Send all that is due; RuntimeError when that are not so many."""
    services.dispatch("customs")
    sent = OutboundMessage.objects.filter(state=OutboundState.SENT).count()
    if sent != count:
        raise RuntimeError(f"{sent} of {count} messages were sent")


def take_in(count: int) -> None:
    """Receive so many messages; RuntimeError when some do not come, or are not handled."""
    taken = 0
    while taken < count:
        before = taken
        taken += services.receive("customs")
        if taken == before:
            raise RuntimeError(f"{taken} of {count} messages came")
    handled = InboundMessage.objects.filter(state=InboundState.HANDLED).count()
    if handled != count:
        raise RuntimeError(f"{handled} of {count} messages were handled")
