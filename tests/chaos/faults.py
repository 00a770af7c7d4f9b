"""What goes wrong, by chance from a printed seed: processes die, and whatever the exchange has to offer."""

import os
import random
import signal
import threading
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from devserver.postgres import Postgres
from devserver.redis import RedisServer
from tests.chaos.exchanges import Fault
from tests.chaos.stack import Stack

#: Between one thing and the next: long enough for something to get through, short enough that nothing ever settles.
PAUSE_SECONDS = (2.0, 7.0)
#: How often two things go wrong at once.
TOGETHER = 0.25


class Faults(threading.Thread):
    """Does one thing after the other until told to stop; then everything runs again."""

    def __init__(self, stack: Stack, postgres: Postgres, redis: RedisServer, seed: int) -> None:
        super().__init__(name="faults", daemon=True)
        self._stack, self._postgres, self._redis = stack, postgres, redis
        self._chance = random.Random(seed)
        self._stopped = threading.Event()
        #: What has happened, by name, and how often two things did at once.
        self.done: Counter[str] = Counter()
        self.together = 0
        self.failure: BaseException | None = None
        self._kinds: list[Fault] = [
            ("relay killed", partial(self._kill, "relay"), 4),
            ("a process of the relay killed", partial(self._kill_child, "relay"), 3),
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
            # Each kind until it has happened once, in an order of chance; then whatever comes.
            owed = deque(self._chance.sample(self._kinds, len(self._kinds)))
            with ThreadPoolExecutor(2) as pool:
                while not self._stopped.wait(self._chance.uniform(*PAUSE_SECONDS)):
                    kinds = [owed.popleft() if owed else self._any_of(self._kinds)]
                    if self._chance.random() < TOGETHER:
                        kinds.append(self._any_of([kind for kind in self._kinds if kind is not kinds[0]]))
                    print(f"chaos: {time.strftime('%H:%M:%S')} {' and '.join(kind[0] for kind in kinds)}", flush=True)
                    chances = [random.Random(self._chance.random()) for _ in kinds]
                    happened = list(pool.map(lambda kind, chance: kind[1](chance), kinds, chances))
                    self.done.update(kind[0] for kind, has in zip(kinds, happened, strict=True) if has)
                    self.together += len(kinds) > 1 and all(happened)
                    if not happened[0] and not self.done[kinds[0][0]]:
                        owed.append(kinds[0])
        except BaseException as error:
            self.failure = error

    def _any_of(self, kinds: list[Fault]) -> Fault:
        return self._chance.choices(kinds, [weight for _name, _fault, weight in kinds])[0]

    def stop(self) -> None:
        """No more of it; what was going on is brought to its end first."""
        self._stopped.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    @property
    def missing(self) -> list[str]:
        """What this machine allows and has not happened yet."""
        return [name for name, _fault, _weight in self._kinds if not self.done[name]] + ([] if self.together else ["two things at once"])

    def _kill(self, name: str, chance: random.Random) -> bool:
        program = self._stack.programs[name]
        with program.lock:
            program.kill()
            time.sleep(chance.uniform(0.0, 2.0))
            program.start()
        return True

    def _kill_child(self, name: str, chance: random.Random) -> bool:
        return self._stack.programs[name].kill_child(chance)

    def _kill_server(self, server: Postgres | RedisServer, chance: random.Random) -> bool:
        process = server._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(chance.uniform(0.0, 2.0))
        server.start()
        return True
