"""Workbooks as users fill them in, made with openpyxl from the template that the portal hands out."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import openpyxl

from accounts.models import User
from smartgate.importing import documents, services
from smartgate.importing.columns import GROUP, SHEET, columns
from smartgate.importing.models import Import
from tests.smartgate.factories import HEADER, LINE

#: 序号 and then the columns: (is of the body, field) → column from 0 in the template.
PLACES = {(False, GROUP): 0} | {(column.is_line, column.name): place for place, column in enumerate(columns(), start=1)}


def rows_of(header: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], group: str = "") -> list[list[Any]]:
    """The rows of one filing: the header in the first, each line in one of its own; amounts as texts, as the template's cells have them."""
    rows = []
    for number, line in enumerate(lines or [{}]):
        row: list[Any] = [None] * len(PLACES)
        row[0] = group or None
        for is_line, values in ((False, header if number == 0 else {}), (True, line)):
            for name, value in values.items():
                row[PLACES[is_line, name]] = None if value in (None, "") else str(value)
        rows.append(row)
    return rows


def filing_rows(header: Mapping[str, Any] | None = None, lines: Sequence[Mapping[str, Any]] = (LINE,), group: str = "") -> list[list[Any]]:
    """The same with HEADER and its changes."""
    return rows_of({**HEADER, **(header or {})}, lines, group)


@lru_cache(maxsize=1)
def template() -> bytes:
    """What 下载模板 gives; it takes a moment to make."""
    return documents.template()


def workbook(rows: Sequence[Sequence[Any]], change: Callable[[Any], None] | None = None) -> bytes:
    """The template with these rows; `change` may do anything to the openpyxl sheet before it is saved."""
    book = openpyxl.load_workbook(io.BytesIO(template()))
    sheet = book[SHEET]
    for number, row in enumerate(rows, start=2):
        for place, value in enumerate(row, start=1):
            if value is not None:
                sheet.cell(number, place).value = value
    if change:
        change(sheet)
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


def repacked(content: bytes, change: Callable[[str, bytes], bytes | None], more: Mapping[str, bytes] | None = None) -> bytes:
    """A workbook with its zip's parts changed: `change` gives a part's new bytes, None to leave it out."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            new = change(name, source.read(name))
            if new is not None:
                target.writestr(name, new)
        for name, data in (more or {}).items():
            target.writestr(name, data)
    return made.getvalue()


def imported(actor: User, content: bytes, name: str = "车辆.xlsx") -> Import:
    """The workbook uploaded and looked at by a worker."""
    made = services.upload(actor=actor, file_name=name, content=content)
    services.work(made.pk)
    made.refresh_from_db()
    return made


def problems_in(one: Import) -> list[tuple[int, str, str]]:
    """(row, heading, message) of every error, in the sheet's order."""
    return [(row, heading, message) for filing in one.filings.all() for row, _place, heading, message in filing.problems]


def sheet_of(content: bytes) -> Any:
    """The sheet of filings of a workbook that was handed back."""
    return openpyxl.load_workbook(io.BytesIO(content))[SHEET]
