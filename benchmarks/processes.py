"""The processes that are measured: started as the Procfile starts them, watched while one waits, ended afterwards."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from honcho.environ import parse_procfile

from benchmarks.world import ROOT
from devserver import services as devservices
from devserver.processes import end
from portal.celery import app

WAIT_SECONDS = 600
_WORDS = re.compile(r'"[^"]*"|\S+')

#: The processes that were started, and where each says what it has to say.
_running: dict["subprocess.Popen[bytes]", Path] = {}


def of_procfile(name: str) -> list[str]:
    """What `python` is given in the Procfile's line of this name. Only for lines without variables."""
    command = parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8")).processes[name]
    program, *words = [word.strip('"') for word in _WORDS.findall(command)]
    if program != "python" or "$" in command:
        raise RuntimeError(f"the Procfile's line {name} is not one that can be started here: {command}")
    return words


@contextmanager
def started(name: str, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[psutil.Process]:
    """A process of the portal for as long as the block lasts; what it says goes to a file."""
    told = log / f"{name}.log"
    with told.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _running[process] = told
        try:
            yield psutil.Process(process.pid)
        finally:
            del _running[process]
            if process.poll() is None:
                end([psutil.Process(process.pid)])
            process.wait()


def until(condition: Callable[[], bool], what: str, every: float = 0.02) -> None:
    """Wait until it holds, looking `every` so many seconds. Raises RuntimeError when a process ends or ten minutes pass meanwhile."""
    end_of_patience = time.monotonic() + WAIT_SECONDS
    while not condition():
        for process, told in _running.items():
            if process.poll() is not None:
                raise RuntimeError(f"a process ended by itself: {told.read_text(encoding='utf-8', errors='replace')[-1500:]}")
        if time.monotonic() > end_of_patience:
            raise RuntimeError(f"waited {WAIT_SECONDS} s for {what}")
        time.sleep(every)


def worker_answers() -> None:
    """Wait until a worker is there. Raises RuntimeError as `until` does."""
    until(lambda: bool(app.control.ping(timeout=0.5, limit=1)), "the worker to answer")


@contextmanager
def consuming(queue: str) -> Iterator[None]:
    """The worker takes tasks from `queue` as long as the block lasts."""
    app.control.add_consumer(queue)
    try:
        yield
    finally:
        app.control.cancel_consumer(queue)


def servers(directory: Path) -> dict[str, psutil.Process]:
    """PostgreSQL and Redis, by the ids they keep in their files."""
    postgres, redis = devservices.servers(directory)
    files = {"postgresql": postgres.data / "cluster" / "postmaster.pid", "redis": redis.data / "redis.pid"}
    return {name: psutil.Process(int(file.read_text(encoding="ascii").split("\n", 1)[0])) for name, file in files.items()}


def processor_seconds(process: psutil.Process) -> float:
    """Of a process, of its children, and of those of them that have ended."""
    total = 0.0
    for member in [process, *process.children(recursive=True)]:
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total
