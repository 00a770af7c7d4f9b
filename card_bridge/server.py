"""The WebSocket side: who asks, one call after the other, and what the log says of it."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from card_bridge import calls, frames, methods
from card_bridge.backends import Backend
from card_bridge.calls import Call, MalformedCallError
from card_bridge.errors import BadArgumentsError, BridgeError, OriginNotAllowedError
from card_bridge.origins import Origins
from card_bridge.worker import CardWorker, PageGoneError

#: Only programs of this computer reach it.
HOST = "127.0.0.1"
#: Connections at a time, and how many of them may be of pages that are not allowed anything.
MOST_CONNECTIONS = 2000
MOST_STRANGERS = 64
#: Bytes of one WebSocket message at most; longer texts come in blocks.
MOST_MESSAGE = 4 * 1024 * 1024
_OPEN = Call("open", 0)

log = logging.getLogger("card_bridge")


class Bridge:
    """What all connections share."""

    def __init__(
        self, backend: Backend, origins: Origins, worker: CardWorker | None = None, most_connections: int = MOST_CONNECTIONS
    ) -> None:
        self.backend = backend
        self.origins = origins
        self.worker = worker or CardWorker()
        self.budget = frames.Budget()
        self._most_connections = most_connections
        #: How many there are now.
        self.connections = 0
        self._strangers = 0

    async def listen(self, port: int) -> Server:
        """Begin to answer on this port of the loopback address (0: any). Raises OSError when it is taken."""
        # What the library would log of a connection is its contents.
        quiet = logging.getLogger("card_bridge.websockets")
        quiet.setLevel(logging.CRITICAL)
        return await serve(
            self._converse,
            HOST,
            port,
            process_request=self._room,
            compression=None,
            max_size=MOST_MESSAGE,
            max_queue=2,
            server_header=None,
            logger=quiet,
        )

    def _room(self, connection: ServerConnection, request: Request) -> Response | None:
        """Turn a connection away when there are too many."""
        stranger = not self.origins.allow(request.headers.get("Origin"))
        if self.connections >= self._most_connections or (stranger and self._strangers >= MOST_STRANGERS):
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections\n")
        return None

    async def _converse(self, connection: ServerConnection) -> None:
        origin = connection.request.headers.get("Origin") if connection.request else None
        stranger = not self.origins.allow(origin)
        self.connections += 1
        self._strangers += stranger
        try:
            page = Stranger(origin) if stranger else Page(self, origin or "", asyncio.ensure_future(connection.wait_closed()))
            try:
                await connection.send(page.greeting())
                async for message in connection:
                    async for reply in page.take(message):
                        await connection.send(reply)
            finally:
                page.close()
        except (ConnectionClosed, PageGoneError):
            pass
        finally:
            self.connections -= 1
            self._strangers -= stranger


class Stranger:
    """A page that is not in the allow-list: every call fails, and the card is left alone."""

    def __init__(self, origin: str | None) -> None:
        self._name = _shown(origin)
        self._told = False

    def greeting(self) -> str:
        """The first message."""
        return calls.refusal(_OPEN, OriginNotAllowedError())

    async def take(self, message: str | bytes) -> AsyncIterator[str]:
        """The answers to a message."""
        if not self._told:
            # Once is enough: what it asks for is of no interest, and it may ask for ever.
            log.warning("%s is not allowed and was refused", self._name)
            self._told = True
        for answer in self._answers(message):
            yield answer

    def _answers(self, message: str | bytes) -> Iterator[str]:
        error = OriginNotAllowedError()
        call: Call | None = Call("")
        if isinstance(message, str) and message.startswith(frames.MARK):
            with suppress(BadArgumentsError):
                yield frames.next_block(frames.read_header(message).group, 0, finish=True, error=error)
                call = calls.beginning(message[frames.HEADER_LENGTH :])
        elif isinstance(message, str):
            try:
                call = calls.parse(message)
            except MalformedCallError as malformed:
                call = malformed.call
        if call is not None:
            yield calls.refusal(call, error)

    def close(self) -> None:
        """It is gone."""


class Page:
    """A page that may use the card."""

    def __init__(self, bridge: Bridge, origin: str, gone: "asyncio.Future[None]") -> None:
        self._bridge = bridge
        self._name = _shown(origin)
        self._gone = gone
        self._incoming = frames.Incoming(bridge.budget)
        self._outgoing = frames.Outgoing(bridge.budget)

    def greeting(self) -> str:
        """The first message."""
        return calls.answer(_OPEN, [])

    async def take(self, message: str | bytes) -> AsyncIterator[str]:
        """The answers to a message, in their order."""
        if isinstance(message, bytes):
            yield self._refused(Call(""), BadArgumentsError("请求应为文本帧，不支持二进制帧。"))
        elif message.startswith(frames.MARK):
            async for reply in self._take_block(message):
                yield reply
        else:
            async for reply in self._take_text(message):
                yield reply

    async def _take_block(self, frame: str) -> AsyncIterator[str]:
        try:
            taken = self._incoming.take(frame)
        except BadArgumentsError as error:
            yield self._refused(Call(""), error)
            return
        for reply in taken.replies:
            yield reply
        if taken.text is not None:
            async for reply in self._take_text(taken.text):
                yield reply
        waiting = calls.beginning(taken.beginning)
        if taken.error is not None and waiting is not None:
            yield self._refused(waiting, taken.error)

    async def _take_text(self, text: str) -> AsyncIterator[str]:
        try:
            call = calls.parse(text)
        except MalformedCallError as malformed:
            yield self._refused(malformed.call, malformed.error)
            return
        if call.method == "_nextBlock":
            block = self._outgoing.take(call.args)
            if block is not None:
                yield block
            return
        answer = await self._answer(call)
        yield self._in_blocks(call, answer) if call.in_blocks and len(answer) > frames.BLOCK_UNITS else answer

    def _in_blocks(self, call: Call, answer: str) -> str:
        try:
            return self._outgoing.begin(answer)
        except BridgeError as error:
            return self._refused(call, error)

    async def _answer(self, call: Call) -> str:
        found = methods.find(call)
        if found is None:
            return self._refused(call, BadArgumentsError("读卡程序没有这个方法。"))
        name, method = found
        backend = self._bridge.backend
        try:
            if methods.is_instant(method):
                data = method(backend, call.args)
            else:
                data = await self._bridge.worker.run(lambda: method(backend, call.args), self._gone)
        except BridgeError as error:
            log.info("%s asked %s: Err:%s", self._name, name, error.code)
            return calls.refusal(call, error)
        except PageGoneError:
            log.info("%s asked %s and went away before its turn", self._name, name)
            raise
        except Exception as error:
            # Where it happened, and never what was said: the message of an exception may hold what the page sent.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s asked %s: %s\n%s", self._name, name, type(error).__name__, where)
            return calls.refusal(call, BridgeError("读卡程序内部错误，请再试一次；仍然不行时请把日志发给技术支持。"))
        log.info("%s asked %s", self._name, name)
        return calls.answer(call, data)

    def _refused(self, call: Call, error: BridgeError) -> str:
        # Not the method's name: what is no method of ours may be anything.
        log.info("%s sent what is no call that can be answered: Err:%s", self._name, error.code)
        return calls.refusal(call, error)

    def close(self) -> None:
        """It is gone."""
        self._incoming.close()
        self._outgoing.close()
        self._gone.cancel()


def _shown(origin: str | None) -> str:
    """An origin for the log: one line, not long."""
    return "a program without an origin" if origin is None else ascii(origin)[1:-1][:200]
