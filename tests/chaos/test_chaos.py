"""Filings declared while everything around them dies: each arrives exactly once, each answer counts once, nothing is stuck (RLY-01).

`make chaos`; CHAOS_SEED repeats a run, CHAOS_FILINGS makes it shorter or longer.
"""

import json
import os
import queue
import random
import secrets
import threading
import time
from collections import deque
from pathlib import Path

import pytest

from tests.chaos.clients import USERNAMES, Client, Outcome, card_of
from tests.chaos.exchanges import DISK_MEGABYTES, small_disk
from tests.chaos.faults import Faults
from tests.chaos.stack import Stack, running
from tests.rabbitmq import IS_THERE, MISSING

pytestmark = pytest.mark.chaos

SETTLE_SECONDS = 90
#: Filings are declared over so long a time, or a short run would be over before most faults; the last ones only as slowly as this while a
#: fault has not happened yet, since some need something under way.
SPREAD_SECONDS = 90
HELD_BACK, HELD_BACK_SECONDS = 20, 4.0
#: How long faults that have not happened yet are waited for when all is declared.
FAULT_SECONDS = 60
#: Plates on which the simulator plays something else than plain acceptance: how many of a hundred.
SCRIPTED = {"LAT": 2, "TWC": 6, "SWP": 6, "MUT": 3, "NRC": 5, "REJ": 4, "RFS": 2, "FAL": 2, "UNL": 4, "CLS": 5, "DEP": 4}
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
PROVINCES = "辽吉黑蒙冀京津鲁豫皖苏浙"


def plates(count: int, chance: random.Random) -> list[str]:
    """`count` different plates in an order of chance."""
    kinds = [token for token, share in SCRIPTED.items() for _ in range(share)]
    made: dict[str, None] = {}
    while len(made) < count:
        letter, province = chance.choice(LETTERS), chance.choice(PROVINCES)
        token = chance.choice([*kinds, *[""] * (100 - len(kinds))])
        made[f"{province}{letter}{token}{chance.randrange(100):02d}" if token else f"{province}{letter}{chance.randrange(100_000):05d}"] = (
            None
        )
    found = list(made)
    chance.shuffle(found)
    return found


def test_the_exchange_has_a_disk_that_can_be_filled(tmp_path: Path) -> None:
    """Skipped where the directory's run goes without that fault."""
    with small_disk(tmp_path) as missing:
        if missing:
            pytest.skip(f"{missing}; 'disk of the exchange full' is left out")
        with pytest.raises(OSError, match="No space left"), (tmp_path / "file").open("wb") as file:
            file.write(bytes((DISK_MEGABYTES + 1) << 20))


@pytest.mark.covers("RLY-01", "RLY-02", "RLY-03")
@pytest.mark.parametrize("kind", ["directory", pytest.param("broker", marks=pytest.mark.skipif(not IS_THERE, reason=MISSING))])
def test_whatever_dies_every_filing_arrives_exactly_once(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    count = int(os.environ.get("CHAOS_FILINGS") or 2000)
    servers: list[object] = []
    with capsys.disabled(), running(kind, servers) as stack:
        print(f"\nchaos: {kind}, seed {seed}, {count} filings; again with CHAOS_SEED={seed} make chaos", flush=True)
        outcome, faults = declare_under(stack, servers, seed, count)
        told = f"{dict(faults.done)}, {faults.together} times two at once, not yet {faults.missing}"
        print(f"chaos: {told}; {outcome.outages} requests without an answer", flush=True)
        set_aside = settle(stack)
        verdict = json.loads(stack.run("-m", "tests.chaos.verdict", str(stack.journal)))
        print(f"chaos: {verdict['filings']}", flush=True)
        print(f"chaos: faults {outcome.faults}", flush=True)
        assert outcome.faults == []
        assert len(outcome.declared) == count
        assert verdict["problems"] == []
        assert sum(number for status, number in verdict["filings"].items() if status != "draft") == count
        assert faults.missing == []
        assert stack.exchange.halves
        assert stack.exchange.halves <= set_aside
        assert stack.errors() == []


def declare_under(stack: Stack, servers: list[object], seed: int, count: int) -> tuple[Outcome, Faults]:
    """All clients at work, the faults among them; ends when every filing is declared and everything runs again."""
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    left = deque(plates(count, random.Random(seed)))
    outcome, stop = Outcome(), threading.Event()
    clients = [Client(stack.url, name, card_of(stack.var_dir, name), waiting, outcome, stop) for name in USERNAMES]
    faults = Faults(stack, servers[0], servers[1], seed)  # type: ignore[arg-type]
    for client in clients:
        client.start()
    faults.start()
    told = due = time.monotonic()
    until = told + FAULT_SECONDS
    try:
        while any(client.is_alive() for client in clients) or (faults.missing and faults.is_alive() and time.monotonic() < until):
            time.sleep(0.1)
            while left and time.monotonic() >= due:
                waiting.put(left.popleft())
                due += HELD_BACK_SECONDS if faults.missing and len(left) <= min(count // 5, HELD_BACK) else SPREAD_SECONDS / count
                if not left:
                    _no_more(waiting)
            if any(client.is_alive() for client in clients):
                until = time.monotonic() + FAULT_SECONDS
            if time.monotonic() - told > 20:
                told = time.monotonic()
                print(f"chaos: {len(outcome.declared)} of {count} declared", flush=True)
    finally:
        stop.set()
        _no_more(waiting)
        faults.stop()
    for client in clients:
        client.join()
    return outcome, faults


def _no_more(waiting: "queue.SimpleQueue[str | None]") -> None:
    for _ in USERNAMES:
        waiting.put(None)


def settle(stack: Stack) -> set[str]:
    """Wait until nothing is under way any more; gives the names of the messages in half that were set aside."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        found = json.loads(stack.run("-m", "tests.chaos.verdict", "--settled"))
        left = {**found["left"], "halves": len(stack.exchange.halves - set(found["halves"]))}
        if not any(left.values()) or time.monotonic() > until:
            break
        time.sleep(1)
    print(f"chaos: at rest, {list(left.values())} left", flush=True)
    return set(found["halves"])
