"""Customs' side of a message broker: takes from `<me>.out`, publishes into `<me>.in` (docs/protocol/README.md)."""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from amqp import Message
from amqp.exceptions import AMQPError
from kombu import Connection

PERSISTENT = 2
#: How long the broker may take for an answer.
SECONDS = 20.0
HEARTBEAT = 30
#: Given out by the broker and not settled yet.
PREFETCH = 500


class Queues:
    """The queues between the portal and `me`; makes those that are not there. Every failure is an OSError."""

    def __init__(self, url: str, me: str) -> None:
        self._out, self._in = f"{me}.out", f"{me}.in"
        self._held: dict[str, Any] = {}
        self._answered: set[int] = set()
        self._published = self._confirmed = 0
        with _failures():
            self._raw: Any = Connection(url, connect_timeout=SECONDS, heartbeat=HEARTBEAT).transport.establish_connection()
            self._raw.transport.sock.settimeout(SECONDS)
            self._channel = self._raw.channel()
            self._channel.auto_decode = False
            self._declare(me)
            self._channel.confirm_select()
            self._channel.events["basic_ack"].add(self._on_ack)
            self._channel.basic_qos(0, PREFETCH, False)
            self._channel.basic_consume(self._out, callback=self._hold)

    def _declare(self, me: str) -> None:
        refused = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{me}.fail"}
        for queue, arguments in ((self._out, refused), (self._in, {}), (f"{me}.fail", {})):
            self._channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)

    def _hold(self, message: Any) -> None:
        said = message.properties
        name = f"{said.get('type', '')}_{said.get('message_id', '')}.xml"
        # The same message may come again before the first is settled.
        self._held[name if name not in self._held else f"{name}#{message.delivery_tag}"] = message

    def waiting(self, limit: int) -> list[str]:
        """Names of what the broker has given us, oldest first."""
        with _failures():
            self._raw.heartbeat_tick()
            while len(self._held) < limit:
                try:
                    self._raw.drain_events(timeout=0.01)
                except TimeoutError:
                    break
        return list(self._held)[:limit]

    def read(self, name: str) -> bytes:
        """The bytes of one of them."""
        body = self._held[name].body
        return body if isinstance(body, bytes) else bytes(body or b"")

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Publish; when this returns the broker has all of them safely in the queue."""
        with _failures():
            for name, content in files:
                message_type, message_id = name.removesuffix(".xml").split("_")[-2:]
                self._channel.basic_publish(
                    Message(content, type=message_type, message_id=message_id, content_type="application/xml", delivery_mode=PERSISTENT),
                    routing_key=self._in,
                    mandatory=True,
                    timeout=SECONDS,
                )
                self._published += 1
            end = time.monotonic() + SECONDS
            while self._confirmed < self._published:
                self._raw.drain_events(timeout=max(0.001, end - time.monotonic()))

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        if multiple:
            self._answered = {tag for tag in self._answered if tag > delivery_tag}
            self._confirmed = delivery_tag
        else:
            self._answered.add(delivery_tag)
        while self._confirmed + 1 in self._answered:
            self._confirmed += 1
            self._answered.discard(self._confirmed)

    def sent(self, name: str) -> None:
        """A message was taken."""
        with _failures():
            self._channel.basic_ack(self._held.pop(name).delivery_tag)

    def failed(self, name: str) -> None:
        """A message is refused: the broker moves it to `<me>.fail`."""
        with _failures():
            self._channel.basic_reject(self._held.pop(name).delivery_tag, requeue=False)

    def close(self) -> None:
        """Hang up; what is not settled goes back into its queue."""
        self._raw.collect()


@contextmanager
def _failures() -> Iterator[None]:
    """What a broker does to us, as what a disk does to us: an OSError, after which one begins anew."""
    try:
        yield
    except (AMQPError, AttributeError, KeyError) as error:
        raise ConnectionError(f"{type(error).__name__}: {error}") from error
    except socket.gaierror as error:
        raise ConnectionError(str(error)) from error
