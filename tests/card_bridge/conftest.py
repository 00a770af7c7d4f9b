"""Bridges that run in a thread of the test, with cards of each kind of key."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from card_bridge.backends import Backend
from card_bridge.backends.software import SoftwareBackend
from card_bridge.origins import Origins
from card_bridge.server import Bridge
from card_bridge.worker import CardWorker
from simulators.cards import cardfile
from simulators.cards.__main__ import make_card
from simulators.cards.certificates import Holder
from simulators.cards.keys import KeyType
from tests.card_bridge.page import ORIGIN, Page, opened

PIN = "88888888"
ENTERPRISE = "大连示范国际货运代理有限公司"
CARD_NUMBERS = {KeyType.SM2: "2100000000001", KeyType.RSA_2048: "2100000000002", KeyType.P256: "2100000000003"}


@dataclass
class Running:
    """A bridge that answers."""

    bridge: Bridge
    port: int
    loop: asyncio.AbstractEventLoop
    pages: ExitStack

    def page(self, origin: str | None = ORIGIN) -> Page:
        return self.pages.enter_context(opened(self.port, origin))

    @staticmethod
    def eventually(what: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Whether it comes about in time."""
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


@pytest.fixture(scope="session")
def card_files(tmp_path_factory: pytest.TempPathFactory) -> dict[KeyType, Path]:
    """A software card of each kind; tests work on copies."""
    home = tmp_path_factory.mktemp("cards")
    with pytest.MonkeyPatch.context() as patch:
        # What protects a PIN takes a third of a second each time; here it would be most of what the tests take.
        patch.setattr(cardfile, "ITERATIONS", 1000)
        return _made(home)


def _made(home: Path) -> dict[KeyType, Path]:
    return {
        kind: make_card(
            out=home,
            authorities=home / "authority",
            key_type=kind,
            pin=PIN,
            holder=Holder(
                name="李操作", id_no="210202199001010016", enterprise_name=ENTERPRISE, organisation_code="202600012", card_no=number
            ),
        ).path
        for kind, number in CARD_NUMBERS.items()
    }


@pytest.fixture(params=list(KeyType), ids=lambda kind: kind.value)
def any_card(request: pytest.FixtureRequest, card_files: dict[KeyType, Path], tmp_path: Path) -> Path:
    """A card of each kind in turn."""
    return Path(shutil.copy(card_files[request.param], tmp_path / "card.json"))


@pytest.fixture
def sm2_card(card_files: dict[KeyType, Path], tmp_path: Path) -> Path:
    """An SM2 card."""
    return Path(shutil.copy(card_files[KeyType.SM2], tmp_path / "card.json"))


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """Starts bridges: `run(backend, **what Bridge takes)`."""
    with ExitStack() as stack:

        def start(backend: Backend, **options: Any) -> Running:
            return stack.enter_context(RunningContext(backend, **options))

        yield start


class RunningContext:
    """A bridge in a thread with a loop of its own."""

    def __init__(self, backend: Backend, worker: CardWorker | None = None, *, origin: str = ORIGIN, port: int = 0, **options: Any) -> None:
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._bridge = Bridge(backend, Origins([origin]), worker, **options)
        self._pages = ExitStack()

    def __enter__(self) -> Running:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._bridge.listen(self._port), self._loop).result(10)
        return Running(self._bridge, self._server.sockets[0].getsockname()[1], self._loop, self._pages)

    def __exit__(self, *_: object) -> None:
        self._pages.close()

        async def end() -> None:
            self._server.close()
            await self._server.wait_closed()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def bridge(run: Callable[..., Running], sm2_card: Path) -> Running:
    """A bridge with an SM2 software card."""
    return run(SoftwareBackend(sm2_card))


@pytest.fixture
def page(bridge: Running) -> Page:
    """A page that is allowed, at that bridge."""
    return bridge.page()
