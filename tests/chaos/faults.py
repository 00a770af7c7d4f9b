"""What goes wrong, by chance from a printed seed: processes die, and whatever the exchange has to offer."""

import os
import random
import signal
import threading
import time
from collections import Counter
from functools import partial

from devserver.postgres import Postgres
from devserver.redis import RedisServer
from tests.chaos.exchanges import Fault
from tests.chaos.stack import Stack

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
        self._kinds: list[Fault] = [
            ("worker killed", partial(self._kill, "worker"), 4),
            ("a worker's process killed", partial(self._kill_child, "worker"), 3),
            ("web killed", partial(self._kill, "web"), 3),
            ("a web process killed", partial(self._kill_child, "web"), 2),
            ("beat killed", partial(self._kill, "beat"), 2),
            ("customs killed", partial(self._kill, "customs"), 3),
            ("Redis killed", partial(self._kill_server, self._redis), 2),
            ("PostgreSQL killed", partial(self._kill_server, self._postgres), 2),
            *stack.exchange.faults(),
        ]

    def run(self) -> None:
        """Until `stop`."""
        try:
            # Each kind once, in an order of chance; then whatever comes.
            first = list(self._kinds)
            self._chance.shuffle(first)
            while not self._stopped.wait(self._chance.uniform(*PAUSE_SECONDS)):
                name, fault, _weight = first.pop() if first else self._chance.choices(self._kinds, [kind[2] for kind in self._kinds])[0]
                print(f"chaos: {time.strftime('%H:%M:%S')} {name}", flush=True)
                fault(self._chance)
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
        return all(self.done[name] for name, _fault, _weight in self._kinds)

    def _kill(self, name: str, chance: random.Random) -> None:
        program = self._stack.programs[name]
        with program.lock:
            program.kill()
            time.sleep(chance.uniform(0.0, 2.0))
            program.start()

    def _kill_child(self, name: str, chance: random.Random) -> None:
        self._stack.programs[name].kill_child(chance)

    def _kill_server(self, server: Postgres | RedisServer, chance: random.Random) -> None:
        process = server._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(chance.uniform(0.0, 2.0))
        server.start()
