"""What every channel can do. No method touches the database; all of them may block on files or the network, for a limited time.

`tests/relay/channel_contract.py` says the same in tests, which every channel passes.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from relay.envelope import file_name_of
from relay.models import AttemptOutcome


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to send: always the same bytes for the same id.

    `is_repeat` says that it goes by itself, because no receipt came for a copy that was handed over: where that copy still waits for
    the partner, another one is not needed. What had ended and somebody asks for again, an operator or the partner, is none.
    """

    message_id: UUID
    message_type: str
    content: bytes
    is_repeat: bool = False

    @property
    def file_name(self) -> str:
        """Name of its file in the boxes."""
        return file_name_of(self.message_type, self.message_id)


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one letter; `error` says why when the outcome is ERROR."""

    outcome: AttemptOutcome
    error: str = ""


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """Something a partner sent.

    `content` is None for what must not be read: then `reason` says why, and `aside_name` is where `set_aside` will put it.
    """

    name: str
    size: int
    content: bytes | None
    reason_code: str = ""
    reason: str = ""
    aside_name: str = ""


@dataclass(frozen=True, slots=True)
class BoxedLetter:
    """A letter of ours that lies in a box."""

    name: str
    message_id: UUID


class Channel(Protocol):
    """A way to one partner."""

    def send(self, letters: Sequence[Letter]) -> list[SendResult]:
        """Send each; one result per letter, in order. Never raises for a single letter: its result says what went wrong.

        SENT means the letter is safely with the channel, WAITING that an earlier copy still waits there for the partner, and ERROR
        that it may or may not be there.
        """

    def waiting(self) -> list[BoxedLetter]:
        """Letters of ours that the partner has not taken yet; none where the channel cannot tell."""

    def withdraw(self, letters: Sequence[BoxedLetter]) -> None:
        """Take back those of these letters that still wait and that the channel gives back."""

    def receive(self, batch_size: int, seen: Container[str] = ()) -> Iterator[list[ReceivedFile]]:
        """What lies there now, oldest first, without the names in `seen`; in batches of at most so many files (see conf.portions).

        Nothing is taken away: `forget` does that once it is stored.
        """

    def forget(self, files: Sequence[ReceivedFile]) -> set[str]:
        """Take away what has been stored; returns the names of those that are gone. `receive` reports the others again."""

    def set_aside(self, file: ReceivedFile) -> bool:
        """Move away whole, unread, what must not be read; False when it is not moved, and `receive` reports what lies there again.

        It takes up a bounded room, however often it comes: in a box it takes the place of what had the same `aside_name`, and a queue
        that is full takes no more.
        """

    def returned(self) -> list[BoxedLetter]:
        """Letters of ours that the partner's agent put aside as refused, until `forget_returned`."""

    def forget_returned(self, letters: Sequence[BoxedLetter]) -> None:
        """Do not report these again."""


def printable(name: str) -> str:
    """A file name that came from outside, fit for the database and the log: controls and undecodable bytes show as `?`."""
    return "".join(char if char.isprintable() else "?" for char in name)
