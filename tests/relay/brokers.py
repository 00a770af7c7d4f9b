"""The partner's hands at a message broker."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from amqp import Message
from amqp.exceptions import AMQPError
from django.conf import settings

from relay.channels import amqp, broker, open_channel
from tests.rabbitmq import Node

#: A port on which nobody listens: the system gives out none so low.
NOBODY = 1


def hang_up() -> None:
    """Close this thread's connections in good manners: afterwards the broker has everything back."""
    for link in broker._mine.__dict__.pop("links", {}).values():
        if link._raw is not None and link._raw.connected:
            with suppress(AMQPError, OSError):  # the broker may have hung up first
                link._raw.close()
        link.drop()


def configure(code: str, node: Node, **options: str) -> None:
    """A partner's row in the settings (which the test restores)."""
    row = {"channel": "amqp", "url": node.url, **options}
    settings.RELAY_PARTNERS = settings.RELAY_PARTNERS | {code: row}
    settings.RELAY_BROKER_PASSWORDS = settings.RELAY_BROKER_PASSWORDS | {code: node.password}


def connect(code: str) -> Any:
    """The portal's channel, connected now: with `declare` the queues are there."""
    channel = open_channel(code)
    channel.returned()
    channel.forget_returned([])
    return channel


@dataclass
class QueuePartner:
    """The partner's programs at the broker. Queue names are the test's own."""

    node: Node
    code: str
    prefix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def queue(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    def names(self) -> dict[str, str]:
        return {name: self.queue(name) for name in ("out", "in", "fail", "parked")}

    def publish(self, name: str, content: bytes, **properties: Any) -> None:
        with self.node.connected() as channel:
            channel.basic_publish(Message(content, delivery_mode=2, **properties), routing_key=self.queue(name), mandatory=True)

    def put(self, content: bytes, message_type: str = "SGW102", message_id: uuid.UUID | None = None) -> str:
        message_id = message_id or uuid.uuid4()
        self.publish("in", content, type=message_type, message_id=str(message_id))
        return f"{message_type}_{message_id}.xml"

    def messages(self, name: str) -> list[Any]:
        """Takes everything out of a queue."""
        found = []
        with self.node.connected() as channel:
            while message := channel.basic_get(self.queue(name)):
                found.append(message)
                channel.basic_ack(message.delivery_tag)
            channel.close()
        return found

    def take(self) -> list[bytes]:
        return [message.body for message in self.messages("out")]

    def refuse(self) -> None:
        with self.node.connected() as channel:
            while message := channel.basic_get(self.queue("out")):
                channel.basic_reject(message.delivery_tag, requeue=False)
            channel.close()

    def put_among_refused(self, content: bytes) -> None:
        self.publish("fail", content)

    def depth(self, name: str) -> int:
        with self.node.connected() as channel:
            return int(channel.queue_declare(self.queue(name), passive=True).message_count)

    def lying(self) -> int:
        hang_up()
        return self.depth("in")

    def set_aside(self) -> list[bytes]:
        return [message.body for message in self.messages("parked")]

    def delete(self, *names: str) -> None:
        with self.node.connected() as channel:
            for name in names:
                channel.queue_delete(self.queue(name))

    @contextmanager
    def failing(self) -> Iterator[None]:
        plain = settings.RELAY_PARTNERS
        away = {**plain[self.code], "url": f"amqp://relay@127.0.0.1:{NOBODY}"}
        settings.RELAY_PARTNERS = plain | {self.code: away}
        yield
        settings.RELAY_PARTNERS = plain

    @contextmanager
    def losing(self) -> Iterator[None]:
        def lose(*_: Any) -> None:
            raise ConnectionResetError(104, "Connection reset by peer")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(amqp, "_acknowledge", lose)
            yield
