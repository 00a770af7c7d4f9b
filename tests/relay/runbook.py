"""docs/operations/relay.md as tests read it: its tables, row by row, and which test tries which row.

A play takes its row (`row("disk-full")`), holds what happens against what the first cell says is seen, and types the commands of the
last cells as they stand there. So page and test cannot drift apart: who changes the one has to look at the other.
"""

import ctypes
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from django.conf import settings

from relay.channels import directory
from relay.models import Attempt, OutboundMessage
from tests.relay.commands import Typed, typed

PAGE: Final = Path(settings.BASE_DIR, "docs/operations/relay.md")
TEXT: Final = PAGE.read_text(encoding="utf-8")

_ANCHOR = re.compile(r'<a id="([a-z-]+)"></a>')
_CODE = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^#{2,3} (.+)$")
_BETWEEN_CELLS = re.compile(r"(?<!\\)\|")
_F = TypeVar("_F", bound=Callable[..., Any])

#: Row → the tests that try it.
_tried: dict[str, list[str]] = {}


@dataclass(frozen=True)
class Row:
    """One row of one table."""

    key: str
    cells: tuple[str, ...]

    @property
    def seen(self) -> list[str]:
        """What the first cell has in code: events, fields, texts of errors."""
        return _CODE.findall(self.cells[0])

    def codes(self, cell: int) -> list[str]:
        """What another cell has in code."""
        return _CODE.findall(self.cells[cell])

    @property
    def commands(self) -> list[str]:
        """What is to be typed, in order."""
        return [code.removeprefix("manage.py ") for code in _CODE.findall(" ".join(self.cells[1:])) if code.startswith("manage.py ")]

    def says(self, *texts: str) -> None:
        """These stand in its first cell, in code."""
        assert set(texts) <= set(self.seen), f"{self.key}: the page says {self.seen}"

    def shows(self, text: str) -> None:
        """One of the texts of its first cell is what really is to be seen; `…` stands for anything."""
        patterns = [".*".join(re.escape(part.strip()) for part in code.split("…")) for code in self.seen]
        assert any(re.search(pattern, text) for pattern in patterns), f"{self.key}: {text!r} is none of {self.seen}"

    def logged(self, log: "list[Mapping[str, Any]]", *events: str) -> None:
        """These events stand on the page, and in the log."""
        self.says(*events)
        assert set(events) <= {str(entry["event"]) for entry in log}, f"{self.key}: in the log are {[entry['event'] for entry in log]}"

    def type(self, beginning: str = "", status: int = 0, **words: object) -> Typed:
        """Type the row's one command that begins so, with these words of it replaced (`_4711` for a number)."""
        fitting = [command for command in self.commands if command.startswith(beginning)]
        assert len(fitting) == 1, f"{self.key}: {len(fitting)} of {self.commands} begin with {beginning!r}"
        return type_in(fitting[0], status, **words)


def type_in(command: str, status: int = 0, **words: object) -> Typed:
    """Type a command as it stands on the page, with these words of it replaced; it must end with this status."""
    put = {name.removeprefix("_"): str(word) for name, word in words.items()}
    parts = shlex.split(command.removeprefix("manage.py "))
    assert set(put) <= set(parts), f"{command}: has no {sorted(put)}"
    answer = typed(*(put.get(part, part) for part in parts))
    assert answer.status == status, f"{command}: {answer}"
    return answer


def commands_in(to_do: str) -> list[str]:
    """What check_consistency says is to be typed, in order."""
    return [command.strip() for command in re.findall(r"manage\.py [^;]+", to_do)]


def findings(check: str) -> list[dict[str, str]]:
    """What check_consistency finds by this check; the page has a row for it."""
    assert f"looking-for-what-does-not-fit/{check}" in rows()
    answer = typed("check_consistency", "--json")
    found = answer.json["findings"]
    assert answer.status == (3 if found else 0)
    return [one for one in found if one["check"] == check]


def tries(*keys: str) -> Callable[[_F], _F]:
    """Says of a test which rows it tries."""

    def note(test: _F) -> _F:
        for key in keys:
            _tried.setdefault(key, []).append(test.__qualname__)
        return test

    return note


def tried() -> set[str]:
    """Every row that a test says it tries, of those test files that were imported."""
    return set(_tried)


def rows() -> dict[str, Row]:
    """Every row of every table, by its anchor, or else by section and first words: `codes/…`."""
    found: dict[str, Row] = {}
    section, lines = "", TEXT.splitlines()
    for number, line in enumerate(lines):
        if heading := _HEADING.match(line):
            section = slug(heading[1])
        is_head = number + 1 < len(lines) and lines[number + 1].startswith("|---")
        if not line.startswith("|") or line.startswith("|---") or is_head:
            continue
        cells = tuple(cell.strip() for cell in _BETWEEN_CELLS.split(line)[1:-1])
        anchor = _ANCHOR.search(cells[0])
        key = anchor[1] if anchor else f"{section}/{cells[0].replace('`', '')}"
        assert key not in found, f"two rows are called {key}"
        found[key] = Row(key, cells)
    return found


def row(key: str) -> Row:
    """One row."""
    return rows()[key]


def of_section(section: str) -> dict[str, Row]:
    """The rows without anchors of a section, by what stands in their first cell."""
    return {key.removeprefix(f"{section}/"): found for key, found in rows().items() if key.startswith(f"{section}/")}


def slug(heading: str) -> str:
    """The anchor that a heading has on a page."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# -- Trouble by real means, for whoever runs the tests ----------------------------------------------

_CAPABILITIES_3: Final = 0x20080522
#: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER: what makes permissions mean nothing to root.
_OVER_FILES: Final = 1 << 1 | 1 << 2 | 1 << 3


@contextmanager
def ordinary_account() -> Iterator[None]:
    """While it lasts, permissions hold for this thread and for those it starts, also when root runs the tests."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0)
    had, has = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, had) == 0, "capget"
    assert libc.capget(header, has) == 0, "capget"
    has[0] &= ~_OVER_FILES
    _end_writers()
    assert libc.capset(header, has) == 0, "capset"
    try:
        yield
    finally:
        assert libc.capset(header, had) == 0, "capset"
        _end_writers()


def _end_writers() -> None:
    """The channel's threads stay, with the rights that they were started with."""
    directory._writers(os.getpid()).shutdown()
    directory._writers.cache_clear()


@contextmanager
def without_rights(path: Path, rights: int = 0o500) -> Iterator[None]:
    """While it lasts, our account has only these rights to a directory or file."""
    before = path.stat().st_mode
    path.chmod(rights)
    try:
        with ordinary_account():
            yield
    finally:
        path.chmod(before)


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A file system of its own that is full after 64 KB; the test is skipped where none can be mounted."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here, so none can be filled; as root in a container that may mount it is tried")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], capture_output=True, check=True)


def fill_up(path: Path) -> Path:
    """Fill the file system to its last byte; the file to delete afterwards."""
    ballast = path / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


# -- What an operator looks at ----------------------------------------------------------------------


def traffic(message_type: str = "SGW101") -> dict[str, Any]:
    """What relay_status says of one type."""
    (found,) = [one for one in typed("relay_status", "--json").json["traffic"] if one["message_type"] == message_type]
    return found  # type: ignore[no-any-return]


def attempts(message: OutboundMessage) -> list[tuple[str, str]]:
    """Outcome and error of each attempt, as /admin/ shows them."""
    return list(Attempt.objects.filter(message=message).order_by("pk").values_list("outcome", "error"))
