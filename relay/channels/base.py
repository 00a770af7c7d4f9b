"""What every channel can do. No method touches the database; all of them may block on files or the network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from relay.models import AttemptOutcome


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to send: always the same bytes for the same id."""

    message_id: UUID
    message_type: str
    content: bytes

    @property
    def file_name(self) -> str:
        """`<type>_<message_id>.xml` (`domain.md` §7)."""
        return f"{self.message_type}_{self.message_id}.xml"


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
class ReturnedLetter:
    """A letter of ours that the partner's agent put aside as refused."""

    name: str
    message_id: UUID


class Channel(Protocol):
    """A way to one partner."""

    def send(self, letters: Sequence[Letter]) -> list[SendResult]:
        """Send each; one result per letter, in order. Never raises for a single letter: its result says what went wrong.

        SENT means the letter is safely with the channel, ERROR that it may or may not be.
        """

    def receive(self, batch_size: int) -> Iterator[list[ReceivedFile]]:
        """What lies there now, oldest first, in batches. Nothing is taken away: `forget` does that once it is stored."""

    def forget(self, files: Sequence[ReceivedFile]) -> None:
        """Take away what has been stored."""

    def set_aside(self, file: ReceivedFile) -> None:
        """Move away whole, unread, what must not be read. What cannot be moved is reported by `receive` again."""

    def returned(self) -> list[ReturnedLetter]:
        """Letters of ours that the partner's agent refused, until `forget_returned`."""

    def forget_returned(self, letters: Sequence[ReturnedLetter]) -> None:
        """Do not report these again."""


def printable(name: str) -> str:
    """A file name that came from outside, fit for the database and the log: controls and undecodable bytes show as `?`."""
    return "".join(char if char.isprintable() else "?" for char in name)
