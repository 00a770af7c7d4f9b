"""Knowing that a step is done: its inputs' fingerprint, kept beside its result. Standard library only (bootstrap uses it)."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def fingerprint(paths: Iterable[Path], *words: str) -> str:
    """One hash over the names and contents of these files (a directory counts with everything below it) and over `words`.

    A file that is not there counts as such.
    """
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"word {word}\n".encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"file {file} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
            elif not file.exists():
                digest.update(f"none {file}\n".encode())
    return digest.hexdigest()


class Stamp:
    """A file holding the fingerprint with which a step was last done to its end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def matches(self, current: str) -> bool:
        """Whether the step was last done with this fingerprint."""
        try:
            return self.path.read_text(encoding="ascii") == current
        except (OSError, UnicodeDecodeError):
            return False

    def remove(self) -> None:
        """Say that the step is not done; before it begins, so that one broken off is done again."""
        self.path.unlink(missing_ok=True)

    def write(self, current: str) -> None:
        """Say that the step is done."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(current, encoding="ascii")
