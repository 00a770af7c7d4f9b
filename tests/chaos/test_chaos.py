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

import pytest

from tests.chaos.clients import USERNAMES, Client, Outcome, card_of
from tests.chaos.faults import Faults
from tests.chaos.stack import Stack, running
from tests.rabbitmq import IS_THERE, MISSING

pytestmark = pytest.mark.chaos

SETTLE_SECONDS = 90
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


@pytest.mark.covers("RLY-01", "RLY-02", "RLY-03")
@pytest.mark.parametrize("kind", ["directory", pytest.param("broker", marks=pytest.mark.skipif(not IS_THERE, reason=MISSING))])
def test_whatever_dies_every_filing_arrives_exactly_once(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    count = int(os.environ.get("CHAOS_FILINGS") or 2000)
    servers: list[object] = []
    with capsys.disabled(), running(kind, servers) as stack:
        print(f"\nchaos: {kind}, seed {seed}, {count} filings; again with CHAOS_SEED={seed} make chaos", flush=True)
        outcome, faults = declare_under(stack, servers, seed, count)
        print(f"chaos: {dict(faults.done)}; {outcome.outages} requests without an answer", flush=True)
        settle(stack)
        verdict = json.loads(stack.run("-m", "tests.chaos.verdict", str(stack.journal)))
        print(f"chaos: {verdict['filings']}", flush=True)
        print(f"chaos: faults {outcome.faults}", flush=True)
        assert outcome.faults == []
        assert len(outcome.declared) == count
        assert verdict["problems"] == []
        assert sum(number for status, number in verdict["filings"].items() if status != "draft") == count
        assert faults.has_done_each
        assert stack.errors() == []


def declare_under(stack: Stack, servers: list[object], seed: int, count: int) -> tuple[Outcome, Faults]:
    """All clients at work, the faults among them; ends when every filing is declared and everything runs again."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for plate in plates(count, random.Random(seed)):
        waiting.put(plate)
    outcome, stop = Outcome(), threading.Event()
    clients = [Client(stack.url, name, card_of(stack.var_dir, name), waiting, outcome, stop) for name in USERNAMES]
    faults = Faults(stack, servers[0], servers[1], seed)  # type: ignore[arg-type]
    for client in clients:
        client.start()
    faults.start()
    told = time.monotonic()
    try:
        while any(client.is_alive() for client in clients) or (not faults.has_done_each and faults.is_alive()):
            time.sleep(0.2)
            if time.monotonic() - told > 20:
                told = time.monotonic()
                print(f"chaos: {len(outcome.declared)} of {count} declared", flush=True)
    finally:
        stop.set()
        faults.stop()
    for client in clients:
        client.join()
    return outcome, faults


def settle(stack: Stack) -> None:
    """Wait until nothing is under way any more."""
    until = time.monotonic() + SETTLE_SECONDS
    while any(left := json.loads(stack.run("-m", "tests.chaos.verdict", "--settled")).values()) and time.monotonic() < until:
        time.sleep(1)
    print(f"chaos: at rest, {list(left)} left", flush=True)
