"""The page as a file: exactly the rows and columns on it, safe to open in a spreadsheet (`architecture.md` §4.6)."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter
from django.http import HttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header

#: What a spreadsheet takes for the beginning of a formula, also behind blanks and in full width.
_FORMULA = re.compile(r"^\s*[=+\-@＝＋－＠]|^[\t\r\n]")
_UNFIT_FOR_FILE_NAME = re.compile(r"[\\/:*?\"<>|\x00-\x1f]")
#: Longest text a cell of XLSX holds.
_CELL_LIMIT = 32_767
_SHEET_NAME_LIMIT = 31
_UNFIT_FOR_SHEET_NAME = re.compile(r"[\[\]:*?/\\']")
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def looks_like_formula(text: str) -> bool:
    """Whether a spreadsheet might run `text` instead of showing it."""
    return bool(_FORMULA.match(text))


def as_csv(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """CSV, UTF-8 with byte order mark (Excel reads Chinese only so), CRLF, all cells quoted; formulas get an apostrophe."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    for row in (headings, *rows):
        writer.writerow([_csv_cell(value) for value in row])
    return buffer.getvalue().encode("utf-8-sig")


def as_xlsx(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, sheet: str) -> bytes:
    """An XLSX workbook of one sheet. Text is never taken for a formula, a number or an address; numbers are numbers."""
    buffer = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(buffer, options) as book:
        page = book.add_worksheet(_UNFIT_FOR_SHEET_NAME.sub(" ", sheet)[:_SHEET_NAME_LIMIT])
        bold = book.add_format({"bold": True})
        # The cell keeps being text when somebody edits it later.
        literal = book.add_format({"quote_prefix": True})
        widths = [0] * len(headings)
        for column, heading in enumerate(headings):
            page.write_string(0, column, heading, bold)
            widths[column] = _width(heading)
        for number, row in enumerate(rows, start=1):
            for column, value in enumerate(row):
                if isinstance(value, int | Decimal) and not isinstance(value, bool) and len(str(abs(value))) <= 15:
                    page.write_number(number, column, value)
                    shown = str(value)
                else:
                    shown = _text(value)[:_CELL_LIMIT]
                    if shown:
                        page.write_string(number, column, shown, literal if looks_like_formula(shown) else None)
                widths[column] = max(widths[column], _width(shown))
        for column, width in enumerate(widths):
            page.set_column(column, column, min(width + 2, 60))
        page.freeze_panes(1, 0)
    return buffer.getvalue()


def download(title: str, kind: str, headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> HttpResponse:
    """A response that downloads as `<title>_<day>.<kind>`; `kind` is xlsx or csv."""
    name = f"{_UNFIT_FOR_FILE_NAME.sub('_', title)}_{timezone.localtime():%Y%m%d}.{kind}"
    if kind == "csv":
        response = HttpResponse(as_csv(headings, rows), content_type="text/csv; charset=utf-8")
    else:
        response = HttpResponse(as_xlsx(headings, rows, sheet=title), content_type=XLSX_TYPE)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    response["Cache-Control"] = "private, no-store"
    return response


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _csv_cell(value: Any) -> str:
    text = _text(value)
    is_number = isinstance(value, int | Decimal)
    return f"'{text}" if not is_number and looks_like_formula(text) else text


def _width(text: str) -> int:
    """Width in a spreadsheet's units: a Chinese character takes two."""
    return sum(2 if ord(char) > 0x2E80 else 1 for char in text)
