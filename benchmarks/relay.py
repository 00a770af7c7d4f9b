"""Filings a second through the relay to the customs journal and back, beside bare Celery tasks that do nothing."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from statistics import median

import psutil
from django.db import connection
from django.test.utils import override_settings
from redis import Redis

from benchmarks import channels, filings
from benchmarks.noop import noop
from benchmarks.report import Row
from benchmarks.world import ROOT, World
from devserver import services as devservices
from devserver.processes import end
from portal.celery import app
from smartgate import services
from smartgate.models import Filing, FilingStatus

AIM_PER_SECOND = 300
#: Filings sent one by one, each when the one before is back.
ALONE = 10
NOOP_QUEUE = "bench"
WAIT_SECONDS = 600

#: The processes that were started, and where each says what it has to say.
_running: dict["subprocess.Popen[bytes]", Path] = {}

_WORKER = ("-m", "celery", "--quiet", "--app", "portal", "worker", "--queues", "portal", "--concurrency", "2", "--loglevel", "WARNING")
_QUIETLY = ("--without-mingle", "--without-gossip", "--include", "benchmarks.noop")
_BEAT = ("-m", "celery", "--quiet", "--app", "portal", "beat", "--pidfile=", "--loglevel", "WARNING")


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
            name: stack.enter_context(_started(name, command, world.directory / "log"))
            for name, command in (("customs", customs), ("worker", [*_WORKER, *_QUIETLY]), ("beat", list(_BEAT)))
        } | _servers(world.directory)
        _until(lambda: bool(app.control.ping(timeout=0.5, limit=1)), "the worker to answer")
        tasks = _measure_noop(count, redis)
        with _consuming("relay"):
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
    with _consuming(NOOP_QUEUE):
        # Acknowledged late: what is neither in the queue nor unacknowledged is done.
        _until(lambda: not redis.llen(NOOP_QUEUE) and not redis.hlen("unacked"), "the tasks to be done")
        return time.perf_counter() - begun


def _measure_backlog(world: World, count: int, journal: Path, processes: Mapping[str, psutil.Process]) -> tuple[float, dict[str, float]]:
    """Seconds until all that is declared is stored, and the processor time of everybody meanwhile."""
    before = {name: _processor_seconds(process) for name, process in processes.items()}
    begun = time.perf_counter()
    # Not oftener: the question is paid for by the very processors that are measured.
    _until(lambda: _stored(world) == count, "customs' answers", every=0.1)
    took = time.perf_counter() - begun
    spent = {name: _processor_seconds(process) - before[name] for name, process in processes.items()}
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
    _until(stored.exists, "customs' answer")
    return time.perf_counter() - begun


def _stored(world: World) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM smartgate_filing WHERE enterprise_id = %s AND status = 'stored' AND deleted_at IS NULL",
            [world.writer.enterprise_id],
        )
        return int(cursor.fetchone()[0])


@contextmanager
def _consuming(queue: str) -> Iterator[None]:
    """The worker takes tasks from `queue` as long as the block lasts."""
    app.control.add_consumer(queue)
    try:
        yield
    finally:
        app.control.cancel_consumer(queue)


def _until(condition: Callable[[], bool], what: str, every: float = 0.02) -> None:
    """Wait until it holds, looking `every` so many seconds. Raises RuntimeError when a process ends or ten minutes pass meanwhile."""
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        for process, told in _running.items():
            if process.poll() is not None:
                raise RuntimeError(f"a process ended by itself: {told.read_text(encoding='utf-8', errors='replace')[-1500:]}")
        if time.monotonic() > until:
            raise RuntimeError(f"waited {WAIT_SECONDS} s for {what}")
        time.sleep(every)


@contextmanager
def _started(name: str, command: list[str], log: Path) -> Iterator[psutil.Process]:
    """A process of the portal for as long as the block lasts; what it says goes to a file."""
    told = log / f"{name}.log"
    with told.open("wb") as output:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _running[process] = told
        try:
            yield psutil.Process(process.pid)
        finally:
            del _running[process]
            if process.poll() is None:
                end([psutil.Process(process.pid)])
            process.wait()


def _servers(directory: Path) -> dict[str, psutil.Process]:
    """PostgreSQL and Redis, by the ids they keep in their files."""
    postgres, redis = devservices.servers(directory)
    files = {"postgresql": postgres.data / "cluster" / "postmaster.pid", "redis": redis.data / "redis.pid"}
    return {name: psutil.Process(int(file.read_text(encoding="ascii").split("\n", 1)[0])) for name, file in files.items()}


def _processor_seconds(process: psutil.Process) -> float:
    """Of a process, of its children, and of those of them that have ended."""
    total = 0.0
    for member in [process, *process.children(recursive=True)]:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
