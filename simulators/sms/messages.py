"""The texts that were taken: each once under its reference, kept in the journal across restarts."""

import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from simulators.journal import Journal

_BEIJING = ZoneInfo("Asia/Shanghai")


@dataclass(frozen=True, slots=True)
class Message:
    """One text that would have been sent; `at` is ISO 8601 in UTC."""

    reference: str
    mobile: str
    text: str
    at: str

    @property
    def local_time(self) -> datetime:
        """When it was taken, by the clock of those who read the page."""
        return datetime.fromisoformat(self.at).astimezone(_BEIJING)


class Messages:
    """All texts, oldest first. Several requests may come at once."""

    def __init__(self, journal: Path) -> None:
        self._lock = threading.Lock()
        self._journal = Journal(journal)
        self._taken = {line["reference"]: Message(**line) for line in self._journal.lines()}

    def take(self, *, reference: str, mobile: str, text: str) -> tuple[Message, bool]:
        """Keep a text. Gives what is kept under this reference, which may be another text, and whether it is new."""
        with self._lock:
            if known := self._taken.get(reference):
                return known, False
            message = Message(reference, mobile, text, datetime.now(UTC).isoformat())
            self._journal.append([asdict(message)])
            self._taken[reference] = message
            return message, True

    def known(self, reference: str) -> Message | None:
        """The text that was taken under this reference."""
        with self._lock:
            return self._taken.get(reference)

    def newest(self, *, mobile: str = "", limit: int = 200) -> list[Message]:
        """The last texts, newest first; with `mobile` those to numbers that contain these digits."""
        with self._lock:
            every = list(self._taken.values())
        return [message for message in reversed(every) if mobile in message.mobile][:limit]

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()
