"""Code tables for tests: small files written on the spot, and the official ones where they are beside the project."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from core.pinyin import initials
from reference import queries
from reference.models import BEGINNING, Code, CodeTable, Origin

OFFICIAL_DIR = settings.BASE_DIR.parent / "shared" / "data" / "official-parameters-2022"

Rows = list[tuple[str, str]]


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """What a test put into the tables is rolled back; what the process remembers of them must go, too."""
    queries.forget()
    yield
    queries.forget()


@pytest.fixture
def official_dir() -> Path:
    if not OFFICIAL_DIR.is_dir():
        pytest.skip(f"the official parameter files are not at {OFFICIAL_DIR}")
    return OFFICIAL_DIR


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> Callable[[date], None]:
    """Say which day it is."""

    def set_today(day: date) -> None:
        monkeypatch.setattr(timezone, "localdate", lambda *args: day)

    return set_today


def units(*rows: tuple[str, str]) -> list[dict[str, str]]:
    """Rows of CusUnit.json."""
    return [{"UNIT_CODE": code, "UNIT_NAME": name} for code, name in rows]


def write(directory: Path, **files: Any) -> Path:
    """Write `<name>.json` for each keyword; a value that is a text or bytes is written as it is."""
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        path = directory / f"{name}.json"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return directory


def make_table(key: str, *rows: tuple[str, str] | tuple[str, str, str]) -> CodeTable:
    """A table of codes (code, name, aliases) valid from the beginning."""
    table = CodeTable.objects.create(key=key, name=key, origin=Origin.OFFICIAL, effective_on=BEGINNING, loaded_at=timezone.now())
    Code.objects.bulk_create(
        Code(
            table=table,
            code=code,
            name=name,
            initials=initials(name),
            aliases=aliases[0] if aliases else "",
            valid_from=BEGINNING,
            origin=Origin.OFFICIAL,
        )
        for code, name, *aliases in rows
    )
    return table


def versions(key: str, code: str) -> list[tuple[str, date, date | None]]:
    """(name, valid_from, valid_to) of all versions of a code, oldest first."""
    return list(Code.objects.filter(table__key=key, code=code).order_by("valid_from").values_list("name", "valid_from", "valid_to"))
