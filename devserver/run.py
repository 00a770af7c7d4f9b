"""`make run`: everything the portal needs, in one terminal, and nothing left of it afterwards."""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

import psutil
from honcho.environ import parse_procfile
from honcho.manager import Manager

from devserver import lock, services, vendor
from devserver.cards import CardBox
from devserver.errors import DevServerError
from devserver.processes import end, end_leftovers, runs

ROOT = Path(__file__).resolve().parent.parent
DEMO_PASSWORD = "Demo12345"
DEFAULT_PORT = 8000
#: Where pages look for a card bridge by themselves.
BRIDGE_PORT = 61232
#: Where the card bridge looks for cards: in files of ours, or in the readers of this computer.
CARD_BACKENDS = ("software", "pcsc")
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def var_dir(environment: Mapping[str, str]) -> Path:
    """Where all data of this start lie: VAR_DIR, or var/ beside the Makefile."""
    return (ROOT / (environment.get("VAR_DIR") or "var")).resolve()


def port_number(environment: Mapping[str, str]) -> int:
    """PORT, or 8000. Raises DevServerError for what is no port."""
    text = environment.get("PORT") or str(DEFAULT_PORT)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise DevServerError(f"PORT={text} is not a port number (1 to 65535).")
    return int(text)


def refuse_taken_port(port: int) -> None:
    """Raises DevServerError when we could not listen on this port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does: connections winding down do not count
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except PermissionError as error:
            raise DevServerError(f"Port {port} is reserved for the administrator. Choose another: make run PORT=8000") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise DevServerError(
                f"Port {port} is taken by another program. Choose another: make run PORT={min(port + 1, 65535)}"
            ) from error


def simulator_port(wanted: int) -> int:
    """The port a simulator listens on: the wanted one where it is free, so that its address stays the same, else any."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError, OverflowError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise DevServerError("No port of 127.0.0.1 is free for the simulators.")


def card_backend(environment: Mapping[str, str]) -> str:
    """CARD_BACKEND, or software. Raises DevServerError for what is none."""
    backend = environment.get("CARD_BACKEND") or CARD_BACKENDS[0]
    if backend not in CARD_BACKENDS:
        raise DevServerError(f"CARD_BACKEND={backend} is not one of {', '.join(CARD_BACKENDS)}.")
    return backend


@contextlib.contextmanager
def wanted_bridge_port() -> Iterator[int]:
    """The port to try first for the card bridge: the usual one for one start at a time, however long it takes to come up."""
    with lock.held(services.private_directory() / "bridge.lock") as ours:
        yield BRIDGE_PORT if ours else 0


def child_environment(
    environment: Mapping[str, str], directory: Path, port: int, addresses: services.ServiceAddresses, wanted_bridge: int = BRIDGE_PORT
) -> dict[str, str]:
    """What the processes of the portal get: the person's own environment, and over it what makes this start."""
    sms_port, standard_edition_port = simulator_port(port + 10), simulator_port(port + 20)
    cards = CardBox(directory)
    bridge_port = simulator_port(wanted_bridge)
    backend = card_backend(environment)
    return {
        **environment,
        **addresses.environment(),
        "PORTAL_MODE": "demo",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "VAR_DIR": str(directory),
        "EXCHANGE_ROOT": str(directory / "exchange"),
        "PORT": str(port),
        "WEB_BIND": f"127.0.0.1:{port}",
        "PORTAL_URL": f"http://127.0.0.1:{port}",
        "SMS_SIMULATOR_PORT": str(sms_port),
        "SMS_GATEWAY_URL": f"http://127.0.0.1:{sms_port}/messages",
        "SMS_GATEWAY_TOKEN": "sms-simulator",
        "EMAIL_URL": f"filemail:///{directory / 'mail'}",
        "STANDARD_EDITION_PORT": str(standard_edition_port),
        "STANDARD_EDITION_ISSUER": f"http://127.0.0.1:{standard_edition_port}",
        "STANDARD_EDITION_CLIENT_ID": "liaoning-portal",
        "STANDARD_EDITION_CLIENT_SECRET": "standard-edition-simulator",
        # The cards made by an earlier start name the port that was the authority's then.
        "CARD_AUTHORITY_PORT": str(simulator_port(cards.authority_port() or port + 30)),
        "CARD_TRUST_ANCHORS": str(cards.anchors),
        "CARD_CRL_DIR": str(cards.lists),
        "CARD_BACKEND": backend,
        "CARD_FILE": str(cards.reader) if backend == "software" else "",
        "CARD_BRIDGE_PORT": str(bridge_port),
        "CARD_BRIDGE_URL": f"ws://127.0.0.1:{bridge_port}",
        # The machine's proxy settings need not know that the simulators are here; of both names the small one counts first.
        "NO_PROXY": (direct := ",".join(filter(None, [environment.get("no_proxy") or environment.get("NO_PROXY"), "127.0.0.1"]))),
        "no_proxy": direct,
        "PYTHONUNBUFFERED": "1",
        # `python` in the Procfile is this one, wherever the clone was moved to.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
    }


