"""The portal's processes one by one, so that each can be killed and started again while the others go on."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from honcho.environ import parse_procfile

from devserver import services, vendor
from devserver.processes import end
from devserver.run import child_environment
from tests.chaos.exchanges import EXCHANGES, Exchange
from tests.chaos.logs import unexplained
from tests.e2e.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]
#: Of the Procfile: what a filing passes through.
PROGRAMS = ("web", "relay", "beat", "customs")
#: Short waits: what the relay does after a minute in production it shall do here after seconds.
ENVIRONMENT = {
    "CAPTCHA_TEST_MODE": "1",
    "LOGIN_FAILURES_PER_ADDRESS": "100000",
    "RELAY_RECEIPT_TIMEOUT_SECONDS": "4",
    "RELAY_LEASE_SECONDS": "10",
    "RELAY_BACKOFF_MAX_SECONDS": "6",
    "WEB_THREADS": "8",
    "LOG_FORMAT": "json",
    # The authority's list lies in a file: nobody is asked over the network.
    "CARD_REVOCATION": "crl",
}
#: Each of customs' answers goes again until the portal has confirmed it.
CUSTOMS_OPTIONS = "--resend-after 6"
PATIENCE_SECONDS = 60.0
#: The logs of the last run of each kind, for who wants to know why it failed.
KEPT_LOGS = ROOT / "var" / "chaos"


@dataclass
class Program:
    """One process of the Procfile with all that it starts, in a process group of its own."""

    name: str
    command: str
    environment: dict[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0
    #: Held while it is down on purpose.
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Start it; gives no guarantee that it is ready."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {self.command}"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.starts += 1

    def start_if_ended(self) -> None:
        """As a service manager does: a worker ends by itself when its processes die before they are up."""
        with self.lock:
            if self.process is not None and self.process.poll() is not None:
                self.start()

    def kill(self) -> None:
        """SIGKILL to it and to all below it, at once."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_child(self, chance: random.Random) -> bool:
        """SIGKILL to one process below it, as the out-of-memory killer does; whether there was one."""
        assert self.process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            children = sorted(psutil.Process(self.process.pid).children(recursive=True), key=lambda child: child.pid)
            if children:
                chance.choice(children).kill()
                return True
        return False

    def stop(self) -> None:
        """End it in good order."""
        if self.process is None:
            return
        self.lock.acquire()
        with contextlib.suppress(psutil.NoSuchProcess):
            end([psutil.Process(self.process.pid)], signal.SIGTERM, 15)
        self.kill()


@dataclass
class Stack:
    """Everything that runs, and where its data lie."""

    url: str
    var_dir: Path
    environment: dict[str, str]
    exchange: Exchange
    programs: dict[str, Program] = field(default_factory=dict)

    @property
    def journal(self) -> Path:
        """What customs has accepted, a JSON object a line."""
        return self.var_dir / "customs-journal.jsonl"

    def run(self, *command: str) -> str:
        """Run a Python program in the stack's environment; gives what it prints."""
        done = subprocess.run(
            [str(ROOT / ".venv" / "bin" / "python"), *command], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def wait_until_ready(self) -> None:
        """Wait until the web answers and says that what it stands on is there."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                with opener.open(f"{self.url}/readyz", timeout=5):
                    return
            except OSError:
                assert time.monotonic() < until, f"the portal does not come up: {self.programs['web'].log.read_text()[-3000:]}"
                time.sleep(0.1)

    def errors(self) -> list[str]:
        """Exceptions in the logs that no killed neighbour explains."""
        return [
            f"{program.name}: {line}"
            for program in self.programs.values()
            for line in unexplained(program.log.read_text(encoding="utf-8", errors="replace"))
        ]


def _supervise(stack: Stack, over: threading.Event) -> None:
    """Start again what ended by itself, as systemd, Docker and others do."""
    while not over.wait(0.5):
        for program in stack.programs.values():
            program.start_if_ended()


def _keep_logs(var_dir: Path, kind: str) -> None:
    kept = KEPT_LOGS / kind
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for log in (*var_dir.glob("*.log"), *var_dir.glob("*.jsonl*"), *var_dir.glob("log/*")):
        shutil.copy(log, kept)


@contextlib.contextmanager
def running(kind: str, servers_out: list[object]) -> Iterator[Stack]:
    """The whole stack over an empty directory and an exchange of this kind; nothing is left of it afterwards.

    `servers_out` gets the database and Redis.
    """
    with tempfile.TemporaryDirectory(prefix="sw-chaos-", dir="/tmp") as home, contextlib.ExitStack() as stack:
        var_dir = Path(home)
        var_dir.chmod(0o711)
        exchange = stack.enter_context(EXCHANGES[kind](var_dir / "exchange"))
        postgres, redis = services.servers(var_dir)
        services.socket_dir(var_dir.resolve()).mkdir(parents=True, exist_ok=True)
        services.socket_dir(var_dir.resolve()).chmod(0o711)
        addresses = services.ServiceAddresses(postgres.url, redis.url, redis.broker_url)
        stack.callback(shutil.rmtree, services.socket_dir(var_dir.resolve()), ignore_errors=True)
        for server in (redis, postgres):
            server.start()
            stack.callback(server.stop)
        servers_out.extend((postgres, redis))
        port = free_port()
        environment = {**child_environment(os.environ, var_dir, port, addresses), **ENVIRONMENT, **exchange.environment()}
        vendor.copy(var_dir / "vendor")
        running_stack = Stack(f"http://127.0.0.1:{port}", var_dir, environment, exchange)
        stack.callback(_keep_logs, var_dir, kind)
        running_stack.run("-m", "tests.chaos.world")
        running_stack.run("manage.py", "collectstatic", "--no-input", "--verbosity", "0")
        commands = parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8")).processes
        for name in PROGRAMS:
            command = f"{exchange.customs_command(commands[name])} {CUSTOMS_OPTIONS}" if name == "customs" else commands[name]
            program = Program(name, command, environment, var_dir / f"{name}.log")
            running_stack.programs[name] = program
            program.start()
            stack.callback(program.stop)
        running_stack.wait_until_ready()
        over = threading.Event()
        supervisor = threading.Thread(target=_supervise, args=(running_stack, over), daemon=True)
        supervisor.start()
        try:
            yield running_stack
        finally:
            over.set()
            supervisor.join()
