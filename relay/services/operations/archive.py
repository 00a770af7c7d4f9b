"""Reading back what housekeeping wrote into RELAY_ARCHIVE_DIR: found by id or by record, held against the digest that the row kept.

A file is read as it is unpacked, and of a message no more than a piece at a time, however large it is. What a file says about a message
stands before its bytes in the same line, so that most of a file is only passed over.
"""

import hashlib
import json
import re
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from relay.models import InboundMessage, OutboundMessage
from relay.services.operations.actors import OperationRefused

#: What a line says before the bytes is shorter.
HEAD_BYTES: Final = 16 * 1024
#: Bytes in base64 taken at a time: a multiple of four.
PIECE_BYTES: Final = 64 * 1024
_CONTENT: Final = b'"content": "'
_RANGE: Final = re.compile(r"(outbound|inbound)message-(\d+)-(\d+)(?:-[0-9a-f]+)?\.jsonl\.gz")
#: What a file raises that was cut off or is none of ours.
_DAMAGE: Final = (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error)


@dataclass(frozen=True, slots=True)
class Key:
    """A message by its row: `out` or `in`, and the row's number."""

    direction: str
    id: int

    def __str__(self) -> str:
        return f"{self.direction}:{self.id}"


@dataclass(slots=True)
class Damaged:
    """Files that cannot be read to their end, and why; filled while one reads on with the others."""

    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One message in one file of the archive. `pieces` gives its bytes, once, and only before the next entry is asked for."""

    file: Path
    key: Key
    message_id: str | None
    values: dict[str, Any]
    pieces: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Read:
    """A message that was read back; `is_verified` is None when the database has no digest to hold it against."""

    values: dict[str, Any]
    file: Path
    size: int
    sha256: str
    beginning: bytes
    is_verified: bool | None


def listing(*, month: str = "", subject: str = "", damaged: Damaged) -> Iterator[dict[str, Any]]:
    """What the archive holds, oldest month first. `subject` is a record's as messages have it, or its number alone.

    Raises OperationRefused: NO_ARCHIVE.
    """
    for entry in _entries(_files(month), damaged):
        if not subject or _is_about(str(entry.values.get("subject")), subject):
            yield entry.values


def read(which: UUID | Key, *, keep: int, into: BinaryIO | None = None, damaged: Damaged) -> Read:
    """Read a message back whole: the first `keep` bytes are returned, all of them are written `into` a file.

    A copy that is damaged, or is not what the row's digest says, is passed over for another one: a batch may have been written twice.
    Raises OperationRefused: NO_ARCHIVE, UNKNOWN_MESSAGE, AMBIGUOUS, NOT_ARCHIVED, DAMAGED. `into` is to be thrown away then.
    """
    keys = [which] if isinstance(which, Key) else _keys(which)
    if len(keys) > 1:
        raise OperationRefused("AMBIGUOUS", f"several messages have this id; give one of {', '.join(map(str, keys))}")
    row = _row(keys[0]) if keys else None
    other: list[str] = []
    for entry in _entries(_likely_first(row, _files()), damaged):
        if entry.key not in keys and entry.message_id != str(which):
            continue
        found = _read(entry, row, keep, into, damaged)
        if found is not None and found.is_verified is not False:
            return found
        other.append(str(entry.file))
    if other:
        raise OperationRefused("DAMAGED", f"what lies in {', '.join(other)} is not what the message's digest says")
    if damaged.files:
        raise OperationRefused("DAMAGED", f"not found, and not to be read to the end: {', '.join(sorted(damaged.files))}")
    if row is not None and row.emptied_at is None:
        raise OperationRefused("NOT_ARCHIVED", "its bytes are in the database still: the messages of /admin/ show them")
    raise OperationRefused("UNKNOWN_MESSAGE" if row is None else "NOT_ARCHIVED", f"the archive has no message {which}")


def _is_about(subject: str, asked: str) -> bool:
    return subject == asked or subject.endswith(f":{asked}")


def _files(month: str = "") -> list[Path]:
    root: Path | None = settings.RELAY_ARCHIVE_DIR
    if root is None:
        raise OperationRefused("NO_ARCHIVE", "RELAY_ARCHIVE_DIR is not set: old messages were not kept")
    # What is being written has another name.
    return sorted(root.glob(f"{month or '[0-9]*-[0-9]*'}/*.jsonl.gz"))


def _keys(message_id: UUID) -> list[Key]:
    """The rows with this id; partners choose their own, so that two may have the same."""
    out = OutboundMessage.objects.filter(message_id=message_id).values_list("pk", flat=True)
    came = InboundMessage.objects.filter(message_id=message_id).order_by("pk").values_list("pk", flat=True)
    return [*(Key("out", pk) for pk in out), *(Key("in", pk) for pk in came)]


def _row(key: Key) -> Any:
    """The row without its bytes, or None when it is not there any more."""
    if key.direction == "out":
        return OutboundMessage.objects.filter(pk=key.id).only("emptied_at", "sha256", "created_at").first()
    return InboundMessage.objects.filter(pk=key.id).only("emptied_at", "sha256", "received_at").first()


def _likely_first(row: Any, files: list[Path]) -> list[Path]:
    """Files of the row's month and direction first, among them those whose range of numbers it is in."""
    if row is None:
        return files
    at = row.created_at if isinstance(row, OutboundMessage) else row.received_at
    month, kind = f"{timezone.localtime(at):%Y-%m}", "outbound" if isinstance(row, OutboundMessage) else "inbound"

    def distance(path: Path) -> tuple[bool, bool]:
        named = _RANGE.fullmatch(path.name)
        in_range = named is not None and named[1] == kind and int(named[2]) <= row.pk <= int(named[3])
        return path.parent.name != month or named is None or named[1] != kind, not in_range

    return sorted(files, key=distance)


