"""Notes about processes: who is ended on their word, and who is not."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devserver import processes

SLEEPER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
STUBBORN = [sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"]


@pytest.fixture
def spawn() -> Iterator[object]:
    """Start a command that says `up` on its first line, and be sure that it is gone afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(command: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_leftover_is_ended_and_forgotten(tmp_path: Path, spawn) -> None:
    sleeper = spawn(SLEEPER)
    processes.leave_note(tmp_path, "web", sleeper.pid)
    assert [note.name for note in processes.end_leftovers(tmp_path)] == ["web"]
    assert sleeper.wait() == -signal.SIGTERM
    assert processes.read_notes(tmp_path) == []


def test_another_process_with_the_same_id_is_left_alone(tmp_path: Path, spawn) -> None:
    stranger = spawn(SLEEPER)
    note = processes.leave_note(tmp_path, "web", stranger.pid)
    (tmp_path / "web.json").write_text(json.dumps({"name": "web", "pid": note.pid, "created": note.created - 60}))
    assert processes.end_leftovers(tmp_path) == []
    assert stranger.poll() is None
    assert processes.read_notes(tmp_path) == []


def test_one_that_does_not_listen_is_killed(tmp_path: Path, spawn) -> None:
    stubborn = spawn(STUBBORN)
    processes.leave_note(tmp_path, "worker", stubborn.pid)
    processes.end_leftovers(tmp_path, grace=0.1)
    assert stubborn.wait() == -signal.SIGKILL


def test_what_runs_below_a_leftover_goes_with_it(tmp_path: Path, spawn) -> None:
    code = f"import subprocess, signal; subprocess.Popen({STUBBORN!r}).poll(); signal.pause()"
    parent = spawn([sys.executable, "-c", code])
    child = psutil.Process(parent.pid).children()[0]
    processes.leave_note(tmp_path, "worker", parent.pid)
    processes.end_leftovers(tmp_path, grace=0.1)
    assert not processes.runs(child)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": "web"}', '{"name": "web", "pid": "x", "created": 1}', "\udcff"])
def test_a_note_that_cannot_be_read_ends_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "web.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert processes.end_leftovers(tmp_path) == []


def test_the_note_of_a_finished_process_ends_nobody(tmp_path: Path, spawn) -> None:
    sleeper = spawn(SLEEPER)
    note = processes.leave_note(tmp_path, "web", sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert processes.living(note) is None


def test_launch_leaves_a_note_about_the_program_it_becomes(tmp_path: Path) -> None:
    show = "import os; print(os.getpid())"
    command = [sys.executable, "-m", "devserver.launch", str(tmp_path), "web", sys.executable, "-c", show]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    [note] = processes.read_notes(tmp_path)
    assert (note.name, note.pid) == ("web", int(done.stdout))


def test_a_server_is_known_by_its_directory(tmp_path: Path, spawn) -> None:
    other = tmp_path / "other"
    other.mkdir()
    code = f"import os; os.chdir({str(tmp_path)!r}); " + SLEEPER[2]
    server = spawn([sys.executable, "-c", code])
    pid_file = tmp_path / "server.pid"
    pid_file.write_text(f"{server.pid}\nmore\n")
    name = psutil.Process(server.pid).name()
    assert processes.server_of(pid_file, tmp_path, name) == psutil.Process(server.pid)
    assert processes.server_of(pid_file, other, name) is None
    assert processes.server_of(pid_file, tmp_path, "postgres") is None
    pid_file.write_text("not a number")
    assert processes.server_of(pid_file, tmp_path, name) is None
    assert processes.server_of(tmp_path / "absent.pid", tmp_path, name) is None


def test_our_own_process_has_a_life(tmp_path: Path) -> None:
    note = processes.leave_note(tmp_path, "me", os.getpid())
    assert processes.living(note) == psutil.Process()
