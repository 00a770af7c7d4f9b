"""The directories of one enterprise: a file is claimed before it is read, and never takes another's place (docs/adr/0113)."""

import errno
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from core.directories import flush, names_by_age, write_whole

BOXES: Final = ("in", "done", "failed", "answers")
#: A file that failed twice waits for so long, then twice as long each time, up to the second number.
FIRST_DELAY: Final = 10
MOST_DELAY: Final = 600
#: What is kept of a name: the end, with `.xml`. A file system takes 255 bytes, which a token and more are to fit in, too.
MOST_NAME_BYTES: Final = 180

#: Older leftovers of writing come from a worker that was killed; nobody takes this long to write a file.
LEFTOVER_SECONDS: Final = 3600

#: What a file system says that knows no locks.
_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)

_CLAIMED = re.compile(r"([0-9]{1,12})-([0-9]{1,6})-([0-9a-f]{16})-(.+)", re.DOTALL)
#: Bytes that no UTF-8 character begins with.
_CONTINUED: Final = bytes(range(0x80, 0xC0))


@dataclass(frozen=True, slots=True)
class Claimed:
    """A file that was taken out of `in` and is not through. What is known of it stands in its name, so it is known after any crash.

    `due`: when it is to be looked at, in seconds since 1970; `tries`: how often somebody has begun with it; `name`: what it was called.
    """

    due: int
    tries: int
    token: str
    name: str

    @property
    def file_name(self) -> str:
        """Its name in `in/.taking`."""
        return f"{self.due}-{self.tries}-{self.token}-{self.name}"


class Boxes:
    """The directories of one enterprise."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.inbox, self.done, self.failed, self.answers = (home / name for name in BOXES)
        #: In `in`, so that claiming is a rename however the others are mounted.
        self.taking = self.inbox / ".taking"
        self.writing = self.answers / ".writing"
        #: Whether `alone` holds the lock: then a name that is free stays free.
        self._is_locked = False

    def make(self) -> None:
        """Have all of them there. Raises OSError."""
        for box in (self.taking, self.done, self.failed, self.writing):
            box.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else is at this folder; then nobody will be before the end, or the death of this process. Raises OSError.

        It saves work and keeps the order. What is done once is done once without it, too: not every shared disk passes locks on, and on
        one that knows none everybody goes on as if alone.
        """
        with (self.taking / ".lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._is_locked = True
            except BlockingIOError:
                yield False
                return
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            try:
                yield True
            finally:
                self._is_locked = False

    def claim(self, name: str) -> Claimed:
        """Take a file out of `in`: from here on nobody gives another one its name. Raises OSError, FileNotFoundError among them."""
        claimed = Claimed(int(time.time()), 0, secrets.token_hex(8), cut(name))
        (self.inbox / name).rename(self.taking / claimed.file_name)
        return claimed

    def due(self) -> list[Claimed]:
        """What was claimed, is not through, and is to be looked at now; oldest first. Raises OSError."""
        now = time.time()
        matches = map(_CLAIMED.fullmatch, names_by_age(self.taking))
        found = [Claimed(int(match[1]), int(match[2]), match[3], match[4]) for match in matches if match]
        # Nothing waits longer than that: the clock was set back.
        return sorted((one for one in found if not now < one.due <= now + MOST_DELAY), key=lambda one: one.due)

    def begin(self, one: Claimed) -> Claimed:
        """Count a try before it is made, and say when the next one is: a file that kills its worker is counted, too. Raises OSError."""
        delay = min(FIRST_DELAY * 2 ** min(one.tries - 1, 10), MOST_DELAY) if one.tries else 0
        begun = replace(one, due=int(time.time()) + delay, tries=min(one.tries + 1, 999_999))
        (self.taking / one.file_name).rename(self.taking / begun.file_name)
        return begun

    def put_answer(self, name: str, content: bytes) -> None:
        """A file in `answers`, whole; in the place of the same one. Raises OSError."""
        write_whole(self.answers / name, content, beside=self.writing / f"{secrets.token_hex(8)}.tmp")
        flush(self.answers)

    def put_away(self, one: Claimed, box: Path, as_read: os.stat_result) -> None:
        """Move a claimed file that is through, under its name when that stays free. Whoever was quicker has moved it. Raises OSError.

        One that was written on since it was read (`as_read`) is left for the next look.
        """
        path = self.taking / one.file_name
        target = box / one.name
        if not self._is_locked or os.path.lexists(target):
            target = box / f"{one.token}-{one.name}"
        try:
            found = path.lstat()
            if (found.st_size, found.st_mtime_ns) != (as_read.st_size, as_read.st_mtime_ns):
                return
            path.rename(target)
        except FileNotFoundError:
            return
        flush(box)
        flush(self.taking)

    def forget(self, seconds: float) -> tuple[int, list[tuple[str, OSError]]]:
        """Delete files that have lain in done, failed and answers for so long, and leftovers of writing.

        Gives how many, and what could not be deleted. Since when they lie there says their change time: the other one says when the
        sender wrote them. Directories stay. Raises OSError.
        """
        now = time.time()
        count = 0
        kept: list[tuple[str, OSError]] = []
        for box, age in ((self.done, seconds), (self.failed, seconds), (self.answers, seconds), (self.writing, LEFTOVER_SECONDS)):
            with os.scandir(box) as entries:
                for entry in entries:
                    try:
                        found = entry.stat(follow_symlinks=False)
                        if found.st_ctime < now - age and not stat.S_ISDIR(found.st_mode):
                            os.unlink(entry.path)
                            count += 1
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        kept.append((entry.name, error))
        return count, kept


def cut(name: str) -> str:
    """A file name of at most MOST_NAME_BYTES bytes: its end, without a piece of a character."""
    raw = os.fsencode(name)
    return name if len(raw) <= MOST_NAME_BYTES else os.fsdecode(raw[-MOST_NAME_BYTES:].lstrip(_CONTINUED))
