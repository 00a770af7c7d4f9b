"""One holder at a time for a directory."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

#: Lock files that this process holds, and what is in them. They must not even be read here: the system would grant such a lock
#: to its own holder again, and frees it when the holder closes any handle of the file.
_ours: dict[Path, str] = {}


def _take(file: TextIO, *, wait: bool) -> bool:
    # A record lock and not flock(): the processes that honcho forks would inherit a flock and keep it past the death of the
    # process that took it, which is just what the next start has to notice.
    try:
        fcntl.lockf(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextlib.contextmanager
def held(path: Path, content: str = "", *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock file `path` with `content` in it; yields False when somebody else holds it and we do not `wait`.

    The lock goes with the process, whatever ends it.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path in _ours:
        yield False
        return
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as file:
        if not _take(file, wait=wait):
            yield False
            return
        _ours[path] = content
        try:
            file.truncate()
            file.write(content)
            file.flush()
            yield True
            file.truncate(0)
        finally:
            del _ours[path]


def holder(path: Path) -> str | None:
    """What the present holder of the lock file wrote; None when nobody holds it."""
    if path.absolute() in _ours:
        return _ours[path.absolute()]
    try:
        with path.open("r+", encoding="utf-8") as file:
            return None if _take(file, wait=False) else file.read()
    except FileNotFoundError:
        return None
