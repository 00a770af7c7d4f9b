"""Counting what happens, for Prometheus (OPS-03, docs/adr/0093).

Counting adds to a number in this process's memory: it cannot fail and waits for nobody. A thread adds what has gathered to Redis, where the
numbers of all processes on all machines meet; while Redis is away it goes on gathering. A process that is killed takes what it counted
since the last time with it, at most METRICS_EVERY_SECONDS' worth. Labels never hold what a user or a partner chose: each has few values.
"""

import json
import os
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from typing import Any, Final

import structlog
from django.conf import settings
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)

#: One hash: [name, part, label values …] as JSON → number.
KEY: Final = "portal:metrics"
#: From a tenth of a second to an hour.
SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
_ABOVE: Final = "+Inf"
_SUM: Final = "sum"

_declared: "dict[str, Counter | Histogram]" = {}


@dataclass(frozen=True, slots=True)
class Counter:
    """How often something happened. `name` ends in _total."""

    name: str
    about: str
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        _declared[self.name] = self

    def count(self, *, by: float = 1, **labels: str) -> None:
        """Once more, or `by`. Raises KeyError when a label is missing."""
        _gatherer.add((self.name, "", *(labels[name] for name in self.labels)), by)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long something took, in seconds, by upper bounds. `name` ends in _seconds."""

    name: str
    about: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = SECONDS

    def __post_init__(self) -> None:
        _declared[self.name] = self

    def observe(self, seconds: float, **labels: str) -> None:
        """It took so long; what a clock set back makes negative counts as nothing. Raises KeyError when a label is missing."""
        values = [labels[name] for name in self.labels]
        taken = max(seconds, 0.0)
        bound = next((str(bound) for bound in self.bounds if taken <= bound), _ABOVE)
        _gatherer.add((self.name, bound, *values), 1)
        _gatherer.add((self.name, _SUM, *values), taken)


@dataclass(slots=True)
class _Gatherer:
    """What this process counted and did not hand over yet."""

    numbers: dict[tuple[str, ...], float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    thread: threading.Thread | None = None

    def add(self, key: tuple[str, ...], by: float) -> None:
        with self.lock:
            self.numbers[key] = self.numbers.get(key, 0) + by
            if self.thread is None and settings.METRICS_EVERY_SECONDS:
                self.thread = threading.Thread(target=_hand_over_for_ever, name="metrics", daemon=True)
                try:
                    self.thread.start()
                except RuntimeError:  # no more threads, or Python is ending: what counts must go on
                    self.thread = None

    def take(self) -> dict[tuple[str, ...], float]:
        with self.lock:
            taken, self.numbers = self.numbers, {}
        return taken


_gatherer = _Gatherer()


def _begin_anew() -> None:
    """In a forked process: what was counted so far is its parent's to hand over, and the parent's thread did not come along."""
    global _gatherer  # noqa: PLW0603 - one for the whole process
    _gatherer = _Gatherer()


os.register_at_fork(after_in_child=_begin_anew)


def _hand_over_for_ever() -> None:
    pause = threading.Event()
    failing = False
    while not pause.wait(settings.METRICS_EVERY_SECONDS):
        try:
            hand_over()
            failing = False
        except Exception as error:  # whatever it is, the next round tries again
            if not failing:
                log.warning("metrics_not_handed_over", error=type(error).__name__)
            failing = True


def hand_over() -> None:
    """Add what this process has counted to Redis. Raises redis.RedisError, and keeps it then."""
    gatherer = _gatherer
    taken = gatherer.take()
    if not taken:
        return
    try:
        with redis().pipeline(transaction=True) as pipe:
            for key, by in taken.items():
                pipe.hincrbyfloat(KEY, json.dumps(key, ensure_ascii=False), by)
            pipe.execute()
    except BaseException:
        with gatherer.lock:
            for key, by in taken.items():
                gatherer.numbers[key] = gatherer.numbers.get(key, 0) + by
        raise


def redis() -> "Redis":
    """Redis, asked once and not for long: who counts or looks must not hang with it."""
    return _redis(settings.REDIS_URL)


@cache
def _redis(url: str) -> "Redis":
    client: Redis = Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1, retry=Retry(NoBackoff(), 0), decode_responses=True)
    return client


def declared() -> list[Counter | Histogram]:
    """All that is counted, by name."""
    return [_declared[name] for name in sorted(_declared)]


def families() -> list[Metric]:
    """What all processes together have counted, in Prometheus' form. Raises redis.RedisError."""
    hand_over()
    found: dict[str, dict[tuple[str, ...], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    stored: dict[str, str] = redis().hgetall(KEY)  # type: ignore[assignment]  # its types speak of the asynchronous client, too
    for key, number in stored.items():
        name, part, *values = json.loads(key)
        found[name][tuple(values)][part] = float(number)
    return [_family(metric, found[metric.name]) for metric in declared()]


def _family(metric: Counter | Histogram, found: dict[tuple[str, ...], dict[str, float]]) -> Metric:
    # A release may have changed the labels: what was counted with others is passed over.
    fitting = [(values, parts) for values, parts in sorted(found.items()) if len(values) == len(metric.labels)]
    if isinstance(metric, Counter):
        counter = CounterMetricFamily(metric.name, metric.about, labels=metric.labels)
        for values, parts in fitting:
            counter.add_metric(values, parts.get("", 0))
        return counter
    histogram = HistogramMetricFamily(metric.name, metric.about, labels=metric.labels)
    for values, parts in fitting:
        histogram.add_metric(values, buckets=list(_cumulated(metric.bounds, parts)), sum_value=parts.get(_SUM, 0))
    return histogram


def _cumulated(bounds: Sequence[float], parts: dict[str, float]) -> Iterator[tuple[str, float]]:
    names = [*map(str, bounds), _ABOVE]
    numbers: Iterable[Any] = accumulate(parts.get(name, 0) for name in names)
    yield from zip(names, numbers, strict=True)
