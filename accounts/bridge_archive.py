"""The card bridge as it is handed to users: one zip, made from the directory `card_bridge` that this portal came with."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from django.conf import settings

from core.archives import packed

DIRECTORY = "card_bridge"
_SUFFIXES = (".py", ".md", ".txt", ".in")
#: Every file's date in the zip, about the first that it can name: the same files make the same bytes.
_DATE = datetime(1980, 1, 2, tzinfo=UTC)


@cache
def archive() -> bytes:
    """The zip: sources, requirements and READMEs under `card_bridge/`, the same bytes for the same files. Made once a process."""
    files = {path.relative_to(settings.BASE_DIR).as_posix(): path.read_bytes() for path in _files(settings.BASE_DIR / DIRECTORY)}
    return packed(files, at=_DATE)


def version() -> str:
    """The bridge's version, as its own package says it."""
    source = (settings.BASE_DIR / DIRECTORY / "__init__.py").read_text(encoding="utf-8")
    return next(line.partition("=")[2].strip().strip('"') for line in source.splitlines() if line.startswith("VERSION"))


def _files(directory: Path) -> Iterator[Path]:
    return iter(
        sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix in _SUFFIXES and "__pycache__" not in path.parts)
    )
