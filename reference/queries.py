"""Reads of the code tables: a code's name on a day, all codes of a table, search by code, name and pinyin initials.

Each process keeps the tables it uses in memory (`docs/adr/0022` has the figures). One small query, at most every
`CHECK_SECONDS`, tells it which of them another process has changed.
"""

import threading
import time
import unicodedata
from bisect import bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any
from uuid import UUID

from django.utils import timezone

from core.codes import CodeOption
from reference.models import ALIAS_SEPARATOR, Code, CodeTable, Content, DeclarationElement
from reference.official import TABLE_KEYS

#: How long a process may not know yet of a table that another one has loaded.
CHECK_SECONDS = 5.0
#: Days for which a table is kept ready to search; nearly all searches are for today.
DAYS_KEPT = 4


class UnknownTableError(LookupError):
    """A key that is the name of no code table."""


@dataclass(frozen=True, slots=True)
class _Version:
    valid_from: date
    valid_to: date | None
    option: CodeOption
    aliases: str

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


def get(table: str, code: str, on: date | None = None) -> CodeOption | None:
    """The code as it is on a day (today when None), or None when the table has no such code then. Raises UnknownTableError."""
    return _load(table).get(code, on or timezone.localdate())


def label(table: str, code: str, on: date | None = None) -> str:
    """The name to show for a stored code: that of the day, else the nearest earlier one, else the first one; a code that the table never
    had is shown as it is. Raises UnknownTableError."""
    return _load(table).label(code, on or timezone.localdate())


def options(table: str, on: date | None = None) -> Sequence[CodeOption]:
    """All codes valid on a day (today when None), in code order; none while a table is not loaded. Raises UnknownTableError."""
    return _load(table).on(on or timezone.localdate()).options


def search(table: str, q: str, on: date | None = None, limit: int = 20) -> list[CodeOption]:
    """The codes that `q` may mean, best first, at most `limit`; the first codes of the table when `q` is blank. Raises UnknownTableError.

    Order: the code itself, an alias itself (USD for 502), codes beginning with `q`, names beginning with it, pinyin initials
    beginning with it, aliases beginning with it, names containing it, initials containing it; within each, by code. Width and
    case of letters make no difference.
    """
    return _load(table).on(on or timezone.localdate()).search(q, limit)


def extra(table: str, code: str, on: date | None = None) -> dict[str, Any]:
    """What else the official file says of a code on a day: other systems' codes, names in English. Empty when there is no such code."""
    found = Code.objects.filter(table__key=table, code=code).on(on or timezone.localdate()).values_list("extra", flat=True).first()
    return dict(found or {})


def declaration_elements(hs_code: str, on: date | None = None) -> list[DeclarationElement]:
    """What goods of an HS code are declared with on a day, in order: the elements of its longest prefix (4 to 8 digits) that has any."""
    prefixes = [hs_code[:length] for length in range(4, min(len(hs_code), 8) + 1)]
    found: dict[str, list[DeclarationElement]] = defaultdict(list)
    for element in DeclarationElement.objects.on(on or timezone.localdate()).filter(prefix__in=prefixes).order_by("position"):
        found[element.prefix].append(element)
    return found[max(found, key=len)] if found else []


def revision(table: str) -> UUID | None:
    """A mark that changes whenever the table does; None while it is not loaded. Raises UnknownTableError."""
    return _load(table).revision


