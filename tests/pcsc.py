"""A PC/SC service with a virtual reader for tests, without systemd: pcscd in the foreground, started and ended by who needs it.

pcscd's socket is one for the whole machine, so one test at a time has it; others wait for a lock. Where a pcscd runs already, that one
is used, and only what restarts it is skipped.
"""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOCKET = Path("/run/pcscd/pcscd.comm")
LOCK = Path(tempfile.gettempdir()) / "lnsw-tests-pcscd.lock"
READER_CONFIGURATION = Path("/etc/reader.conf.d/vpcd")
DEFAULT_PORT = 35963
READER = "Virtual PCD 00 00"
PATIENCE = 30.0
_MISSING = [name for name in ("pcscd", "opensc-tool", "pkcs15-tool", "pkcs15-crypt", "piv-tool") if shutil.which(name) is None]
if not READER_CONFIGURATION.exists():
    _MISSING.append("vsmartcard-vpcd")
_MAY_START = os.geteuid() == 0

needs_reader = pytest.mark.skipif(
    bool(_MISSING), reason=f"not on this machine: {', '.join(_MISSING)}. Type: sudo apt-get install pcscd vsmartcard-vpcd opensc"
)


@dataclass
class Service:
    """A running pcscd with vpcd's two readers, at `port` and the one after it."""

    home: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start pcscd and wait until it listens."""
        SOCKET.parent.mkdir(exist_ok=True)
        with (self.home / "pcscd.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["pcscd", "--foreground", "--config", str(self.home / "reader.conf")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(lambda: self.process is not None and self.process.poll() is None and is_answered(SOCKET), "pcscd does not start")

    def stop(self) -> None:
        """End the pcscd that we started."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        """As an update of the system does it."""
        if self.process is None:
            pytest.skip("the pcscd of this machine is not ours to restart")
        self.stop()
        self.start()


@dataclass
class Slot:
    """`python -m simulators.cards run` in the first reader."""

    service: Service
    home: Path
    card: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def control(self) -> Path:
        return self.home / "control"

    def start(self) -> None:
        command = [sys.executable, "-m", "simulators.cards", "run", str(self.card), "--vpcd-port", str(self.service.port)]
        with (self.home / "card.log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--verbose", "--control", str(self.control)], cwd=ROOT, stdout=log, stderr=log)
        wait_until(lambda: self.control.exists() and self.status().endswith("connected"), "the card does not reach the reader")

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)

    def order(self, line: str) -> str:
        """Send one line to the control socket; gives the reply."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(self.control))
            client.sendall(f"{line}\n".encode())
            return client.makefile().readline().strip()

    def status(self) -> str:
        return self.order("status")

    def log(self) -> str:
        return (self.home / "card.log").read_text()


@contextmanager
def running_service() -> Iterator[Service]:
    """pcscd while it lasts; ours, or the one that is there."""
    with LOCK.open("a") as handle:
        end = time.monotonic() + 10 * PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                assert time.monotonic() < end, "somebody else keeps the reader"
                time.sleep(0.1)
        if is_answered(SOCKET):
            yield Service(Path(), DEFAULT_PORT)
            return
        if not _MAY_START:
            pytest.skip("pcscd does not run here, and only root may start it. Type: sudo systemctl start pcscd")
        with tempfile.TemporaryDirectory(prefix="lnsw-pcscd-") as home:
            port = _two_free_ports()
            configuration = re.sub(r"0x[0-9A-Fa-f]+", f"0x{port:X}", READER_CONFIGURATION.read_text())
            (Path(home) / "reader.conf").write_text(configuration)
            service = Service(Path(home), port)
            try:
                service.start()
                yield service
            finally:
                service.stop()


@contextmanager
def card_in_reader(service: Service, home: Path, card: Path) -> Iterator[Slot]:
    """A card file in the first reader while it lasts."""
    slot = Slot(service, home, card)
    try:
        slot.start()
        yield slot
    finally:
        if slot.process is not None and slot.process.poll() is None:
            slot.stop()


def wait_until(condition: object, otherwise: str) -> None:
    """Wait for a condition; the machine may be busy."""
    assert callable(condition)
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)


def is_answered(path: Path) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _two_free_ports() -> int:
    """The first of two ports of which nobody listens on either."""
    for _try in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports")
