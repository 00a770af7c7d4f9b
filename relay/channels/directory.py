"""The directory exchange: files in OutBox, SentBox, InBox and FailBox (`domain.md` §7).

The partner's agent takes our files from OutBox and moves them to SentBox, or to FailBox when it refuses them; it puts its
own into InBox. A file appears whole: it is written beside its place where readers do not look (`OutBox/.writing`, in any
case the same file system), flushed to disk, and renamed. Of a partner that writes in place nothing is lost as long as it does not
pause for longer than SETTLING_SECONDS (docs/adr/0108).
"""

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings

from core.directories import NotReadError, delete_found, flush, move_found, names_by_age, read_found, write_whole
from relay.channels.base import BoxedLetter, Letter, ReceivedFile, SendResult, printable
from relay.conf import portions
from relay.envelope import is_well_formed, type_and_id
from relay.models import AttemptOutcome

log = structlog.get_logger(__name__)

BOXES: Final = ("OutBox", "SentBox", "InBox", "FailBox")
#: Where refused letters go once they are in the database, so that FailBox shows what nobody has looked at.
HANDLED: Final = "handled"
#: Older leftovers in `.writing` come from a worker that was killed; nobody takes this long to write a file.
LEFTOVER_SECONDS: Final = 3600
#: Threads that write a batch. Each waits for the disk, and the disk flushes for many at once (docs/adr/0032: 17 times as fast).
WRITERS: Final = 16
#: What was written to so short a time ago, and breaks off or is too large, may be in the middle of being written; it is looked at again.
SETTLING_SECONDS: Final = 2.0
#: How nearly every whole message ends: it need not be parsed to be known as one.
_END: Final = b"</Package>"


@dataclass(frozen=True, slots=True)
class _Found(ReceivedFile):
    """A file of InBox that was looked at, and what it was then: it goes only as long as it is that."""

    found: os.stat_result | None = None


