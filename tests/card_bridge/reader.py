"""A card reader of the test's own: pcscd with the virtual reader of vsmartcard-vpcd, and the virtual PIV card of simulators.cards.

pcscd's socket has one place on a machine. Here each runs in a mount namespace of its own, with its own place and its own port for the
card, so that tests can run beside each other and beside a service of the machine.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

DRIVER = Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so")
ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 20.0
_START = "mkdir -p /run/pcscd && mount -t tmpfs none /run/pcscd && exec pcscd --foreground --config {}"


def missing() -> str:
    """Why there can be no reader here; empty when there can."""
    if shutil.which("pcscd") is None or not DRIVER.exists():
        return "pcscd or vsmartcard-vpcd is not here. Type: sudo apt-get install --yes --no-install-recommends pcscd vsmartcard-vpcd"
    try:
        import smartcard  # noqa: F401
    except ImportError:
        return "pyscard is not here. Type: python -m devserver system"
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "a mount namespace for pcscd needs root: sudo make test"


def wait_until(what: Callable[[], bool], why: str) -> None:
    end = time.monotonic() + DEADLINE
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.02)


class Service:
    """pcscd with one virtual reader (of two slots)."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.port = _two_free_ports()
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = home / "readers"
        self._configuration.mkdir()
        self.plug_in()
        #: One place for the life of this object, whatever process serves it.
        self.socket = home / "pcscd.comm"

    def plug_in(self) -> None:
        """The reader is there from the next start on."""
        (self._configuration / "vpcd").write_text(
            f'FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:0x{self.port:04X}\nLIBPATH {DRIVER}\nCHANNELID 0x{self.port:04X}\n'
        )

    def unplug(self) -> None:
        """There is none from the next start on: a virtual reader belongs to the service's configuration."""
        (self._configuration / "vpcd").unlink()

    def start(self) -> None:
        with (self._home / "pcscd.log").open("ab") as log:
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _START.format(self._configuration)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        place = Path(f"/proc/{self._process.pid}/root/run/pcscd/pcscd.comm")
        wait_until(lambda: place.is_socket() and _answers(place), (self._home / "pcscd.log").read_text())
        self.socket.unlink(missing_ok=True)
        self.socket.symlink_to(place)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(DEADLINE)
            self._process = None


class VirtualCard:
    """The process that is a card in the reader."""

    def __init__(self, service: Service, card: Path, home: Path) -> None:
        self._log = home / "card.log"
        self._control = home / "control"
        self._port = service.port
        command = [
            sys.executable,
            "-m",
            "simulators.cards",
            "run",
            str(card),
            "--vpcd-port",
            str(service.port),
            "--control",
            str(self._control),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*command, "--verbose"], cwd=ROOT, stdout=log, stderr=log)
        wait_until(lambda: self._control.is_socket() and _answers(self._control), "the card does not start")
        self.wait_connected()

    def wait_connected(self) -> None:
        wait_until(lambda: self.order("status").endswith(" connected"), self._log.read_text())

    def order(self, words: str) -> str:
        """One line to the card's control; gives its answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(DEADLINE)
            control.connect(str(self._control))
            control.sendall(f"{words}\n".encode())
            answer = control.makefile("r").readline().strip()
        assert answer.startswith("ok"), answer
        return answer

    def log(self) -> str:
        return self._log.read_text()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(DEADLINE)


def _answers(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(place))
        except OSError:
            return False
    return True


def _two_free_ports() -> int:
    """A port that is free with the next one: the reader's second slot is there."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
            except OSError:
                continue


def environment(service: Service) -> dict[str, str]:
    """The environment of a program that uses this service."""
    return {**os.environ, "PCSCLITE_CSOCK_NAME": str(service.socket)}
