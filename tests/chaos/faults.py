"""What goes wrong, by chance from a printed seed: processes die, the disk is full, files come half-written."""

import contextlib
import os
import random
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from devserver.postgres import Postgres
from devserver.redis import RedisServer
from tests.chaos.stack import Stack

#: Names of files that are not what they say: set aside by the portal, and told apart by this at the end.
HALF = "half_"
BALLAST = "ballast"
#: Between one thing and the next: long enough for something to get through, short enough that nothing ever settles.
PAUSE_SECONDS = (2.0, 7.0)


class Faults(threading.Thread):
    """Does one thing after the other until told to stop; then everything runs again."""

    def __init__(self, stack: Stack, postgres: Postgres, redis: RedisServer, seed: int) -> None:
        super().__init__(name="faults", daemon=True)
        self._stack, self._postgres, self._redis = stack, postgres, redis
        self._chance = random.Random(seed)
        self._stopped = threading.Event()
        self.done: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._kinds: list[tuple[str, Callable[[], None], int]] = [
            ("worker killed", lambda: self._kill("worker"), 4),
            ("a worker's process killed", lambda: self._kill_child("worker"), 3),
            ("web killed", lambda: self._kill("web"), 3),
            ("a web process killed", lambda: self._kill_child("web"), 2),
            ("beat killed", lambda: self._kill("beat"), 2),
            ("customs killed", lambda: self._kill("customs"), 3),
            ("Redis killed", lambda: self._kill_server(self._redis), 2),
            ("PostgreSQL killed", lambda: self._kill_server(self._postgres), 2),
            ("disk of the exchange full", self._fill_disk, 2 if stack.has_disk else 0),
            ("file half-written", self._write_half, 3),
        ]

    def run(self) -> None:
        """Until `stop`."""
        try:
            # Each kind once, in an order of chance; then whatever comes.
            first = [kind for kind in self._kinds if kind[2]]
            self._chance.shuffle(first)
            while not self._stopped.wait(self._chance.uniform(*PAUSE_SECONDS)):
                name, fault, _weight = first.pop() if first else self._chance.choices(self._kinds, [kind[2] for kind in self._kinds])[0]
                print(f"chaos: {time.strftime('%H:%M:%S')} {name}", flush=True)
                fault()
                self.done[name] += 1
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        """No more of it; what was going on is brought to its end first."""
        self._stopped.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    @property
    def has_done_each(self) -> bool:
        """Whether every kind that this machine allows has happened."""
        return all(self.done[name] for name, _fault, weight in self._kinds if weight)

    def _kill(self, name: str) -> None:
        program = self._stack.programs[name]
        with program.lock:
            program.kill()
            time.sleep(self._chance.uniform(0.0, 2.0))
            program.start()

    def _kill_child(self, name: str) -> None:
        self._stack.programs[name].kill_child(self._chance)

    def _kill_server(self, server: Postgres | RedisServer) -> None:
        process = server._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(self._chance.uniform(0.0, 2.0))
        server.start()

    def _fill_disk(self) -> None:
        ballast = self._stack.exchange.parent / BALLAST
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(b"\0" * (1 << 20))
                file.flush()
        time.sleep(self._chance.uniform(1.0, 4.0))
        ballast.unlink()

    def _write_half(self) -> None:
        """An agent that does not write beside and rename: half of a file lies there under its name for a while."""
        whole = self._some_file()
        if whole is None:
            return
        half = self._stack.exchange / "InBox" / f"{HALF}{secrets.token_hex(4)}.xml"
        with contextlib.suppress(OSError):
            half.write_bytes(whole[: self._chance.randrange(1, len(whole))])

    def _some_file(self) -> bytes | None:
        for box in ("InBox", "SentBox"):
            with contextlib.suppress(OSError):
                for path in sorted((self._stack.exchange / box).glob("*.xml")):
                    with contextlib.suppress(OSError):
                        return _read(path)
        return None


def _read(path: Path) -> bytes | None:
    return path.read_bytes() or None
