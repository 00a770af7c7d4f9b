"""Customs' side of the exchange directory: takes from OutBox, puts into InBox, moves what it took to SentBox or FailBox."""

import os
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

#: Each waits for the disk, and the disk flushes for many at once.
WRITERS = 16


class Boxes:
    """The four boxes under `root`; makes them when they are not there."""

    def __init__(self, root: Path) -> None:
        self.out_box, self.sent_box, self.in_box, self.fail_box = (root / name for name in ("OutBox", "SentBox", "InBox", "FailBox"))
        self._writing = self.in_box / ".writing"
        for box in (self.out_box, self.sent_box, self.fail_box, self._writing):
            box.mkdir(parents=True, exist_ok=True)
        # What a killed run was writing; the answers are made anew from the journal.
        for leftover in self._writing.iterdir():
            leftover.unlink()

    def waiting(self, limit: int) -> list[str]:
        """Names in OutBox, oldest first."""
        with os.scandir(self.out_box) as entries:
            found = [
                (entry.stat().st_mtime_ns, entry.name)
                for entry in entries
                if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)
            ]
        return [name for _, name in sorted(found)[:limit]]

    def read(self, name: str) -> bytes:
        """The bytes of a file in OutBox."""
        return (self.out_box / name).read_bytes()

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Put files into InBox, each of them whole: written beside, flushed, renamed."""
        if not files:
            return
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self._put, files))
        descriptor = os.open(self.in_box, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _put(self, entry: tuple[str, bytes]) -> None:
        name, content = entry
        beside = self._writing / secrets.token_hex(8)
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(self.in_box / name)

    def sent(self, name: str) -> None:
        """A file was taken."""
        (self.out_box / name).replace(self.sent_box / name)

    def failed(self, name: str) -> None:
        """A file is refused."""
        (self.out_box / name).replace(self.fail_box / name)

    def close(self) -> None:
        """Nothing is held open."""