def normalise(text: str) -> str:
    """A text as search compares it: plain width, no case, single blanks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


class _Column:
    """One text of every code, joined by line ends, so that the search itself runs in C. Entries are (position of the code, text)."""

    def __init__(self, entries: Iterable[tuple[int, str]]) -> None:
        self._owners: list[int] = []
        self._starts: list[int] = []
        parts: list[str] = []
        at = 1
        for owner, text in entries:
            self._owners.append(owner)
            self._starts.append(at)
            parts.append(text)
            at += len(text) + 1
        self._text = "\n" + "".join(f"{part}\n" for part in parts)

    def equal(self, q: str) -> Iterator[int]:
        return self._find(f"\n{q}\n", 1)

    def starting(self, q: str) -> Iterator[int]:
        return self._find(f"\n{q}", 1)

    def containing(self, q: str) -> Iterator[int]:
        return self._find(q, 0)

    def _find(self, needle: str, offset: int) -> Iterator[int]:
        """Owners of the entries in which the needle occurs, in order; `offset` is where in the needle the entry begins."""
        at = self._text.find(needle)
        while at != -1:
            entry = bisect_right(self._starts, at + offset) - 1
            yield self._owners[entry]
            if entry + 1 == len(self._starts):
                return
            # On to the line end before the next entry: it may be the first character of the next match.
            at = self._text.find(needle, self._starts[entry + 1] - 1)


class CodeIndex:
    """Codes ready to search: those of one table as it is on one day, each with its aliases (see `Code.aliases`)."""

    def __init__(self, entries: Iterable[tuple[CodeOption, str]]) -> None:
        current = sorted(entries, key=lambda entry: entry[0].code)
        self.options: tuple[CodeOption, ...] = tuple(option for option, _aliases in current)
        self._codes = _Column(enumerate(normalise(option.code) for option in self.options))
        self._names = _Column(enumerate(normalise(option.name) for option in self.options))
        self._initials = _Column(enumerate(option.initials for option in self.options))
        self._aliases = _Column(
            (position, normalise(alias))
            for position, (_option, aliases) in enumerate(current)
            if aliases
            for alias in aliases.split(ALIAS_SEPARATOR)
        )

    def search(self, q: str, limit: int) -> list[CodeOption]:
        """See `search` of this module."""
        wanted = normalise(q)
        if not wanted:
            return list(self.options[:limit])
        letters = wanted.replace(" ", "")
        ranks: list[Iterator[int]] = [
            self._codes.equal(wanted),
            self._aliases.equal(wanted),
            self._codes.starting(wanted),
            self._names.starting(wanted),
            self._initials.starting(letters),
            self._aliases.starting(wanted),
            self._names.containing(wanted),
            self._initials.containing(letters),
        ]
        found: dict[int, None] = {}
        for position in chain.from_iterable(ranks):
            found.setdefault(position)
            if len(found) >= limit:
                break
        return [self.options[position] for position in found]


class _Table:
    """All versions of a table's codes."""

    def __init__(self, revision: UUID | None, versions: dict[str, list[_Version]]) -> None:
        self.revision = revision
        self._versions = versions
        self._days: OrderedDict[date, CodeIndex] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, code: str, day: date) -> CodeOption | None:
        return next((version.option for version in self._versions.get(code, ()) if version.holds_on(day)), None)

    def label(self, code: str, day: date) -> str:
        versions = self._versions.get(code)
        if not versions:
            return code
        begun = [version for version in versions if version.valid_from <= day]
        return (begun or versions[:1])[-1].option.name

    def on(self, day: date) -> CodeIndex:
        with self._lock:
            found = self._days.get(day)
            if found is None:
                found = CodeIndex(
                    (version.option, version.aliases)
                    for versions in self._versions.values()
                    for version in versions
                    if version.holds_on(day)
                )
                self._days[day] = found
            self._days.move_to_end(day)
            while len(self._days) > DAYS_KEPT:
                self._days.popitem(last=False)
            return found


@dataclass(slots=True)
class _Memory:
    """What this process remembers. Threads share it; at worst two of them load the same table at once."""

    tables: dict[str, _Table]
    stamps: dict[str, tuple[int, UUID]]
    checked_at: float | None = None


_memory = _Memory(tables={}, stamps={})


def forget(table: str | None = None) -> None:
    """Drop what this process remembers of a table, or of all, and look at the database again at the next read."""
    if table is None:
        _memory.tables.clear()
    else:
        _memory.tables.pop(table, None)
    _memory.checked_at = None


def _check() -> None:
    """Learn which tables there are and in which revision, unless that was asked a moment ago."""
    now = time.monotonic()
    if _memory.checked_at is not None and now - _memory.checked_at < CHECK_SECONDS:
        return
    rows = CodeTable.objects.filter(content=Content.CODES).values_list("key", "pk", "revision")
    _memory.stamps = {key: (pk, mark) for key, pk, mark in rows}
    _memory.checked_at = now


def _load(key: str) -> _Table:
    _check()
    stamp = _memory.stamps.get(key)
    if stamp is None and key not in TABLE_KEYS:
        raise UnknownTableError(key)
    pk, mark = stamp if stamp is not None else (None, None)
    remembered = _memory.tables.get(key)
    if remembered is not None and remembered.revision == mark:
        return remembered
    versions: dict[str, list[_Version]] = defaultdict(list)
    rows = Code.objects.filter(table_id=pk).order_by("valid_from") if pk is not None else Code.objects.none()
    columns = rows.values_list("code", "name", "initials", "aliases", "valid_from", "valid_to")
    for code, name, initials, aliases, valid_from, valid_to in columns:
        versions[code].append(_Version(valid_from, valid_to, CodeOption(code, name, initials), aliases))
    loaded = _Table(mark, dict(versions))
    _memory.tables[key] = loaded
    return loaded
