"""Several pages at once: each gets its answers in order, the card is used by one call at a time, and a thousand are no trouble."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from card_bridge.backends.software import SoftwareBackend, SoftwareCard
from card_bridge.errors import CardLostError
from card_bridge.worker import CardWorker, PageGoneError
from tests.card_bridge.conftest import PIN, Running
from tests.card_bridge.page import ORIGIN


class Counting(SoftwareBackend):
    """Notes how many calls use the card at a time; a call takes a little while."""

    def __init__(self, path: Path, seconds: float = 0.01) -> None:
        super().__init__(path)
        self.now = self.most = self.calls = 0
        self._seconds = seconds

    @contextmanager
    def card(self) -> Iterator[SoftwareCard]:
        self.now += 1
        self.calls += 1
        self.most = max(self.most, self.now)
        time.sleep(self._seconds)
        try:
            with super().card() as card:
                yield card
        finally:
            self.now -= 1


class Held(SoftwareBackend):
    """The card is not reached until the test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.calls = 0

    @contextmanager
    def card(self) -> Iterator[SoftwareCard]:
        self.calls += 1
        self.begun.release()
        self.go.wait(20)
        with super().card() as card:
            yield card


@pytest.mark.covers("CARD-01")
def test_answers_come_in_order(run: Callable[..., Running], sm2_card: Path) -> None:
    page = run(Counting(sm2_card)).page()
    # Slow ones, quick ones and wrong ones, all sent before the first answer.
    methods = ["cus-sec_SpcGetCardID", "ver", "nothing", "cus-sec_SpcGetCertNo", "cus-sec_SpcSHA1DigestAsPEM"] * 8
    for number, method in enumerate(methods):
        page.ask(method, number, szInfo="x")
    answers = [page.receive() for _ in methods]
    assert [(answer["_id"], answer["_method"]) for answer in answers] == list(enumerate(methods))


@pytest.mark.covers("CARD-01")
def test_the_card_is_used_by_one_call_at_a_time(run: Callable[..., Running], sm2_card: Path) -> None:
    backend = Counting(sm2_card)
    running = run(backend)
    pages = [running.page() for _ in range(10)]
    for page in pages:
        for number in range(5):
            page.ask("cus-sec_SpcGetCardID", number)
    for page in pages:
        assert [page.receive()["_id"] for _ in range(5)] == list(range(5))
    assert (backend.calls, backend.most) == (50, 1)


def test_what_needs_no_card_does_not_wait_for_one(run: Callable[..., Running], sm2_card: Path) -> None:
    backend = Held(sm2_card)
    running = run(backend)
    busy, other = running.page(), running.page()
    busy.ask("cus-sec_SpcGetCardID")
    assert backend.begun.acquire(timeout=10)
    assert other.data("ver")
    backend.go.set()
    assert busy.receive()["_args"]["Result"] is True


@pytest.mark.covers("CARD-01")
def test_what_a_page_asked_that_went_away_is_not_done(run: Callable[..., Running], sm2_card: Path) -> None:
    backend = Held(sm2_card)
    running = run(backend)
    first, second = running.page(), running.page()
    first.ask("cus-sec_SpcGetCardID")
    assert backend.begun.acquire(timeout=10)
    second.ask("cus-sec_SpcSignDataAsPEM", inData="x", passwd=PIN)
    third = running.page()
    assert third.data("ver")
    second.connection.close()
    assert running.eventually(lambda: running.bridge.connections == 2)
    backend.go.set()
    assert first.receive()["_args"]["Result"] is True
    assert third.data("cus-sec_SpcGetCardID")
    assert backend.calls == 2


def test_a_page_that_goes_away_in_the_middle(run: Callable[..., Running], sm2_card: Path) -> None:
    backend = Held(sm2_card)
    running = run(backend)
    page = running.page()
    page.ask("cus-sec_SpcGetCardID")
    assert backend.begun.acquire(timeout=10)
    page.connection.close()
    backend.go.set()
    assert running.page().data("cus-sec_SpcGetCardID")


def test_a_card_that_never_answers_is_given_up(run: Callable[..., Running], sm2_card: Path) -> None:
    backend = Held(sm2_card)
    running = run(backend, worker=CardWorker(most_work=0.2))
    page = running.page()
    assert page.code("cus-sec_SpcGetCardID") == "Err:Custom50070"
    backend.go.set()
    assert page.data("cus-sec_SpcGetCardID")


def test_a_call_that_waits_too_long_for_its_turn_is_never_done(run: Callable[..., Running], sm2_card: Path) -> None:
    backend = Held(sm2_card)
    running = run(backend, worker=CardWorker(most_wait=0.2))
    first, second = running.page(), running.page()
    first.ask("cus-sec_SpcGetCardID")
    assert backend.begun.acquire(timeout=10)
    assert second.code("cus-sec_SpcGetCardID") == "Err:Custom50070"
    backend.go.set()
    assert first.receive()["_args"]["Result"] is True
    assert backend.calls == 1


def test_a_lost_thread_that_comes_back_leaves_the_card_to_its_successor() -> None:
    async def scene() -> None:
        worker = CardWorker(most_work=0.1)
        go, threads = threading.Event(), []

        def note() -> None:
            time.sleep(0.002)
            threads.append(threading.current_thread())

        with pytest.raises(CardLostError):
            await worker.run(go.wait)
        await worker.run(note)
        go.set()
        await asyncio.gather(*(worker.run(note) for _ in range(50)))
        assert len(set(threads)) == 1

    asyncio.run(scene())


def test_work_for_somebody_who_is_gone_already() -> None:
    async def scene() -> None:
        worker = CardWorker()
        hold, done = threading.Event(), []
        first = asyncio.ensure_future(worker.run(hold.wait))
        await asyncio.sleep(0)
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.set_result(None)
        with pytest.raises(PageGoneError):
            await worker.run(lambda: done.append(1), gone)
        hold.set()
        assert await first
        assert done == []

    asyncio.run(scene())


@pytest.mark.covers("CARD-01")
def test_a_thousand_connections(bridge: Running) -> None:
    async def visit() -> list[str]:
        async with asyncio.timeout(90):
            address = f"ws://127.0.0.1:{bridge.port}"
            gate = asyncio.Semaphore(50)

            async def arrive():
                async with gate:
                    return await connect(address, origin=ORIGIN, proxy=None, compression=None, ping_interval=None)

            pages = await asyncio.gather(*(arrive() for _ in range(1000)))
            answers = []
            for page in pages:
                assert json.loads(await page.recv())["_method"] == "open"
                await page.send('{"_method":"cus-sec_SpcGetCardID","_id":1,"args":{}}')
            answers = [json.loads(await page.recv())["_args"]["Data"][0] for page in pages]
            for page in pages:
                page.transport.abort()
            return answers

    assert asyncio.run(visit()) == ["2100000000001"] * 1000
    assert bridge.eventually(lambda: bridge.bridge.connections == 0, 30)
    signature, _ = bridge.page().data("cus-sec_SpcSignDataAsPEM", inData="x", passwd=PIN)
    assert len(base64.b64decode(signature)) == 64


def test_more_connections_than_there_is_room_for(run: Callable[..., Running], sm2_card: Path) -> None:
    running = run(SoftwareBackend(sm2_card), most_connections=2)
    pages = [running.page(), running.page()]
    with pytest.raises(Exception, match="503"):
        running.page()
    pages[0].connection.close()
    assert running.eventually(lambda: running.bridge.connections == 1)
    assert running.page().data("ver")