class DirectoryChannel:
    """The boxes of one partner under `root`; makes them when they are not there."""

    def __init__(self, root: Path, partner: str) -> None:
        self.home = root / partner
        self.out_box, self.sent_box, self.in_box, self.fail_box = (self.home / box for box in BOXES)
        self.writing = self.out_box / ".writing"
        for box in (self.writing, self.sent_box, self.in_box, self.fail_box / HANDLED):
            box.mkdir(parents=True, exist_ok=True)

    @classmethod
    def for_partner(cls, partner: str) -> "DirectoryChannel":
        """The boxes at the configured place."""
        return cls(settings.EXCHANGE_ROOT, partner)

    def send(self, letters: Sequence[Letter]) -> list[SendResult]:
        """Write each letter into OutBox; see Channel.send."""
        results = list(_writers(os.getpid()).map(self._write, letters))
        if any(result.outcome != AttemptOutcome.ERROR for result in results):
            try:
                flush(self.out_box)
            except OSError as error:
                # The names may not have reached the disk: unknown, so all of them go again.
                return [SendResult(AttemptOutcome.ERROR, str(error))] * len(letters)
        return results

    def _write(self, letter: Letter) -> SendResult:
        target = self.out_box / letter.file_name
        # Never the same name twice: a worker that was thought dead may still be writing this very letter.
        beside = self.writing / f"{secrets.token_hex(8)}.tmp"
        try:
            if target.exists() and target.stat().st_size == len(letter.content):
                return SendResult(AttemptOutcome.WAITING)
            write_whole(target, letter.content, beside=beside)
        except OSError as error:
            return SendResult(AttemptOutcome.ERROR, str(error))
        return SendResult(AttemptOutcome.SENT)

    def waiting(self) -> list[BoxedLetter]:
        """Our letters in OutBox; see Channel.waiting."""
        return _letters_in(self.out_box)

    def withdraw(self, letters: Sequence[BoxedLetter]) -> None:
        """Delete letters from OutBox; see Channel.withdraw."""
        for letter in letters:
            try:
                (self.out_box / letter.name).unlink(missing_ok=True)
            except OSError as error:
                log.warning("letter_not_withdrawn", file=letter.name, error=str(error))

    def receive(self, batch_size: int, seen: Container[str] = ()) -> Iterator[list[ReceivedFile]]:
        """One look at InBox; see Channel.receive."""
        names = (name for name in names_by_age(self.in_box) if name not in seen)
        files = (file for name in names if (file := self._read(name)))
        return portions(files, lambda file: len(file.content or b""), batch_size)

    def _read(self, name: str) -> ReceivedFile | None:
        path = self.in_box / name
        shown = printable(name)
        try:
            content, found = read_found(path, settings.RELAY_MAX_MESSAGE_BYTES)
        except FileNotFoundError:
            return None
        except NotReadError as refusal:
            if stat.S_ISREG(refusal.found.st_mode) and _is_young(refusal.found):
                return None
            aside_name = _aside_name(name, refusal.found)
            return _Found(name, refusal.found.st_size, None, refusal.code, f"{shown} {refusal.reason}", aside_name, found=refusal.found)
        except OSError as error:
            # Left where it is: an operator mends the permissions, and meanwhile the others are read.
            log.warning("inbox_file_unreadable", file=shown, error=str(error))
            return None
        if _is_young(found) and not _is_whole(content):
            return None
        return _Found(name, len(content), content, found=found)

    def forget(self, files: Sequence[ReceivedFile]) -> set[str]:
        """Delete from InBox what is stored; see Channel.forget.

        What cannot be deleted is read again and found to be a repeat. What has been written to or replaced since is read again, too.
        """
        gone = _writers(os.getpid()).map(self._delete, files)
        return {file.name for file, is_gone in zip(files, gone, strict=True) if is_gone}

    def _delete(self, file: ReceivedFile) -> bool:
        if not isinstance(file, _Found) or file.found is None:
            return False
        try:
            is_gone = delete_found(self.in_box / file.name, file.found)
        except OSError as error:
            log.warning("inbox_file_not_deleted", file=printable(file.name), error=str(error))
            return False
        if not is_gone:
            log.info("inbox_file_changed", file=printable(file.name))
        return is_gone

    def set_aside(self, file: ReceivedFile) -> bool:
        """Move an unread file to FailBox; see Channel.set_aside. What has been written to or replaced since is looked at again."""
        if not isinstance(file, _Found) or file.found is None:
            return False
        try:
            is_gone = move_found(self.in_box / file.name, self.fail_box / file.aside_name, file.found)
            flush(self.fail_box)
        except OSError as error:
            log.warning("inbox_file_not_set_aside", file=printable(file.name), error=str(error))
            return False
        if not is_gone:
            log.info("inbox_file_changed", file=printable(file.name))
        return is_gone

    def returned(self) -> list[BoxedLetter]:
        """Our letters in FailBox; see Channel.returned. Other names there are left alone."""
        self._clear_leftovers()
        return _letters_in(self.fail_box)

    def forget_returned(self, letters: Sequence[BoxedLetter]) -> None:
        """Move refused letters to FailBox/handled."""
        for letter in letters:
            try:
                (self.fail_box / letter.name).replace(self.fail_box / HANDLED / letter.name)
            except OSError as error:
                log.warning("returned_letter_not_moved", file=letter.name, error=str(error))

    def _clear_leftovers(self) -> None:
        with os.scandir(self.writing) as entries:
            for entry in entries:
                try:
                    if entry.stat(follow_symlinks=False).st_mtime < time.time() - LEFTOVER_SECONDS:
                        os.unlink(entry.path)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    log.warning("leftover_not_deleted", file=printable(entry.name), error=str(error))


@lru_cache(maxsize=1)
def _writers(_pid: int) -> ThreadPoolExecutor:
    """The threads of this process, which stay: starting them took longer than writing a small batch. A fork has none of its parent's."""
    return ThreadPoolExecutor(WRITERS, thread_name_prefix="relay-writer")


def _is_young(found: os.stat_result) -> bool:
    # Either way round: a file server's clock may be ahead of ours.
    return abs(time.time() - found.st_mtime) < SETTLING_SECONDS


def _is_whole(content: bytes) -> bool:
    return content[-100:].rstrip().endswith(_END) or is_well_formed(content)


def _letters_in(box: Path) -> list[BoxedLetter]:
    with os.scandir(box) as entries:
        found = [(entry.name, type_and_id(entry.name)) for entry in entries]
    return [BoxedLetter(name, parts[1]) for name, parts in sorted(found) if parts]


def _aside_name(name: str, found: os.stat_result) -> str:
    """The name in FailBox: one for each name and size, so that what is sent again and again takes up room once.

    Nothing can take the place of a directory, so each of them has a name of its own.
    """
    raw = os.fsencode(name)
    which = f"{found.st_ino:x}-{found.st_mtime_ns:x}" if stat.S_ISDIR(found.st_mode) else hashlib.sha256(raw).hexdigest()[:12]
    return os.fsdecode(f"inbound-{found.st_size:x}-{which}-".encode() + raw[-180:])
