"""The message broker: four queues for each partner (AMQP 0-9-1; `docs/protocol/README.md`, docs/adr/0090).

We publish into `<partner>.out` and count a letter as handed over when the broker has confirmed it. What the partner publishes into
`<partner>.in` is acknowledged once it is stored; until then the broker keeps it, and gives it out again when we die. What the
partner rejects the broker moves to `<partner>.fail`. What is too large for us we move to `<partner>.parked` ourselves.
"""

import hashlib
import time
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from amqp import Message
from django.conf import settings

from relay.channels.base import BoxedLetter, Letter, ReceivedFile, SendResult, printable
from relay.channels.broker import BrokerError, BrokerOptions, Link, link
from relay.channels.confirms import PERSISTENT, publish
from relay.conf import portions, require_partner
from relay.envelope import type_and_id
from relay.models import AttemptOutcome

log = structlog.get_logger(__name__)

#: What the broker has announced and does not deliver for so long, another look will bring.
DELIVERY_SECONDS: Final = 2.0
#: Refused letters looked at in one sweep.
RETURNED: Final = 500
_TOO_LARGE: Final = "TOO_LARGE"


@dataclass(frozen=True, slots=True)
class _Delivered(ReceivedFile):
    """A message that the broker has given us and keeps until we acknowledge it on the channel that it came by."""

    channel: Any = None
    message: Any = None


@dataclass(frozen=True, slots=True)
class _Refused(BoxedLetter):
    """A letter in the queue of refused ones, not acknowledged yet."""

    message: Any = None


class AmqpChannel:
    """The queues of one partner. The link is this thread's, so a channel is used by the thread that opened it."""

    def __init__(self, options: BrokerOptions, seconds: float) -> None:
        self._options = options
        self._link: Link = link(options, seconds)
        self._returns: Any = None
        # Messages that the broker has given us in this look and that are not acknowledged.
        self._held = 0

    @classmethod
    def for_partner(cls, partner: str) -> "AmqpChannel":
        """The queues of a configured partner. Raises BadBrokerOptionsError."""
        options = BrokerOptions.read(partner, require_partner(partner), settings.RELAY_BROKER_PASSWORDS)
        return cls(options, settings.RELAY_BROKER_TIMEOUT_SECONDS)

    # -- out -------------------------------------------------------------------------------------

    def send(self, letters: Sequence[Letter]) -> list[SendResult]:
        """Publish each and wait for the confirms; see Channel.send.

        A repeat is not published while nobody takes anything from the queue and something lies there: its copy is taken to be among it.
        """
        limit: int = settings.RELAY_MAX_MESSAGE_BYTES
        repeated = any(letter.is_repeat for letter in letters) and self._lies_untouched()
        results: dict[int, SendResult] = {}
        going: list[tuple[int, Message]] = []
        for place, letter in enumerate(letters):
            if len(letter.content) > limit:
                results[place] = SendResult(AttemptOutcome.ERROR, f"it has {len(letter.content)} bytes; at most {limit} go out")
            elif letter.is_repeat and repeated:
                results[place] = SendResult(AttemptOutcome.WAITING)
            else:
                going.append((place, _message(letter)))
        # Beyond the lease another worker would send them, too.
        until = time.monotonic() + settings.RELAY_LEASE_SECONDS * 2 / 3
        said = publish(self._link, self._options.out_queue, [message for _, message in going], until)
        for (place, _), error in zip(going, said, strict=True):
            results[place] = SendResult(AttemptOutcome.ERROR, error) if error else SendResult(AttemptOutcome.SENT)
        return [results[place] for place in range(len(letters))]

    def _lies_untouched(self) -> bool:
        try:
            with self._link.channel("depth") as channel:
                queue = channel.queue_declare(self._options.out_queue, passive=True)
        except BrokerError:
            return False
        return bool(queue.message_count and not queue.consumer_count)

    def waiting(self) -> list[BoxedLetter]:
        """None: nobody can look into a queue without taking from it; see Channel.waiting."""
        return []

    def withdraw(self, letters: Sequence[BoxedLetter]) -> None:
        """What is in a queue is not given back (docs/adr/0096); see Channel.withdraw."""

    # -- in --------------------------------------------------------------------------------------

    def receive(self, batch_size: int, seen: Container[str] = ()) -> Iterator[list[ReceivedFile]]:
        """What lies in the queue now; see Channel.receive. A broker that is away has nothing; the log says that it is away."""
        try:
            with self._link.channel("in") as channel:
                # The last batch, too, is acknowledged before the channel is closed.
                yield from portions(self._deliveries(channel, batch_size, seen), lambda file: file.size, batch_size)
        except BrokerError:
            return

    def _deliveries(self, channel: Any, batch_size: int, seen: Container[str]) -> Iterator[ReceivedFile]:
        left: int = channel.queue_declare(self._options.in_queue, passive=True).message_count
        if not left:
            return
        delivered: deque[Any] = deque()
        self._held = room = 0
        tag = ""
        while left:
            if not delivered and self._held >= room:
                # No more than a batch: what the broker has given out and we have not read yet waits in its memory, not in ours. What can
                # neither be acknowledged nor parked fills none of it: a new consumer has room for a batch besides.
                if tag:
                    channel.basic_cancel(tag)
                room = self._held + batch_size
                channel.basic_qos(0, room, False)
                tag = channel.basic_consume(self._options.in_queue, callback=delivered.append)
            until = time.monotonic() + DELIVERY_SECONDS
            while not delivered and time.monotonic() < until:
                self._wait_quietly(until)
            if not delivered:
                return
            message = delivered.popleft()
            self._held += 1
            left -= 1
            file = _received(channel, message)
            # One of those that could not be taken away in this run; it goes back when the channel is closed.
            if not (message.delivery_info["redelivered"] and file.name in seen):
                yield file

    def _wait_quietly(self, until: float) -> None:
        try:
            self._link.wait(until)
        except TimeoutError:
            return

    def forget(self, files: Sequence[ReceivedFile]) -> set[str]:
        """Acknowledge what is stored; see Channel.forget. What cannot be acknowledged comes again and is found to be a repeat."""
        gone: set[str] = set()
        try:
            with self._link.guarded():
                for file in files:
                    _acknowledge(file)
                    self._held -= 1
                    gone.add(file.name)
        except BrokerError as error:
            log.warning("inbox_message_not_acknowledged", partner=self._options.partner, messages=len(files) - len(gone), error=str(error))
        return gone

    def set_aside(self, file: ReceivedFile) -> bool:
        """Move a message to the queue of those that are not read; see Channel.set_aside."""
        if not isinstance(file, _Delivered):
            return False
        if error := self._park(file.message, file.name, file.reason_code):
            log.warning("inbox_message_not_set_aside", partner=self._options.partner, file=printable(file.name), error=error)
            return False
        return bool(self.forget([file]))

    def _park(self, message: Any, name: str, code: str) -> str:
        """Why it could not be parked, or an empty text."""
        # Nothing of what the sender wrote around the bytes goes along: it could name other queues, an end, or another user.
        copy = Message(_body(message), message_id=name[:200], delivery_mode=PERSISTENT, application_headers={"name": name, "code": code})
        until = time.monotonic() + self._link.seconds
        return publish(self._link, self._options.parked_queue, [copy], until)[0]

    # -- refused ---------------------------------------------------------------------------------

    def returned(self) -> list[BoxedLetter]:
        """Our letters in the queue of refused ones; see Channel.returned. What is none of ours is parked."""
        letters: list[BoxedLetter] = []
        try:
            with self._link.guarded():
                self._returns = self._link.open("returns")
                lying: int = self._returns.queue_declare(self._options.fail_queue, passive=True).message_count
                for _ in range(min(lying, RETURNED)):
                    message = self._returns.basic_get(self._options.fail_queue)
                    if message is not None and (letter := self._refused(message)):
                        letters.append(letter)
        except BrokerError:
            return []
        return letters

    def _refused(self, message: Any) -> _Refused | None:
        """The letter, or None when the message says nothing about one; such a message is taken away."""
        name = _name(message)
        parts = type_and_id(name)
        reason = _reason(message)
        if parts is not None and reason == "rejected":
            return _Refused(name, parts[1], message)
        # A queue that dropped it by itself refuses nothing: without a receipt it goes again.
        log.warning("returned_message_not_a_refusal", partner=self._options.partner, file=printable(name), reason=reason)
        if parts is not None or not self._park(message, name, "NOT_A_REFUSAL"):
            self._returns.basic_ack(message.delivery_tag)
        return None

    def forget_returned(self, letters: Sequence[BoxedLetter]) -> None:
        """Take refused letters away; what is not among them goes back and is reported again."""
        if self._returns is None:
            return
        try:
            with self._link.guarded():
                for letter in letters:
                    if isinstance(letter, _Refused):
                        self._returns.basic_ack(letter.message.delivery_tag)
                self._returns.close()
        except BrokerError as error:
            log.warning("returned_letters_not_acknowledged", partner=self._options.partner, error=str(error))
        self._returns = None


