"""What the indexes for operators and housekeeping cost the relay: filings a second, and write-ahead log, with and without them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice

import psutil
from django.db import connection
from django.test.utils import override_settings

from accounts.models import User
from benchmarks import backlog, filings, ways
from benchmarks.processes import started, until
from benchmarks.report import Row
from benchmarks.world import World
from relay import services

#: Of migration relay/0002_operations.
NAMES = (
    "relay_out_time",
    "relay_out_type",
    "relay_out_subject",
    "relay_out_kept",
    "relay_in_time",
    "relay_in_subject",
    "relay_in_kept",
    "relay_in_original",
    "relay_in_answer",
    "relay_attempt_time",
    "relay_attempt_errors",
)

#: Of the filings of `relay` so many go through each variant: the log of one is like the log of another.
SHARE = 10


def run(world: World) -> tuple[list[Row], list[str]]:
    """None and all in turns, twice; then each alone."""
    count = max(1, world.scale.filings // SHARE)
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE indexname = ANY(%s)", [list(NAMES)])
        definitions: dict[str, str] = dict(cursor.fetchall())
    there = [name for name in NAMES if name in definitions]
    variants: list[tuple[str, Sequence[str]]] = [("none of them", ()), (f"all {len(there)}", there)] * 2
    variants += [(f"only {name}", (name,)) for name in there]
    way = ways.Way("directory", world.directory / "exchange-alone")
    measured = []
    plates = filings.plates()
    for left in world.directory.glob("indexes-journal.jsonl*"):
        left.unlink()
    customs = ["-m", "simulators.customs", *way.place(), "--journal", str(world.directory / "indexes-journal.jsonl"), "--poll", "0.02"]
    with override_settings(CARD_REQUIRED=False), world.cleared(), ways.taken(way), started("customs", customs, world.directory / "log"):
        like = backlog.pattern(world.writer, next(plates))
        for number, (what, names) in enumerate(variants):
            with world.cleared(), _without([definitions[name] for name in there if name not in names], there, names):
                measured.append(_measured(what, world.writer, partial(backlog.make, like, islice(plates, count), number * count), count))
    bare = min(row["log a filing"] for row in measured)
    rows = [row | {"log / none": round(row["log a filing"] / bare, 3)} for row in measured]
    return rows, [
        f"{count:,} declared filings by the directory to the customs simulator and back, four messages each; one process sends,",
        "receives and handles, without Celery; empty tables at the start. log: bytes of write-ahead log for a filing, everything in;",
        "backend: milliseconds of the processor time of PostgreSQL's process for ours.",
        "A checkpoint before each. Rates depend on whatever else the machine does; the log hardly.",
    ]


@contextmanager
def _without(definitions: Sequence[str], there: Sequence[str], kept: Sequence[str]) -> Iterator[None]:
    """Those that are not kept are away as long as the block lasts."""
    with connection.cursor() as cursor:
        for name in there:
            if name not in kept:
                cursor.execute(f"DROP INDEX {name}")
        try:
            yield
        finally:
            for definition in definitions:
                cursor.execute(definition)


def _measured(what: str, writer: User, make: Callable[[], None], count: int) -> Row:
    with connection.cursor() as cursor:
        # After a checkpoint the log holds whole pages: for each variant from its beginning, and not wherever one falls.
        cursor.execute("CHECKPOINT")
    before = _spent()
    begun = time.perf_counter()
    make()
    until(partial(_all_stored, writer, count), "customs' answers", every=0.01)
    took = time.perf_counter() - begun
    after = _spent()
    return {
        "what": what,
        "number": count,
        "per_second": round(count / took, 1),
        "log a filing": round((after[0] - before[0]) / count),
        "backend a filing ms": round((after[1] - before[1]) / count * 1000, 3),
    }


def _all_stored(writer: User, count: int) -> bool:
    services.dispatch("customs")
    services.receive("customs")
    return backlog.is_stored(writer, count) and backlog.is_settled()


def _spent() -> tuple[int, float]:
    """Bytes of write-ahead log, and seconds of our backend's processor time, until now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, pg_backend_pid()")
        position, pid = cursor.fetchone()
    times = psutil.Process(pid).cpu_times()
    return int(position), times.user + times.system
