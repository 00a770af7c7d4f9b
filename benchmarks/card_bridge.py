"""The card bridge with a software card: calls per second, and how fast a long text gets there in blocks."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from uuid import uuid4

from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from benchmarks.report import Row
from benchmarks.world import ROOT, World
from card_bridge.checksum import checksum
from card_bridge.frames import BLOCK_UNITS, Header

ORIGIN = "http://127.0.0.1:8000"
PIN = "88888888"
SECONDS = 1.0
TEXT_UNITS = 4 * 1024 * 1024


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure calls of several kinds, and one text in blocks."""
    rows: list[Row] = []
    seconds = SECONDS if world.scale.rounds > 1 else SECONDS / 10
    with TemporaryDirectory() as home, _echo() as bare, _bridge(Path(home)) as bridge:
        echo = _rate(lambda: _answer(bare, "x"), seconds)
        rows.append(_row("bare: an echo of the same library", "calls", echo, echo))
        for what, method, args in (
            ("ver", "ver", {}),
            ("card number", "cus-sec_SpcGetCardID", {}),
            ("certificate", "cus-sec_SpcGetSignCertAsPEM", {}),
            ("signature, SM2", "cus-sec_SpcSignDataAsPEM", {"inData": "x" * 1000, "passwd": PIN}),
        ):
            call = json.dumps({"_method": method, "_id": 1, "args": args})
            rows.append(_row(what, "calls", _rate(lambda call=call: _succeeded(bridge, call), seconds), echo))
        text = "x" * TEXT_UNITS
        whole = _rate(lambda: _answer(bare, text), seconds) * TEXT_UNITS / 1e6
        call = json.dumps({"_method": "cus-sec_SpcSHA1DigestAsPEM", "_id": 1, "args": {"szInfo": text}})
        frames = _frames(call)
        rows.append(_row("bare: a text there and back in one message", "MB", whole, whole))
        rows.append(_row("a text in blocks", "MB", _rate(lambda: _in_blocks(bridge, frames), seconds) * len(call) / 1e6, whole))
    return rows, [
        "one page, one call after the other; client and bridge share the cores. The card is a file: each call reads it anew, and opening",
        "its key with the PIN takes 600,000 rounds of PBKDF2 on purpose; a real card takes its own time.",
    ]


def _row(what: str, unit: str, per_second: float, bare: float) -> Row:
    return {"what": what, "unit": unit, "per_second": round(per_second, 1), "of bare": round(per_second / bare, 3)}


def _rate(subject: Callable[[], object], seconds: float) -> float:
    """How often in a second."""
    subject()
    number, begun = 0, time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds or number == 0:
        subject()
        number += 1
    return number / took


def _answer(connection: ClientConnection, text: str) -> str:
    connection.send(text)
    return str(connection.recv())


def _succeeded(connection: ClientConnection, call: str) -> None:
    answer = json.loads(_answer(connection, call))
    if answer["_args"]["Result"] is not True:
        raise RuntimeError(f"{answer['_method']}: {answer['_args']['Error']}")


def _frames(call: str) -> list[str]:
    blocks = [call[at : at + BLOCK_UNITS] for at in range(0, len(call), BLOCK_UNITS)]
    whole, group = checksum(call), str(uuid4())
    return [
        f"{Header(whole, checksum(block), len(call), len(block), len(blocks), group, index)}{block}" for index, block in enumerate(blocks)
    ]


def _in_blocks(connection: ClientConnection, frames: list[str]) -> None:
    for frame in frames:
        _succeeded(connection, frame)
    if json.loads(connection.recv())["_args"]["Result"] is not True:
        raise RuntimeError("the text did not arrive")


@contextmanager
def _bridge(home: Path) -> Iterator[ClientConnection]:
    make = [sys.executable, "-m", "simulators.cards", "make", "--out", str(home), "--pin", PIN]
    card = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    command = [sys.executable, "-m", "card_bridge", "--port", "0", "--backend", "software", "--card", card, "--origin", ORIGIN]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            port = int(process.stderr.readline().split("ws://127.0.0.1:")[1].split()[0])
            # What it logs is read, so that it never waits for a reader.
            Thread(target=process.stderr.read, daemon=True).start()
            with _connected(port) as connection:
                connection.recv()
                yield connection
        finally:
            process.terminate()


@contextmanager
def _echo() -> Iterator[ClientConnection]:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, compression=None, max_size=None) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with _connected(server.socket.getsockname()[1]) as connection:
            yield connection


def _connected(port: int) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}", origin=ORIGIN, proxy=None, compression=None, max_size=None)
