"""`python -m card_bridge` as a process: its command line, where it listens, what it logs, how it ends."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from card_bridge import VERSION
from tests.card_bridge.conftest import PIN
from tests.card_bridge.page import opened

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 20.0


@dataclass
class Program:
    process: subprocess.Popen[bytes]
    log_path: Path
    port: int = 0

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def wait_for(self, pattern: str) -> re.Match[str]:
        end = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.log())):
            assert time.monotonic() < end, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.02)
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=DEADLINE)


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "card_bridge", *map(str, words)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    programs = []

    def begin(*words: str | Path) -> Program:
        log_path = tmp_path / f"program-{len(programs)}.log"
        with log_path.open("wb") as log:
            program = Program(subprocess.Popen(command("--port", "0", *words), cwd=ROOT, stdout=log, stderr=log), log_path)
        programs.append(program)
        program.port = int(program.wait_for(r"ws://127\.0\.0\.1:([0-9]+)")[1])
        return program

    yield begin
    for program in programs:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


@pytest.mark.covers("CARD-01")
def test_a_software_card(start: Callable[..., Program], sm2_card: Path) -> None:
    program = start("--backend", "software", "--card", sm2_card)
    with opened(program.port) as page:
        assert "软件演示卡" in page.data("ver")[0]
        assert page.data("cus-sec_SpcGetCardID") == ["2100000000001"]
        assert page.data("cus-sec_SpcSignDataAsPEM", inData="x", passwd=PIN)
    assert program.stop() == 0


@pytest.mark.covers("CARD-01")
def test_the_log_says_who_asked_what_and_never_pin_or_content(start: Callable[..., Program], sm2_card: Path, tmp_path: Path) -> None:
    file = tmp_path / "bridge.log"
    program = start("--backend", "software", "--card", sm2_card, "--log", file, "--origin", "https://sw.example.cn")
    secret = "private-text"
    with opened(program.port, "https://sw.example.cn") as page:
        page.data("cus-sec_SpcSignDataAsPEM", inData=secret, passwd=PIN)
        page.code("cus-sec_SpcSignDataAsPEM", inData=secret, passwd="13571357")
        page.code("cus-sec_SpcChangePIN", oldPin="24682468", newPin="97539753")
        page.code(secret, passwd=PIN)
        page.send(secret)
        page.receive()
    with opened(program.port, "http://evil.example") as stranger:
        stranger.code(secret, passwd=PIN)
    assert program.stop() == 0
    for log in (program.log(), file.read_text(encoding="utf-8")):
        assert "https://sw.example.cn asked cus-sec_SpcSignDataAsPEM\n" in log
        assert "https://sw.example.cn asked cus-sec_SpcSignDataAsPEM: Err:Bridge40101\n" in log
        assert "https://sw.example.cn asked cus-sec_SpcChangePIN: Err:Bridge40101\n" in log
        assert "http://evil.example is not allowed and was refused" in log
        for word in (secret, PIN, "13571357", "24682468", "97539753"):
            assert word not in log
    assert "Traceback" not in program.log()


def test_it_listens_on_loopback_only(start: Callable[..., Program], sm2_card: Path) -> None:
    program = start("--backend", "software", "--card", sm2_card)
    lines = Path("/proc/net/tcp").read_text().splitlines() + Path("/proc/net/tcp6").read_text().splitlines()
    listening = [line.split()[1] for line in lines if line.split()[1].endswith(f":{program.port:04X}") and line.split()[3] == "0A"]
    assert listening == [f"0100007F:{program.port:04X}"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_even_with_pages(start: Callable[..., Program], sm2_card: Path, number: int) -> None:
    program = start("--backend", "software", "--card", sm2_card)
    with opened(program.port) as page:
        assert page.data("ver")
        assert program.stop(number) == 0
    assert "Traceback" not in program.log()


def test_a_port_that_is_taken(sm2_card: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = command("--port", str(port), "--backend", "software", "--card", sm2_card)
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert f"cannot listen on port {port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--backend", "software"], "--card FILE"),
        (["--card", "x.json"], "--backend software"),
        (["--origin", "*"], "is no origin"),
        (["--port", "70000"], "70000 is no port"),
        (["--backend", "other"], "invalid choice"),
    ],
)
def test_a_wrong_command_line(words: list[str], expected: str) -> None:
    done = subprocess.run(command(*words), cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 2
    assert expected in done.stderr


def test_its_version() -> None:
    done = subprocess.run(command("--version"), cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, VERSION)


def test_it_runs_away_from_the_portal(sm2_card: Path, tmp_path: Path) -> None:
    # Copied to a user's computer, alone: whatever it needs is in its own directory or its own requirements.
    shutil.copytree(ROOT / "card_bridge", tmp_path / "card_bridge", ignore=shutil.ignore_patterns("__pycache__"))
    rooms = "{'django', 'portal', 'core', 'accounts', 'simulators'}"
    script = f"import sys, card_bridge.__main__, card_bridge.backends.software; print(sorted({rooms} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.stdout.strip() == "[]", done.stderr
