"""Publishing to a broker and hearing of each message what became of it (publisher confirms, mandatory)."""

import time
from collections.abc import Sequence
from typing import Any, Final

from amqp import Message
from amqp.exceptions import PreconditionFailed

from relay.channels.broker import BrokerError, Link

#: On the disk before it is confirmed, and there after a restart of the broker.
PERSISTENT: Final = 2
_BLOCKED: Final = "the broker takes nothing now: it is low on memory or disk"


def publish(link: Link, queue: str, messages: Sequence[Message], until: float) -> list[str]:
    """Hand the messages over, in order; for each an empty text once the broker has it safely in the queue, or the reason why not.

    A message with a reason may have been taken all the same: its confirm may be what was lost. Nothing is sent after `until`
    (monotonic), and nothing raises. When the broker turns down one message, and with it the channel, the others go one by one.
    """
    batch = _Batch(messages)
    try:
        with link.channel("out") as channel:
            batch.publish(link, channel, queue, until)
    except BrokerError as error:
        if isinstance(error.__cause__, PreconditionFailed) and len(messages) > 1:
            for place in batch.pending():
                batch.said[place] = publish(link, queue, [messages[place]], until)[0]
        for place in batch.pending():
            batch.said[place] = str(error)
    if batch.is_unroutable and link.options.declare:
        link.drop()  # with the next connection the queues are made anew
    return [said if said is not None else _BLOCKED for said in batch.said]


class _Batch:
    """What the broker has said so far: None is nothing yet, an empty text a confirm."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self.said: list[str | None] = [None] * len(messages)
        self._next = 0
        self._returned: dict[str, str] = {}

    def pending(self) -> list[int]:
        return [place for place, said in enumerate(self.said) if said is None]

    @property
    def is_unroutable(self) -> bool:
        """Whether there was no queue for one of them."""
        return bool(self._returned)

    def publish(self, link: Link, channel: Any, queue: str, until: float) -> None:
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)
        channel.confirm_select()
        for message in self._messages:
            left = until - time.monotonic()
            if left <= 0 or link.blocked:
                break
            channel.basic_publish(message, routing_key=queue, mandatory=True, timeout=min(link.seconds, left))
        else:
            while self._next < len(self.said) and not link.blocked:
                link.wait(until)
        if link.blocked:
            # What was not read yet is still on its way into a broker that is full: without the connection nobody waits for it.
            link.drop()
            raise BrokerError(_BLOCKED)
        if self.pending():
            link.drop()
            raise BrokerError("not sent: there was no time left")

    def _settle(self, delivery_tag: int, multiple: bool, refused: str) -> None:
        for place in range(self._next if multiple else delivery_tag - 1, delivery_tag):
            if self.said[place] is None:
                self.said[place] = refused or self._returned.get(str(self._messages[place].message_id), "")
        while self._next < len(self.said) and self.said[self._next] is not None:
            self._next += 1

    def _on_ack(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple, "")

    def _on_nack(self, delivery_tag: int, multiple: bool) -> None:
        self._settle(delivery_tag, multiple, "the broker refused it: the queue is full")

    def _on_return(self, error: Exception, _exchange: str, queue: str, message: Message) -> None:
        # What cannot be routed is returned first and then confirmed, as dealt with.
        self._returned[str(message.message_id)] = f"there is no queue {queue} ({error})"