def _entries(files: list[Path], damaged: Damaged) -> Iterator[Entry]:
    """Every message of these files; a file that breaks off is put down, and the next one follows."""
    for path in files:
        try:
            with GzipFile(path, "rb") as file:
                yield from _in_file(path, file)
        except _DAMAGE as error:
            damaged.files[str(path)] = f"{type(error).__name__}: {error}"


def _in_file(path: Path, file: GzipFile) -> Iterator[Entry]:
    while head := file.readline(HEAD_BYTES):
        about, is_there, rest = head.partition(_CONTENT)
        if not is_there:
            raise ValueError("a line is none of the archive's")
        left = _Left(file, rest)
        values = json.loads(about.rstrip(b", ") + b"}")
        yield Entry(path, Key(values["direction"], values["id"]), values["message_id"], values, left.pieces)
        for _ in left.raw():
            pass


class _Left:
    """What is left of a line: the bytes in base64, the end of the object, and the end of the line."""

    def __init__(self, file: GzipFile, rest: bytes) -> None:
        self._file = file
        self._rest = rest
        self._is_over = False

    def raw(self) -> Iterator[bytes]:
        while not self._is_over:
            self._is_over = self._rest.endswith(b"\n")
            yield self._rest
            if not self._is_over:
                self._rest = self._file.readline(PIECE_BYTES)
                if not self._rest:
                    raise EOFError("the last line is cut off")

    def pieces(self) -> Iterator[bytes]:
        waiting = b""
        for raw in self.raw():
            waiting += raw.rstrip(b'"}\n')  # none of them is a letter of base64
            whole = len(waiting) // 4 * 4
            yield b64decode(waiting[:whole], validate=True)
            waiting = waiting[whole:]
        if waiting:
            raise EOFError("the bytes are cut off")


def _read(entry: Entry, row: Any, keep: int, into: BinaryIO | None, damaged: Damaged) -> Read | None:
    if into is not None:
        into.seek(0)
        into.truncate()
    digest, size, beginning = hashlib.sha256(), 0, b""
    try:
        for piece in entry.pieces():
            digest.update(piece)
            size += len(piece)
            beginning += piece[: max(keep - len(beginning), 0)]
            if into is not None:
                into.write(piece)
    except (BadGzipFile, EOFError, ValueError, zlib.error) as error:
        damaged.files[str(entry.file)] = f"{type(error).__name__}: {error}"
        return None
    # What went out has a digest only once it was emptied, what came in unread has none.
    expected = bytes(row.sha256) if row is not None and row.sha256 else None
    verified = None if expected is None else digest.digest() == expected
    return Read(entry.values, entry.file, size, digest.hexdigest(), beginning, verified)
