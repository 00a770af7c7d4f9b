"""Two at once, in threads with connections of their own: begun together, or one in the midst of the other."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pkgutil import resolve_name
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection

from core.workflow import ActionRefused

SECONDS = 30.0


def at_once(*jobs: Callable[[], Any], refusal: type[Exception] = ActionRefused) -> list[Any]:
    """Run the jobs in threads that start together; their results, or the refusals they raised."""
    barrier = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        barrier.wait(SECONDS)
        return _outcome(job, refusal)

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def refusals(results: list[Any]) -> int:
    """How many of them are refusals."""
    return sum(isinstance(result, Exception) for result in results)


def begun(job: Callable[[], Any], *, refusal: type[Exception] = ActionRefused) -> Future[Any]:
    """Begin `job` in another thread, and come back when it waits for a lock, or is through; its result, or the refusal it raised."""
    outcome: Future[Any] = Future()

    def run() -> None:
        try:
            outcome.set_result(_outcome(job, refusal))
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run).start()
    wait_until(lambda: outcome.done() or somebody_waits())
    return outcome


@contextmanager
def meanwhile(step: str, job: Callable[[], Any], *, after: bool = False) -> Iterator[list[Any]]:
    """When `step` (a function, by its dotted name) is called in the body, `job` begins in another thread: before the step, or `after` it.

    The body goes on when that one waits for a lock, or is through: which of the two is first is no matter of luck. In the end the
    list holds what came of the job.
    """
    plain: Callable[..., Any] = resolve_name(step)
    outcomes: list[Future[Any]] = []
    results: list[Any] = []
    is_begun = False

    def begin() -> None:
        nonlocal is_begun
        if not is_begun:
            is_begun = True
            outcomes.append(begun(job))

    def stepping(*args: Any, **options: Any) -> Any:
        if not after:
            begin()
        done = plain(*args, **options)
        if after:
            begin()
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(step, stepping)
        yield results
        assert is_begun, f"{step} was not called"
        results.append(outcomes[0].result(SECONDS))


def wait_until(it_is_so: Callable[[], bool]) -> None:
    """Look again and again; an assertion when it takes too long."""
    deadline = time.monotonic() + SECONDS
    while not it_is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def somebody_waits() -> bool:
    """Whether a connection to this database waits for a lock of another."""
    with connection.cursor() as cursor:
        # In a transaction it shows what it showed the first time.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')")
        return bool(cursor.fetchone()[0])


def _outcome(job: Callable[[], Any], refusal: type[Exception]) -> Any:
    try:
        return job()
    except refusal as refused:
        return refused
    finally:
        connection.close()
