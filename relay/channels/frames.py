"""Frames of AMQP put together into messages, where nothing that a sender wrote beside the bytes can stop the queue.

py-amqp's own handler raises for a property that is no UTF-8, or a time beyond the calendar, and loses its place in the stream. The
broker would give out the same message again, and again before all others. Here such properties are left out, and the bytes come.
"""

from collections.abc import Callable
from struct import unpack_from
from typing import Any, Final

from amqp import Message, spec
from amqp.exceptions import UnexpectedFrame

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_WITH_CONTENT: Final = frozenset([spec.Basic.Return, spec.Basic.Deliver, spec.Basic.GetOk])


class ForeignMessage(Message):
    """A message of somebody else's; without properties when they cannot be read."""

    def _load_properties(self, class_id: int, buf: Any, offset: int) -> int:
        try:
            return int(super()._load_properties(class_id, buf, offset))  # type: ignore[misc]
        except Exception:  # whatever it is, the sender wrote it, and it is not what we are after
            self.properties = {}
            return offset


def frame_handler(connection: Any, callback: Callable[[int, Any, Any, Any], None]) -> Callable[[tuple[int, int, Any]], bool]:
    """What py-amqp calls with each frame; True says that a whole method has come. Raises UnexpectedFrame."""
    expected: dict[int, int] = {}
    partial: dict[int, Any] = {}

    def whole(channel: int, message: Any) -> bool:
        if not message.ready:
            expected[channel] = _BODY
            return False
        del expected[channel], partial[channel]
        callback(channel, message.frame_method, message.frame_args, message)
        return True

    def on_frame(frame: tuple[int, int, Any]) -> bool:
        kind, channel, content = frame
        connection.bytes_recv += 1
        if kind == _HEARTBEAT:
            return False
        if kind != expected.get(channel, _METHOD):
            raise UnexpectedFrame(f"frame {kind} came where {expected.get(channel, _METHOD)} was due")
        if kind == _HEADER:
            partial[channel].inbound_header(content)
            return whole(channel, partial[channel])
        if kind == _BODY:
            partial[channel].inbound_body(content)
            return whole(channel, partial[channel])
        method = unpack_from(">HH", content, 0)
        if method in _WITH_CONTENT:
            partial[channel] = ForeignMessage(frame_method=method, frame_args=content)
            expected[channel] = _HEADER
            return False
        callback(channel, method, content, None)
        return True

    return on_frame
