"""`make run`: what it reads from its environment and what it refuses."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from devserver import lock, processes, run
from devserver.errors import DevServerError
from devserver.services import ServiceAddresses

COMMAND = [sys.executable, "-m", "devserver", "run"]


def devserver_run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(COMMAND, cwd=run.ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "８０００", "80 00"])
def test_what_is_no_port_is_refused(port: str) -> None:
    with pytest.raises(DevServerError, match="is not a port number"):
        run.port_number({"PORT": port})


def test_port_and_directory_have_defaults_also_when_empty() -> None:
    assert run.port_number({}) == run.port_number({"PORT": ""}) == 8000
    assert run.var_dir({}) == run.var_dir({"VAR_DIR": ""}) == run.ROOT / "var"
    assert run.var_dir({"VAR_DIR": "../elsewhere"}) == run.ROOT.parent / "elsewhere"


@pytest.mark.covers("OPS-01")
def test_a_taken_port_is_told_at_once_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = devserver_run(PORT=str(port), VAR_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"Port {port} is taken by another program" in done.stderr
    assert "make run PORT=" in done.stderr
    assert not (tmp_path / "postgres").exists()


def test_a_refused_start_leaves_no_directory_behind(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for port in ("http", str(taken.getsockname()[1])):
            # By make, what it does before the start included; .venv and the npm packages stay as they are.
            start = ["make", "run", f"PORT={port}", f"VAR_DIR={tmp_path / 'var'}", "PYTHON=true", f"VENV={sys.executable}"]
            done = subprocess.run(start, cwd=run.ROOT, capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode != 0
            assert f"{port} is" in done.stderr
            assert not (tmp_path / "var").exists()


@pytest.mark.covers("OPS-01")
def test_a_second_start_over_the_same_directory_is_refused(tmp_path: Path) -> None:
    with lock.held(tmp_path / "run" / "lock", "process 1, http://127.0.0.1:8123/"):
        done = devserver_run(VAR_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"running already from {tmp_path} (process 1, http://127.0.0.1:8123/)" in done.stderr
    assert "Traceback" not in done.stderr


ORPHAN = """
import subprocess
from devserver.run import stopping
with stopping():
    shell = ["/bin/sh", "-c", "sleep 300 >/dev/null & echo $!"]
    print(subprocess.run(shell, stdout=subprocess.PIPE, text=True).stdout, end="", flush=True)
    raise SystemExit(7)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans to an ancestor")
def test_what_lost_its_parent_is_ended_too() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN], cwd=run.ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 7, done.stderr
    orphan = int(done.stdout)
    assert not psutil.pid_exists(orphan) or not processes.runs(psutil.Process(orphan))


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = devserver_run(VAR_DIR=str(tmp_path / "file" / "below"))
    assert done.returncode == 1
    assert "cannot be made" in done.stderr


def test_the_children_get_this_start_and_not_what_the_person_has_set(tmp_path: Path) -> None:
    own = {"DATABASE_URL": "postgresql://elsewhere/real", "PORTAL_MODE": "production", "PATH": "/usr/bin", "LANG": "C.UTF-8"}
    addresses = ServiceAddresses("postgresql://here", "unix:///here", "redis+socket:///here")
    children = run.child_environment(own, tmp_path, 8123, addresses)
    assert children["DATABASE_URL"] == "postgresql://here"
    assert children["CELERY_BROKER_URL"] == "redis+socket:///here"
    assert children["PORTAL_MODE"] == "demo"
    assert children["PORT"] == "8123"
    assert children["VAR_DIR"] == str(tmp_path)
    assert children["LANG"] == "C.UTF-8"
    assert children["PATH"].split(os.pathsep) == [str(Path(sys.executable).parent), "/usr/bin"]
