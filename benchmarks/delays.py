"""How long a message waits from its declaration to its place with the partner: alone, with a declarant at work, and at 200 a second."""

import math
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import UUID

import psutil
from django.db import connection, transaction
from django.test.utils import override_settings
from lxml import etree
from redis import Redis

from accounts.models import User
from benchmarks import backlog, filings, ways
from benchmarks.processes import of_procfile, processor_seconds, servers, started, until, worker_answers
from benchmarks.report import Row
from benchmarks.world import World
from relay.services import queue_message
from smartgate import messages, services

AIM_P99_MS = 1000
LOAD_PER_SECOND = 200
#: About half of what one process can declare in a second while worker, PostgreSQL and partner want the processors, too.
FILINGS_PER_SECOND = 30
IDLE_PER_SECOND = 2
#: Threads that declare; when all of them are held up an arrival waits, and its waiting counts.
DECLARANTS = 4

#: Where the partner notes what came.
NOTED = "partner.txt"

#: Declares one message; its id.
Job = Callable[[], UUID]


@dataclass(frozen=True, slots=True)
class Sent:
    """One arrival: when it was to be declared, and when the declarant had it back. Nanoseconds since 1970."""

    message_id: UUID
    due: int
    committed: int


def run(world: World) -> tuple[list[Row], list[str]]:
    """For each channel: declarations now and then, as many as one process can, and messages at the rate of the aim that nobody answers."""
    rows: list[Row] = []
    seconds = world.scale.seconds
    with override_settings(CARD_REQUIRED=False):
        for way in ways.both(world):
            rows += _by(world, way, seconds)
    return rows, [
        f"the Procfile's relay and beat; arrivals at a fixed rate for {seconds} s, whatever becomes of those before them (open loop):",
        "each delay is counted from the moment at which the arrival was due, so that a worker, or a declarant, that is held up shows",
        f"in all that wait. {DECLARANTS} threads of one process declare. Arrived: the file has its name (time of its last change of",
        "status, to 4 ms), or the broker has given it to a consumer. `declared` is from due until the declarant has it back,",
        "committed, with a worker woken; `relayed` from then to arrived, below zero where the worker was quicker; p50 and p99 are",
        "both. cores: processor time of relay, beat, PostgreSQL and Redis while messages came in.",
        f"aim: p99 below {AIM_P99_MS} ms at {LOAD_PER_SECOND} a second",
        *ways.missing(),
    ]


def _by(world: World, way: ways.Way, seconds: int) -> list[Row]:
    log, plates = world.directory / "log", filings.plates()
    answering, silent = _partner(world, way), [*_partner(world, way), "--silent"]
    with world.cleared(), ways.taken(way), ExitStack() as stack:
        Redis.from_url(os.environ["REDIS_URL"]).flushdb()
        few = [_declaration(world.writer, plate) for plate in islice(plates, max(2, seconds * IDLE_PER_SECOND))]
        many = [_declaration(world.writer, plate) for plate in islice(plates, seconds * FILINGS_PER_SECOND)]
        queued = _queued(world.writer, next(plates), seconds * LOAD_PER_SECOND)
        measured = {name: stack.enter_context(started(name, of_procfile(name), log, way.environment())) for name in ("relay", "beat")}
        measured |= servers(world.directory)
        worker_answers()
        with started("partner", answering, log):
            rows = [
                _measured(world, f"{way.name}: filings declared one by one", few, IDLE_PER_SECOND, measured),
                _measured(world, f"{way.name}: filings declared, receipts come back", many, FILINGS_PER_SECOND, measured),
            ]
            until(backlog.is_settled, "the receipts to be handled", every=0.2)
        with started("partner", silent, log):
            rows.append(_measured(world, f"{way.name}: messages queued, nobody answers", queued, LOAD_PER_SECOND, measured))
    return rows


def _partner(world: World, way: ways.Way) -> list[str]:
    return ["-m", "benchmarks.partner", *way.place(), "--notes", str(world.directory / NOTED)]


