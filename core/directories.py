"""Files handed over in directories: they appear whole, and nothing that lies there is trusted to be what it should."""

import os
import stat
from pathlib import Path


class NotReadError(Exception):
    """What lies there is not read: no ordinary file, or too large. `found` is what it is."""

    def __init__(self, code: str, reason: str, found: os.stat_result) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.found = found


def write_whole(target: Path, content: bytes, *, beside: Path) -> None:
    """Write `beside`, where readers do not look, flush it to disk, and rename it to its place: it appears whole or not at all.

    The name may not have reached the disk before `flush` of its directory. Raises OSError and leaves nothing behind.
    """
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def flush(directory: Path) -> None:
    """Have the names in a directory reach the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def names_by_age(directory: Path) -> list[str]:
    """What lies in a directory, oldest first, without what somebody is still writing (`.name`, `name.tmp`)."""
    found: list[tuple[int, str]] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(".tmp"):
                continue
            try:
                found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
            except FileNotFoundError:
                continue
    return [name for _, name in sorted(found)]


def read_found(path: Path, limit: int) -> tuple[bytes, os.stat_result]:
    """The bytes of an ordinary file of at most `limit` bytes, and what the file was before it was read, for `delete_found`.

    What was written to it since, the bytes may lack. No link is followed, and nobody is waited for.
    Raises NotReadError (NOT_A_FILE, TOO_LARGE) and OSError, FileNotFoundError among them.
    """
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise NotReadError("NOT_A_FILE", "is not an ordinary file", found)
    if found.st_size > limit:
        raise NotReadError("TOO_LARGE", f"has {found.st_size} bytes; at most {limit} are read", found)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise NotReadError("TOO_LARGE", "grew while it was read", found)
    return content, found


def delete_found(path: Path, found: os.stat_result) -> bool:
    """Delete what was found there; False when it has been written to or replaced since, and stays. Raises OSError.

    What is not there any more counts as deleted.
    """
    try:
        if not _is_still(path, found):
            return False
        path.unlink()
    except FileNotFoundError:
        pass
    return True


def move_found(path: Path, target: Path, found: os.stat_result) -> bool:
    """Move what was found there, in the place of what `target` is; False when it has been written to or replaced since. Raises OSError.

    What comes into a directory meanwhile goes with it.
    """
    if not _is_still(path, found):
        return False
    path.replace(target)
    return True


def _is_still(path: Path, found: os.stat_result) -> bool:
    now = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        return now.st_ino == found.st_ino
    return (now.st_ino, now.st_size, now.st_mtime_ns) == (found.st_ino, found.st_size, found.st_mtime_ns)