class Supervisor(Manager):  # honcho carries no types
    """honcho's manager, which ends all processes when one ends; this one says why it does."""

    def terminate(self) -> None:
        """End all. A signal during the start finds processes without an id, which honcho cannot end: `stopping` does."""
        if not self._all_started():
            raise SystemExit(self.returncode)
        for name, process in self._processes.items():
            if self.returncode is not None and process.get("returncode") is not None and not self._terminating:
                self._system_print(f"{name} ended by itself (status {process['returncode']}): stopping everything\n")
        super().terminate()


def adopt_orphans() -> None:
    """Become the parent of every process below us whose own parent ends first, where the system knows this (Linux).

    Such are the workers of a server that was killed, and a program that honcho's helper has started just before a signal hit it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """However the block is left, what it started and did not end is ended, before anything outside of it is."""
    adopt_orphans()
    before = set(psutil.Process().children())
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it running
        for _ in range(5):  # whatever lost its parent by one round is a child of ours in the next
            left = [child for child in psutil.Process().children() if child not in before and runs(child)]
            # honcho's forked helpers do not listen, and go when the program below them does.
            end([program for helper in left for program in (helper, *helper.children())], grace=5)


def start(environment: Mapping[str, str]) -> int:
    """Bring everything up, keep it up until told to stop, take everything down. Gives the exit status.

    Raises DevServerError for what the person can put right.
    """
    directory, port = var_dir(environment), port_number(environment)
    lock_file = directory / "run" / "lock"
    if not lock_file.exists():
        refuse_taken_port(port)  # nothing that could be left over from here holds it, and nothing is to be left of this start
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DevServerError(f"VAR_DIR={directory} cannot be made: {error.strerror}.") from error
    url = f"http://127.0.0.1:{port}"
    with lock.held(lock_file, f"process {os.getpid()}, {url}/") as ours:
        if not ours:
            raise DevServerError(
                f"The portal is running already from {directory} ({lock.holder(lock_file)}).\nFor a second one: make run PORT=… VAR_DIR=…"
            )
        notes = directory / "run" / "processes"
        for note in end_leftovers(notes):
            print(f"Ended {note.name} (process {note.pid}), left over from a start that was killed", flush=True)
        refuse_taken_port(port)
        vendor.copy(directory / "vendor")
        print("Starting PostgreSQL and Redis", flush=True)
        with wanted_bridge_port() as wanted_bridge, services.running(directory) as addresses, stopping():
            children = child_environment(environment, directory, port, addresses, wanted_bridge)
            command = [sys.executable, "-m", "devserver.launch", str(notes), "prepare", sys.executable, "-m", "devserver.prepare"]
            # Out of Ctrl-C's reach, like all our children: we hear it, and end them.
            # What is worth telling, it prints. CRLs are asked for once, where OCSP is for each signature.
            quiet = {"LOG_LEVEL": "WARNING", **children, "CARD_REVOCATION": "crl"}
            prepared = subprocess.run(command, cwd=ROOT, env=quiet, start_new_session=True, check=False)
            if prepared.returncode != 0:
                raise DevServerError("The portal could not be prepared; the lines above say why.")
            status = supervise(children, notes, url)
        print("Stopped.", flush=True)
        return status


def supervise(environment: dict[str, str], notes: Path, url: str) -> int:
    """Run the processes of the Procfile until one ends or a signal comes. Gives the exit status: 0 when asked to stop."""
    supervisor = Supervisor()
    for name, command in parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8")).processes.items():
        launched = f'exec python -m devserver.launch "$LAUNCH_NOTES" {name} {command}'
        supervisor.add_process(name, launched, env={**environment, "LAUNCH_NOTES": str(notes)}, cwd=str(ROOT))
    announce = [sys.executable, "-m", "devserver.announce", url, DEMO_PASSWORD]
    with subprocess.Popen(announce, cwd=ROOT, env=environment, start_new_session=True) as announcer:
        try:
            supervisor.loop()
        finally:
            announcer.kill()
    asked = (128 + signal.SIGINT, 128 + signal.SIGTERM)
    return 0 if supervisor.returncode in asked else (supervisor.returncode or 1)


def main() -> int:
    """Run, and tell what went wrong in plain words."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    # The terminal was closed: the same as being told to stop, whoever of us handles that just now.
    signal.signal(signal.SIGHUP, lambda _number, _frame: os.kill(os.getpid(), signal.SIGTERM))
    try:
        return start(os.environ)
    except DevServerError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
