"""Memory of a worker's processes while 100,000 messages pass through them, out and back."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice, pairwise

import psutil
from django.test.utils import override_settings
from redis import Redis

from benchmarks import backlog, filings, ways
from benchmarks.processes import of_procfile, started, until, worker_answers
from benchmarks.report import Row
from benchmarks.world import World

#: So many filings under way at most, made so many at a time.
UNDER_WAY, AT_A_TIME = 1_500, 500
SAMPLES = 10
#: Growth of a process from half of the way to its end that is no growth: allocators take memory in pieces of this size.
FLAT_MIB = 4.0


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure the directory, then the broker, each with a worker that is started for it."""
    rows: list[Row] = []
    verdicts: list[str] = []
    count = max(1, world.scale.messages // backlog.MESSAGES_EACH)
    with override_settings(CARD_REQUIRED=False):
        plates = filings.plates()
        for way in ways.both(world):
            measured = _measured(world, way, count, plates)
            rows += measured
            verdicts.append(_verdict(way, measured))
    return rows, [
        f"{count:,} filings for each channel, declared already, {UNDER_WAY:,} under way at most; customs simulator, the Procfile's",
        "relay and beat. Each is four messages: SGW101 out, its RCV001 back, SGW102 back, our RCV001 out. USS is what a process",
        "alone uses, RSS with what it shares; `parent` hands out the tasks, `first` and `second` do them. MiB.",
        *verdicts,
        *ways.missing(),
    ]


def _measured(world: World, way: ways.Way, count: int, plates: Iterator[str]) -> list[Row]:
    log = world.directory / "log"
    for left in world.directory.glob("memory-journal.jsonl*"):
        left.unlink()
    customs = ["-m", "simulators.customs", *way.place(), "--journal", str(world.directory / "memory-journal.jsonl"), "--answer-delay", "0"]
    with world.cleared(), ways.taken(way), ExitStack() as stack:
        Redis.from_url(os.environ["REDIS_URL"]).flushdb()
        like = backlog.pattern(world.writer, next(plates))
        stack.enter_context(started("customs", customs, log))
        worker = stack.enter_context(started("relay", of_procfile("relay"), log, way.environment()))
        stack.enter_context(started("beat", of_procfile("beat"), log, way.environment()))
        worker_answers()
        rows = [_row(way, worker, 0, 0.0)]
        begun = time.perf_counter()
        steps = [count * sample // SAMPLES for sample in range(SAMPLES + 1)]
        for made, goal in pairwise(steps):
            _feed(world, like, plates, made, goal)
            rows.append(_row(way, worker, goal * backlog.MESSAGES_EACH, time.perf_counter() - begun))
        until(backlog.is_settled, "the last receipts to go", every=0.2)
    return rows


def _feed(world: World, like: backlog.Pattern, plates: Iterator[str], made: int, goal: int) -> None:
    """More filings, from the `made`-th to the `goal`-th, as fast as they are stored; returns when all of them are."""
    for start in range(made, goal, AT_A_TIME):
        until(partial(backlog.is_stored, world.writer, start + AT_A_TIME - UNDER_WAY), "customs' answers", every=0.2)
        backlog.make(like, islice(plates, min(AT_A_TIME, goal - start)), start)
    until(partial(backlog.is_stored, world.writer, goal), "customs' answers", every=0.2)


def _row(way: ways.Way, worker: psutil.Process, messages: int, seconds: float) -> Row:
    parent, *children = [worker, *sorted(worker.children(), key=lambda process: process.create_time())]
    used = [process.memory_full_info() for process in children[:2]]
    return {
        "channel": way.name,
        "messages": messages,
        "seconds": round(seconds, 1),
        "parent USS": _mib(parent.memory_full_info().uss),
        "first USS": _mib(used[0].uss),
        "second USS": _mib(used[1].uss),
        "first RSS": _mib(used[0].rss),
        "second RSS": _mib(used[1].rss),
    }


def _mib(number: int) -> float:
    return round(number / 2**20, 1)


def _verdict(way: ways.Way, rows: list[Row]) -> str:
    half, last = rows[len(rows) // 2], rows[-1]
    grown = {name: round(last[name] - half[name], 1) for name in ("parent USS", "first USS", "second USS")}
    worst = max(grown.values())
    told = ", ".join(f"{name} {value:+.1f}" for name, value in grown.items())
    between = last["messages"] - half["messages"]
    return f"{way.name}: {'flat' if worst <= FLAT_MIB else 'GROWS'}: over the last {between:,} messages {told} MiB"
