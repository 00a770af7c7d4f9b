"""Lines of JSON that are on the disk before anything is said about them."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


class Journal:
    """One append-only file. A line that a crash cut short is taken away when the journal is opened."""

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._durable = durable
        self._file = path.open("ab")
        self._drop_torn_line()

    def _drop_torn_line(self) -> None:
        content = self._path.read_bytes()
        if content and not content.endswith(b"\n"):
            self._file.truncate(content.rfind(b"\n") + 1)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Everything written so far."""
        with self._path.open("rb") as file:
            for line in file:
                yield json.loads(line)

    def append(self, entries: Sequence[dict[str, Any]]) -> None:
        """Write the entries; when this returns a durable journal has them on the disk."""
        if not entries:
            return
        self._file.write("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries).encode())
        self._file.flush()
        if self._durable:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
