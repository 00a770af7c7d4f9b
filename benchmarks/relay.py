"""Filings a second through the relay to the customs journal and back, beside bare Celery tasks that do nothing."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median

import psutil
from django.db import connection
from django.test.utils import override_settings
from redis import Redis

from benchmarks import channels, filings
from benchmarks.noop import noop
from benchmarks.processes import consuming, of_procfile, processor_seconds, servers, started, until, worker_answers
from benchmarks.report import Row
from benchmarks.world import World
from smartgate import services
from smartgate.models import Filing, FilingStatus

AIM_PER_SECOND = 300
#: Filings sent one by one, each when the one before is back.
ALONE = 10
NOOP_QUEUE = "bench"
#: Of the relay's worker in the Procfile: it does not look at its queue before it is told to, and knows a task that does nothing.
_QUEUES = ("relay", "portal")


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure tasks that do nothing, a backlog of filings, and single filings, with the same two worker processes."""
    count = world.scale.filings
    exchange, journal = world.directory / "exchange", world.directory / "customs-journal.jsonl"
    shutil.rmtree(exchange, ignore_errors=True)
    for left in world.directory.glob("customs-journal.jsonl*"):
        left.unlink()
    # What is measured is the relay: a card would take longer to sign than the relay to send.
    with override_settings(CARD_REQUIRED=False), world.cleared(), ExitStack() as stack:
        redis = Redis.from_url(os.environ["REDIS_URL"])
        redis.flushdb()
        plates = filings.plates()
        declared_in = _backlog(world, count, plates)
        customs = ["-m", "simulators.customs", "--root", str(exchange / "customs"), "--journal", str(journal), "--answer-delay", "0"]
        processes = {
            name: stack.enter_context(started(name, command, world.directory / "log"))
            for name, command in (("customs", customs), ("relay", _worker()), ("beat", of_procfile("beat")))
        } | servers(world.directory)
        worker_answers()
        tasks = _measure_noop(count, redis)
        with consuming("relay"):
            backlog, spent = _measure_backlog(world, count, journal, processes)
            alone = [_measure_one(world, plate) for plate in islice(plates, min(ALONE, count))]
    rows = [
        _row("bare Celery tasks that do nothing", count, tasks),
        _row("filings: outbox → customs journal → 海关入库成功", count, backlog)
        | {"of bare tasks": round(tasks / backlog, 3), "in_aim": count / backlog >= AIM_PER_SECOND},
        _row("filings entered and declared, one process", count, declared_in),
        _row("one filing alone, 申报 to 海关入库成功 (median)", len(alone), median(alone)) | {"per_second": None},
    ]
    notes = [
        f"{count:,} filings of one line, each of another vehicle, all declared before the workers may look at them; then one worker",
        "with two processes, beat and the customs simulator (answers at once), as in `make run`. The clock stops when the last is stored.",
        "Each filing is two messages out and two in (SGW101, its RCV001, SGW102, our RCV001), every file flushed to disk. They go out",
        "unsigned (CARD_REQUIRED off): a signature costs the declarant's process, not the relay.",
        f"processor time of the {count:,} filings: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in spent.items()),
        f"aim: {AIM_PER_SECOND} filings a second on two cores",
    ]
    by_channel, how = channels.rows(world)
    return rows + by_channel, notes + how


def _worker() -> list[str]:
    return [_QUEUES[1] if word == _QUEUES[0] else word for word in of_procfile("relay")] + ["--include", "benchmarks.noop"]


def _row(what: str, number: int, seconds: float) -> Row:
    per_second = round(number / seconds, 1)
    return {"what": what, "number": number, "seconds": round(seconds, 3), "per_second": per_second, "of bare tasks": None, "in_aim": None}


def _backlog(world: World, count: int, plates: Iterator[str]) -> float:
    """Enter and declare `count` filings; seconds that took."""
    writer = world.writer
    begun = time.perf_counter()
    for plate in islice(plates, count):
        services.declare_filing(actor=writer, filing_id=filings.saved(writer, plate).pk)
    return time.perf_counter() - begun


def _measure_noop(count: int, redis: "Redis[bytes]") -> float:
    """Seconds that the worker takes for `count` tasks that wait for it."""
    for number in range(count):
        noop.apply_async(args=(number,), queue=NOOP_QUEUE)
    begun = time.perf_counter()
    with consuming(NOOP_QUEUE):
        # Acknowledged late: what is neither in the queue nor unacknowledged is done.
        until(lambda: not redis.llen(NOOP_QUEUE) and not redis.hlen("unacked"), "the tasks to be done")
        return time.perf_counter() - begun


def _measure_backlog(world: World, count: int, journal: Path, processes: Mapping[str, psutil.Process]) -> tuple[float, dict[str, float]]:
    """Seconds until all that is declared is stored, and the processor time of everybody meanwhile."""
    before = {name: processor_seconds(process) for name, process in processes.items()}
    begun = time.perf_counter()
    # Not oftener: the question is paid for by the very processors that are measured.
    until(lambda: _stored(world) == count, "customs' answers", every=0.1)
    took = time.perf_counter() - begun
    spent = {name: processor_seconds(process) - before[name] for name, process in processes.items()}
    accepted = [json.loads(line)["message_id"] for line in journal.read_text(encoding="utf-8").splitlines()]
    if len(accepted) != count or len(set(accepted)) != count:
        raise RuntimeError(f"the customs journal holds {len(accepted)} filings, {len(set(accepted))} different ones; {count} were declared")
    return took, spent


def _measure_one(world: World, plate: str) -> float:
    """Seconds from 申报 to 海关入库成功 of one filing, nothing else under way."""
    filing = filings.saved(world.writer, plate)
    begun = time.perf_counter()
    services.declare_filing(actor=world.writer, filing_id=filing.pk)
    stored = Filing.unscoped.filter(pk=filing.pk, status=FilingStatus.STORED)
    until(stored.exists, "customs' answer")
    return time.perf_counter() - begun


def _stored(world: World) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM smartgate_filing WHERE enterprise_id = %s AND status = 'stored' AND deleted_at IS NULL",
            [world.writer.enterprise_id],
        )
        return int(cursor.fetchone()[0])
