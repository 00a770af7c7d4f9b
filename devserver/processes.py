"""Processes that one start leaves a note about, so that the next one can end what was left behind.

A note is a small JSON file (process id, moment of creation). A process is only ever touched when both still agree: process
ids are reused, and what carries a number of ours may by now be somebody's editor.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

#: psutil derives the moment of creation from the machine's start time, which wobbles when the clock is set.
CREATED_TOLERANCE_SECONDS = 2.0
#: How long a process may take to end by itself before it is killed.
GRACE_SECONDS = 8.0


@dataclass(frozen=True)
class Note:
    """One started process: what it was started as, its id, when it was created (seconds since 1970)."""

    name: str
    pid: int
    created: float


def leave_note(directory: Path, name: str, pid: int) -> Note:
    """Write down the running process `pid` as `name` in `directory`; the file appears whole or not at all.

    Raises psutil.NoSuchProcess when it is gone already.
    """
    note = Note(name=name, pid=pid, created=psutil.Process(pid).create_time())
    directory.mkdir(parents=True, exist_ok=True)
    draft = directory / f".{name}.{os.getpid()}"
    draft.write_text(json.dumps(asdict(note)), encoding="ascii")
    draft.replace(directory / f"{name}.json")
    return note


def read_notes(directory: Path) -> list[Note]:
    """Every readable note in `directory`; one that cannot be read says nothing and is passed over."""
    notes = []
    for path in sorted(directory.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            content = json.loads(path.read_text(encoding="ascii"))
            notes.append(Note(name=str(content["name"]), pid=int(content["pid"]), created=float(content["created"])))
    return notes


def remove_notes(directory: Path) -> None:
    """Forget all notes in `directory`."""
    for path in directory.glob("*.json"):
        path.unlink(missing_ok=True)


def living(note: Note) -> psutil.Process | None:
    """The process of the note, if it is still that process and still runs."""
    try:
        process = psutil.Process(note.pid)
        same = abs(process.create_time() - note.created) <= CREATED_TOLERANCE_SECONDS
    except psutil.NoSuchProcess:
        return None
    return process if same and runs(process) else None


def runs(process: psutil.Process) -> bool:
    """Whether it is still that process and does anything. One that has ended and that nobody has asked after does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def server_of(pid_file: Path, directory: Path, name: str) -> psutil.Process | None:
    """The running server called `name` that wrote `pid_file` (id on the first line) and works in `directory`.

    PostgreSQL and Redis both move into their data directory: no other process can be taken for the one over this data.
    """
    try:
        process = psutil.Process(int(pid_file.read_text(encoding="ascii").split("\n", 1)[0]))
        ours = process.name().startswith(name) and Path(process.cwd()) == directory.resolve()
    except (OSError, ValueError, psutil.Error):
        return None
    return process if ours else None


def end(processes: Iterable[psutil.Process], how: signal.Signals = signal.SIGTERM, grace: float = GRACE_SECONDS) -> None:
    """Ask these processes to end, and after `grace` seconds kill what is left of them and of all below them.

    Only the processes named are asked: each of ours ends its own children, in its own order.
    psutil compares the moment of creation before each signal, so a reused id is never hit.
    """
    family: set[psutil.Process] = set()
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            family.update([process, *process.children(recursive=True)])
            process.send_signal(how)
    for member in _wait(family, grace):
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    _wait(family, grace)


def _wait(processes: Iterable[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait until these have ended, at most `timeout` seconds; gives those that have not.

    Not psutil.wait_procs: it waits for what has ended to be reaped, which in many a container nobody does, and takes the exit
    status of our own children from whoever started them.
    """
    until = time.monotonic() + timeout
    while (left := [process for process in processes if runs(process)]) and time.monotonic() < until:
        time.sleep(0.02)
    return left


def end_leftovers(directory: Path, grace: float = GRACE_SECONDS) -> list[Note]:
    """End what the notes in `directory` name and what still runs, then forget the notes. Gives the notes of those ended."""
    found = [(note, process) for note in read_notes(directory) if (process := living(note))]
    end([process for _, process in found], grace=grace)
    remove_notes(directory)
    return [note for note, _ in found]
