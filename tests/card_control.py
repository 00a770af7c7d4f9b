"""A control like the official one, as far as it is known (`domain.md` §2), for pages under test.

Its answers bear no `_id` and belong to calls by the method's name alone; long texts come and go in blocks; it knows nothing of `_blocks`.
What it answers is the test's to say.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from tests.card_bridge.page import check_code, frames_of, js_length

#: Members of a call that the official page library writes. Another one might be too much for the official control.
KNOWN = {"_method", "_id", "args"}
#: How long it looks whether the page sends another call before this one is answered.
GLANCE_SECONDS = 0.05

Answer = Callable[[dict[str, Any]], Any]


def good(*data: Any) -> Answer:
    """Answers that it went well, with these Data."""
    return lambda _args: {"Result": True, "Data": list(data), "Error": []}


def bad(text: str, code: str) -> Answer:
    """Answers that it did not."""
    return lambda _args: {"Result": False, "Data": [], "Error": [text, f"Err:{code}"]}


class HangUpError(Exception):
    """An answer that raises this closes the connection."""


@dataclass
class OfficialControl:
    """What it answers to which method, and what it saw."""

    answers: dict[str, Answer]
    #: Sent before anything else.
    greeting: str | None = '{"_method":"open"}'
    #: Answers longer than 120 KiB go in blocks.
    in_blocks: bool = True
    #: Of the blocks it gets, in their order, these are taken for wrong and asked for again.
    ask_again: set[int] = field(default_factory=set)
    #: Ends every text that comes in blocks with this refusal, and says nothing else.
    refuse_blocks: list[str] | None = None
    #: Changes the frames that it sends, by their order.
    spoil: Callable[[int, str], str] = lambda _number, frame: frame
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    #: Whole texts that came in blocks.
    texts: list[str] = field(default_factory=list)
    #: What no page may do.
    faults: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _taken: int = 0
    _sent: int = 0
    #: Which blocks the page asked for again.
    asked_again: list[int] = field(default_factory=list)

    def converse(self, page: ServerConnection) -> None:
        """One connection of one page."""
        self.connections += 1
        try:
            if self.greeting is not None:
                page.send(self.greeting)
            for message in page:
                assert isinstance(message, str)
                if not message.startswith("BLOCKTXT"):
                    self._answer(page, message)
                elif self.refuse_blocks:
                    args = {
                        "Result": False,
                        "Data": [{"id": 0, "guid": message[44:80], "next": 0, "finish": True}],
                        "Error": self.refuse_blocks,
                    }
                    page.send(json.dumps({"_method": "_nextBlock", "_args": args}))
                else:
                    self._answer(page, self._whole(page, message))
        except (ConnectionClosed, HangUpError):
            pass
        except AssertionError as fault:
            self.faults.append(str(fault) or repr(fault))

    def _whole(self, page: ServerConnection, frame: str) -> str:
        """A text in blocks, each asked for when the one before is right."""
        blocks: list[str] = []
        while True:
            head, block = frame[:128], frame[128:]
            whole, of_block, total, length = head[8:12], head[12:16], int(head[16:32]), int(head[32:40])
            count, group, index = int(head[40:44]), head[44:80], int(head[80:84])
            assert head[84:] == "0" * 44, "the rest of a header is zeros"
            assert (of_block, length) == (check_code(block), js_length(block)), "a block's checksum and length"
            assert length <= 120 * 1024, "a block is too long"
            assert index == len(blocks), f"block {index} came, {len(blocks)} was asked for"
            is_right = self._taken not in self.ask_again
            self._taken += 1
            if is_right:
                blocks.append(block)
            finish = len(blocks) == count
            data = {"id": index, "guid": group.lower(), "next": len(blocks), "finish": finish}
            page.send(json.dumps({"_method": "_nextBlock", "_args": {"Result": is_right, "Data": [data], "Error": []}}))
            if finish:
                text = "".join(blocks)
                assert (whole, total) == (check_code(text), js_length(text)), "the text's checksum and length"
                self.texts.append(text)
                return text
            answer = page.recv(timeout=10)
            assert isinstance(answer, str)
            frame = answer

    def _answer(self, page: ServerConnection, text: str) -> None:
        call = json.loads(text)
        assert set(call) <= KNOWN, f"members that the official library does not send: {set(call) - KNOWN}"
        method, args = call["_method"], call["args"]
        self.calls.append((method, args))
        try:
            page.recv(timeout=GLANCE_SECONDS)
        except TimeoutError:
            pass
        else:
            raise AssertionError("another call came before this one was answered")
        found = self.answers[method](args)
        for message in found if isinstance(found, list) else [found]:
            whole = message if isinstance(message, str) else json.dumps({"_method": method, "_args": message}, ensure_ascii=False)
            if self.in_blocks and js_length(whole) > 120 * 1024:
                self._give(page, whole)
            else:
                page.send(whole)

    def _give(self, page: ServerConnection, text: str) -> None:
        """A text in blocks, as the page asks for them. GUIDs are in small letters."""
        frames = frames_of(text)
        index = 0
        while True:
            page.send(self.spoil(self._sent, frames[index]))
            self._sent += 1
            asked = json.loads(page.recv(timeout=10))
            assert asked["_method"] == "_nextBlock"
            data = asked["_args"]["Data"][0]
            if not asked["_args"]["Result"]:
                self.asked_again.append(data["next"])
            assert data["guid"] == frames[0][44:80]
            if data["finish"]:
                return
            index = data["next"]

    def methods(self) -> list[str]:
        """The methods called so far."""
        return [method for method, _args in self.calls]


@contextmanager
def running(control: OfficialControl) -> Iterator[OfficialControl]:
    """The control, listening on a port of 127.0.0.1; afterwards it must have seen nothing that a page may not do."""
    with serve(control.converse, "127.0.0.1", 0, max_size=None, compression=None) as server:
        control.port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield control
        finally:
            server.shutdown()
            thread.join(10)
    assert control.faults == []