def _message(letter: Letter) -> Message:
    """The same properties for the same letter, as the bytes are the same."""
    return Message(
        letter.content,
        message_id=str(letter.message_id),
        type=letter.message_type,
        content_type="application/xml",
        app_id=settings.RELAY_SENDER_ID,
        delivery_mode=PERSISTENT,
    )


def _received(channel: Any, message: Any) -> _Delivered:
    content, name = _body(message), _name(message)
    limit: int = settings.RELAY_MAX_MESSAGE_BYTES
    if len(content) <= limit:
        return _Delivered(name, len(content), content, channel=channel, message=message)
    reason = f"{printable(name)} has {len(content)} bytes; at most {limit} are read"
    aside_name = f"inbound-{len(content):x}-{hashlib.sha256(content).hexdigest()[:12]}-{name[:180]}"
    return _Delivered(name, len(content), None, _TOO_LARGE, reason, aside_name, channel=channel, message=message)


def _acknowledge(file: ReceivedFile) -> None:
    if isinstance(file, _Delivered):
        file.channel.basic_ack(file.message.delivery_tag)


def _body(message: Any) -> bytes:
    # An empty message keeps py-amqp's default, an empty text.
    body = message.body
    return body if isinstance(body, bytes) else bytes(body or b"")


def _reason(message: Any) -> str:
    """Why a message was moved by the broker, or `rejected` when somebody put it there."""
    deaths = (message.headers or {}).get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths else {}
    return str(latest.get("reason", "")) if isinstance(latest, dict) and latest else "rejected"


def _name(message: Any) -> str:
    """The name that its file would have in a box, by what the sender says it is; else by its bytes."""
    said = message.properties
    if said.get("type") and said.get("message_id"):
        return f"{said['type']}_{said['message_id']}.xml"
    return f"message_{hashlib.sha256(_body(message)).hexdigest()[:32]}.xml"
