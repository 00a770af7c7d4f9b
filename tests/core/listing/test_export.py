"""Files that spreadsheets open: nothing in them runs, numbers are numbers."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from urllib.parse import quote

import openpyxl
import pytest
from django.utils import timezone

from core.listing.export import as_csv, as_xlsx, download, looks_like_formula

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n1", "  =1", "＝1+1", "＠x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_looks_like_a_formula_stays_text(text: str) -> None:
    assert looks_like_formula(text)
    rows = list(csv.reader(io.StringIO(as_csv(["备注"], [[text]]).decode("utf-8-sig"), newline="")))
    assert rows[1] == [f"'{text}"]
    cell = openpyxl.load_workbook(io.BytesIO(as_xlsx(["备注"], [[text]], sheet="查询"))).active["A2"]
    assert cell.data_type == "s"
    assert cell.quotePrefix


@pytest.mark.parametrize("text", ["车次", "1-2", "a=b", "辽B12345", ""])
def test_other_text_is_left_alone(text: str) -> None:
    assert not looks_like_formula(text)
    assert as_csv(["x"], [[text]]).decode("utf-8-sig").splitlines()[1] == f'"{text}"'


def test_values_of_every_kind() -> None:
    values = [Decimal("-12.50"), 7, None, datetime(2026, 11, 20, 16, 30, tzinfo=UTC), date(2026, 11, 21), 10**17]
    text = as_csv(list("abcdef"), [values]).decode("utf-8-sig").splitlines()[1]
    assert text == '"-12.50","7","","2026-11-21 00:30:00","2026-11-21","100000000000000000"'
    sheet = openpyxl.load_workbook(io.BytesIO(as_xlsx(list("abcdef"), [values], sheet="x"))).active
    row = [cell.value for cell in sheet[2]]
    # More than 15 digits would lose the last ones as a number.
    assert row == [-12.5, 7, None, "2026-11-21 00:30:00", "2026-11-21", "100000000000000000"]


def test_the_file_has_a_chinese_name_with_the_day() -> None:
    response = download("查询/散杂货", "xlsx", ["a"], [["b"]])
    name = f"查询_散杂货_{timezone.localtime():%Y%m%d}.xlsx"
    assert response["Content-Disposition"] == f"attachment; filename*=utf-8''{quote(name)}"


def test_a_long_text_and_a_title_unfit_for_a_sheet_do_no_harm() -> None:
    book = openpyxl.load_workbook(io.BytesIO(as_xlsx(["a"], [["x" * 40_000]], sheet="[查询]: " + "长" * 40)))
    assert len(book.active["A2"].value) == 32_767
    assert len(book.active.title) == 31
