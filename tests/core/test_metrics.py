"""Counting: in memory, handed over to Redis, one sum for all processes; never in anybody's way."""

import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import RedisError

from core import metrics
from core.metrics import Counter, Histogram
from tests.watching import counted, forget_counts

pytestmark = [pytest.mark.covers("OPS-03")]

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _nothing_counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(metrics, "_declared", {})
    forget_counts()
    yield
    metrics._gatherer.take()


def test_sums_come_out_as_they_were_counted() -> None:
    counter = Counter("test_things_total", "Things", ("colour", "size"))
    counter.count(colour="red", size="small")
    counter.count(size="small", colour="red", by=2)
    counter.count(colour='蓝,"\n', size="")
    metrics.hand_over()
    counter.count(colour="red", size="small")
    assert counted() == {"test_things_total{colour=red,size=small}": 4, 'test_things_total{colour=蓝,"\n,size=}': 1}


def test_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram("test_wait_seconds", "Waits", ("who",), (1.0, 5.0))
    for seconds in (-3, 1.0, 4, 700):
        histogram.observe(seconds, who="x")
    assert counted() == {
        "test_wait_seconds_bucket{le=1.0,who=x}": 2,
        "test_wait_seconds_bucket{le=5.0,who=x}": 3,
        "test_wait_seconds_bucket{le=+Inf,who=x}": 4,
        "test_wait_seconds_count{who=x}": 4,
        "test_wait_seconds_sum{who=x}": 705,
    }


def test_a_label_is_forgotten_where_it_is_written() -> None:
    with pytest.raises(KeyError):
        Counter("test_things_total", "Things", ("colour",)).count()


def test_while_redis_is_away_counting_goes_on_and_nothing_is_lost(settings: Any) -> None:
    counter = Counter("test_things_total", "Things", ())
    there, settings.REDIS_URL = settings.REDIS_URL, NOBODY
    counter.count()
    with pytest.raises(RedisError):
        metrics.hand_over()
    counter.count()
    settings.REDIS_URL = there
    assert counted() == {"test_things_total{}": 2}


def test_what_an_earlier_release_counted_with_other_labels_is_passed_over() -> None:
    Counter("test_things_total", "Things", ("colour",)).count(colour="red")
    for field in (["test_things_total", "", "red", "small"], ["test_gone_total", ""]):
        metrics.redis().hincrbyfloat(metrics.KEY, json.dumps(field), 5)
    assert counted() == {"test_things_total{colour=red}": 1}


def test_threads_and_forked_processes_add_up() -> None:
    counter = Counter("test_things_total", "Things", ())
    counter.count()
    threads = [threading.Thread(target=lambda: [counter.count() for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        # What the parent has counted and not handed over stays with the parent.
        counter.count(by=10)
        try:
            metrics.hand_over()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert counted() == {"test_things_total{}": 4011}


def test_a_thread_hands_over_by_itself(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.METRICS_EVERY_SECONDS = 0.01
    monkeypatch.setattr(metrics, "_gatherer", metrics._Gatherer())
    Counter("test_things_total", "Things", ()).count(by=3)
    until = time.monotonic() + 10
    while not metrics.redis().hlen(metrics.KEY) and time.monotonic() < until:
        threading.Event().wait(0.01)
    assert metrics.redis().hvals(metrics.KEY) == ["3"]


def test_no_thread_to_be_had_fails_nobody(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    settings.METRICS_EVERY_SECONDS = 1
    monkeypatch.setattr(metrics, "_gatherer", metrics._Gatherer())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    Counter("test_things_total", "Things", ()).count()
    assert metrics._gatherer.numbers
