"""A page, as the official page library behaves: answers are matched by method, long calls go in blocks that the bridge asks for."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from websockets.sync.client import ClientConnection, connect

ORIGIN = "http://127.0.0.1:8000"
BLOCK_BYTES = 120 * 1024


def low_bytes(text: str) -> bytes:
    return text.encode("utf-16-le")[::2]


def js_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _tables() -> tuple[list[int], list[int]]:
    """The two tables that the library has: high register byte and low register byte."""
    full = []
    for start in range(256):
        value = start
        for _ in range(8):
            value = (value >> 1) ^ (0xA001 if value & 1 else 0)
        full.append(value)
    return [value & 0xFF for value in full], [value >> 8 for value in full]


HI, LO = _tables()


def check_code(text: str) -> str:
    """The library's checksum, step by step with its two tables."""
    hi, lo = 0xFF, 0xFF
    for byte in low_bytes(text):
        index = hi ^ byte
        hi, lo = lo ^ HI[index], LO[index]
    return f"{hi << 8 | lo:04X}"


def split(text: str) -> list[str]:
    """As the library cuts: a character beyond Latin-1 counts three bytes, others one; never within a surrogate pair here."""
    blocks, begin, size = [], 0, 0
    for at, character in enumerate(text):
        size += 3 * js_length(character) if ord(character) > 0xFF else 1
        if size > BLOCK_BYTES - 6:
            blocks.append(text[begin : at + 1])
            begin, size = at + 1, 0
    return blocks + ([text[begin:]] if begin < len(text) else [])


def header(whole: str, block: str, *, total: int, length: int, count: int, group: str, index: int) -> str:
    return f"BLOCKTXT{whole}{block}{total:016}{length:08}{count:04}{group}{index:04}".ljust(128, "0")


def frames_of(text: str, group: str | None = None) -> list[str]:
    """All frames of a text."""
    blocks, group = split(text), group or str(uuid4())
    whole, total = check_code(text), js_length(text)
    return [
        header(whole, check_code(block), total=total, length=js_length(block), count=len(blocks), group=group, index=index) + block
        for index, block in enumerate(blocks)
    ]


class Page:
    """One connection of one page."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.greeting = self.receive()
        self.asked: list[dict[str, Any]] = []

    def receive(self, timeout: float = 10.0) -> dict[str, Any]:
        message = self.connection.recv(timeout=timeout)
        assert isinstance(message, str)
        value = json.loads(message)
        assert isinstance(value, dict)
        return value

    def send(self, text: str | bytes) -> None:
        self.connection.send(text)

    def ask(self, method: str, call_id: Any = 1, **args: Any) -> None:
        self.send(json.dumps({"_method": method, "_id": call_id, "args": args}))

    def call(self, method: str, call_id: Any = 1, **args: Any) -> dict[str, Any]:
        """`_args` of the answer, whose form is checked."""
        self.ask(method, call_id, **args)
        return self.args_of(self.receive(), method, call_id)

    @staticmethod
    def args_of(answer: dict[str, Any], method: str, call_id: Any) -> dict[str, Any]:
        assert set(answer) == {"_id", "_method", "_status", "_args"}
        assert (answer["_id"], answer["_method"], answer["_status"]) == (call_id, method, "00")
        assert type(answer["_id"]) is type(call_id)
        args = answer["_args"]
        assert set(args) == {"Result", "Data", "Error"}
        return args

    def data(self, method: str, **args: Any) -> list[Any]:
        """Data of a call that goes well."""
        answer = self.call(method, **args)
        assert answer["Result"] is True, answer
        assert answer["Error"] == []
        return answer["Data"]

    def code(self, method: str, **args: Any) -> str:
        """The code of a call that fails."""
        answer = self.call(method, **args)
        assert answer["Result"] is False, answer
        assert answer["Data"] == []
        text, code = answer["Error"]
        assert text
        return code

    def send_frames(self, frames: list[str], spoil: Callable[[int, str], str] = lambda _index, frame: frame) -> dict[str, Any]:
        """Send a text in blocks as they are asked for; gives the first message that is no `_nextBlock`."""
        sent = 0
        self.send(spoil(sent, frames[0]))
        while True:
            message = self.receive()
            if message["_method"] != "_nextBlock":
                return message
            self.asked.append(message["_args"])
            asked = message["_args"]["Data"][0]
            if not asked["finish"]:
                sent += 1
                self.send(spoil(sent, frames[asked["next"]]))


@contextmanager
def opened(port: int, origin: str | None = ORIGIN):
    """A page connected to the bridge."""
    with connect(f"ws://127.0.0.1:{port}", origin=origin, proxy=None, max_size=None, compression=None) as connection:
        yield Page(connection)