def _declaration(actor: User, plate: str) -> Job:
    """Declares a filing that is saved before, as the page does it."""
    filing_id = filings.saved(actor, plate).pk

    def declare() -> UUID:
        message_id = services.declare_filing(actor=actor, filing_id=filing_id).message_id
        if message_id is None:
            raise RuntimeError("declared without a message")
        return message_id

    return declare


def _queued(actor: User, plate: str, count: int) -> list[Job]:
    """The relay's part of it alone: one transaction with one `queue_message`."""
    model = filings.saved(actor, plate)
    model.version = 1
    element = etree.tostring(messages.filing_element(model, list(model.lines.all()), messages.Function.ADD))
    return [_queueing(element, f"bench:{number}") for number in range(count)]


def _queueing(element: bytes, subject: str) -> Job:
    def queue() -> UUID:
        with transaction.atomic():
            return queue_message(
                partner="customs",
                message_type=messages.FILING,
                business=etree.fromstring(element),
                subject=subject,
                enterprise_id=None,
            ).message_id

    return queue


def _measured(world: World, what: str, jobs: Sequence[Job], rate: int, measured: Mapping[str, psutil.Process]) -> Row:
    before = {name: processor_seconds(process) for name, process in measured.items()}
    begun = time.perf_counter()
    sent = _offer(jobs, rate)
    took = time.perf_counter() - begun
    cores = sum(processor_seconds(process) - before[name] for name, process in measured.items()) / took
    arrived = _arrivals(world.directory / NOTED, {message.message_id for message in sent})
    return {
        "what": what,
        "number": len(sent),
        "asked a second": rate,
        "per_second": round(len(sent) / took, 1),
        **_delays(sent, arrived),
        "cores": round(cores, 2),
    }


def _offer(jobs: Sequence[Job], rate: int) -> list[Sent]:
    """Start each job at its own moment, however long those before it take. Raises what a job raises."""
    places = iter(range(len(jobs)))
    turn = threading.Lock()
    begin = time.time_ns() + 200_000_000

    def declare() -> list[Sent]:
        mine = []
        try:
            while True:
                with turn:
                    place = next(places, None)
                if place is None:
                    return mine
                due = begin + place * 1_000_000_000 // rate
                time.sleep(max(0, due - time.time_ns()) / 1e9)
                mine.append(Sent(jobs[place](), due, time.time_ns()))
        finally:
            connection.close()

    with ThreadPoolExecutor(DECLARANTS) as pool:
        return [message for declarant in [pool.submit(declare) for _ in range(DECLARANTS)] for message in declarant.result()]


def _arrivals(noted: Path, expected: Collection[UUID]) -> Mapping[UUID, int]:
    """When each of them first reached the partner. Raises RuntimeError when some do not."""
    arrived: dict[UUID, int] = {}

    def all_there() -> bool:
        arrived.clear()
        for line in noted.read_text(encoding="ascii").splitlines():
            message_id, _, at = line.partition(" ")
            if at:
                arrived.setdefault(UUID(message_id), int(at))
        return arrived.keys() >= set(expected)

    until(all_there, "the messages to reach the partner", every=0.5)
    return arrived


def _delays(sent: Sequence[Sent], arrived: Mapping[UUID, int]) -> Row:
    declared = [(message.committed - message.due) / 1e6 for message in sent]
    relayed = [(arrived[message.message_id] - message.committed) / 1e6 for message in sent]
    whole = [(arrived[message.message_id] - message.due) / 1e6 for message in sent]
    return {
        "p50_ms": _quantile(whole, 0.50),
        "p99_ms": _quantile(whole, 0.99),
        "longest_ms": round(max(whole), 1),
        "declared_p50_ms": _quantile(declared, 0.50),
        "declared_p99_ms": _quantile(declared, 0.99),
        "relayed_p50_ms": _quantile(relayed, 0.50),
        "relayed_p99_ms": _quantile(relayed, 0.99),
        "in_aim": _quantile(whole, 0.99) < AIM_P99_MS,
    }


def _quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many of them do not exceed."""
    return round(sorted(values)[max(0, math.ceil(len(values) * share) - 1)], 1)
