"""From rows to filings: the page's forms say what is wrong, in the cell where it is."""

import hashlib
import json
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, cast

from django.core.exceptions import NON_FIELD_ERRORS
from django.utils.translation import gettext as _

from core.forms.fields import CodeField, is_ticked
from core.forms.form import EntryForm
from core.forms.page import EntryPage
from smartgate.forms import FilingForm, FilingLineForm
from smartgate.importing.columns import GROUP, NUMBERS_OF_THE_TRADE, Column, columns, plain_heading
from smartgate.importing.workbook import ERROR_VALUE, FORMULA, Sheet, is_empty
from smartgate.services import HEADER_NAMES, LINE_NAMES, FilingHeader, LineEntry

Texts = dict[str, str]

#: Our longest field takes 1000 characters, Excel's cells 32,767; a file made to harm names one string of megabytes in every cell.
LONGEST_CELL: Final = 2000
LONGEST_GROUP: Final = 100
#: What is wrong quotes what was typed; more of it tells nobody more.
LONGEST_MESSAGE: Final = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong and where: row as Excel numbers it, column from 0 (None: the row as a whole) and its heading."""

    row: int
    column: int | None
    heading: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", self.message[:LONGEST_MESSAGE])

    def as_list(self) -> list[Any]:
        """As it is stored."""
        return [self.row, self.column, self.heading, self.message]


@dataclass(slots=True)
class CheckedFiling:
    """One filing of the workbook. `contents` is there exactly when there are no problems."""

    row: int
    rows: int
    problems: list[Problem] = field(default_factory=list)
    contents: dict[str, Any] | None = None


@dataclass(slots=True)
class _Row:
    number: int
    group: str
    header: Texts
    line: Texts
    #: Field name → what is wrong with its cell before any rule is asked; by part.
    wrong: dict[bool, dict[str, str]]
    whole: list[str]


def filings_in(sheet: Sheet) -> Iterator[CheckedFiling]:
    """The sheet's filings, in its order. Rows with the same 序号 are one; a row without any is one by itself. Raises WorkbookRefused."""
    reader = _Reader(sheet)
    checker = _Checker(reader)
    seen: dict[str, int] = {}
    rows: list[_Row] = []
    for number, cells in sheet.rows():
        row = reader.row(number, cells)
        if rows and not (row.group and row.group == rows[0].group):
            yield checker.filing(rows)
            rows = []
        if not rows and row.group:
            if row.group in seen:
                row.whole.append(
                    _("序号“%(group)s”在第 %(row)s 行已经用过。同一票的各行要连在一起；不是同一票的，请改用别的序号。")
                    % {"group": row.group, "row": seen[row.group]}
                )
            seen.setdefault(row.group, number)
        rows.append(row)
    if rows:
        yield checker.filing(rows)


class _Reader:
    """Cells as the texts that a browser would send."""

    def __init__(self, sheet: Sheet) -> None:
        at = {plain_heading(heading): place for place, heading in enumerate(sheet.headings)}
        self.group_at = at[plain_heading(GROUP)]
        #: `opened` has seen to it that no column is missing that may not.
        self.places: Mapping[tuple[bool, str], int] = {
            (one.is_line, one.name): at[key] for one in columns() if (key := plain_heading(one.heading)) in at
        }
        self.headings = sheet.headings
        self._merged = sheet.merged

    def row(self, number: int, cells: Sequence[Any]) -> _Row:
        parts: dict[bool, Texts] = {False: {}, True: {}}
        wrong: dict[bool, dict[str, str]] = {False: {}, True: {}}
        for column in columns():
            place = self.places.get((column.is_line, column.name))
            text, problem = _text(column, None if place is None else cells[place])
            parts[column.is_line][column.name] = text
            if problem:
                wrong[column.is_line][column.name] = problem
        whole = []
        at = bisect_right(self._merged, number, key=lambda one: one[0]) - 1
        if at >= 0 and number <= self._merged[at][1]:
            whole.append(_("该行有合并单元格（%(where)s）。请取消合并，每行都填写。") % {"where": self._merged[at][2]})
        group = "" if is_empty(cells[self.group_at]) else _plain(cells[self.group_at].value)
        if len(group) > LONGEST_GROUP:
            whole.append(_("序号过长，最多 %(most)s 个字。") % {"most": LONGEST_GROUP})
            group = ""
        return _Row(number, group, parts[False], parts[True], wrong, whole)

    def problem(self, row: int, is_line: bool, name: str, message: str) -> Problem:
        place = self.places.get((is_line, name))
        return Problem(row, place, "" if place is None else self.headings[place], message)


class _Checker:
    """The page's two forms over one filing after the other."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def filing(self, rows: list[_Row]) -> CheckedFiling:
        first = rows[0]
        found = CheckedFiling(first.number, len(rows))
        say = found.problems.append
        for row in rows:
            for text in row.whole:
                say(Problem(row.number, None, "", text))
        header = FilingForm(first.header)
        self._take(found, first, header, is_line=False)
        for row in rows[1:]:
            for name, text in row.header.items():
                if (text and text != first.header[name]) or row.wrong[False].get(name):
                    say(
                        self._reader.problem(
                            row.number, False, name, _("同一票的表头应与第 %(row)s 行相同，或者空着。") % {"row": first.number}
                        )
                    )
        lines: list[EntryForm] = []
        for row in rows:
            if not any(row.line.values()) and not row.wrong[True]:
                if len(rows) > 1:
                    say(Problem(row.number, None, "", _("该行没有表体信息。")))
                continue
            line = FilingLineForm(row.line, header=header)
            self._take(found, row, line, is_line=True)
            lines.append(line)
        if len(lines) > EntryPage.max_lines:
            text = _("表体信息不能超过 %(limit)d 条，现有 %(count)d 条。")
            say(Problem(first.number, None, "", text % {"limit": EntryPage.max_lines, "count": len(lines)}))
        if not found.problems:
            found.contents = {"header": kept(header, HEADER_NAMES), "lines": [kept(line, LINE_NAMES) for line in lines]}
        found.problems.sort(key=lambda one: (one.row, -1 if one.column is None else one.column))
        return found

    def _take(self, found: CheckedFiling, row: _Row, form: EntryForm, *, is_line: bool) -> None:
        """What the form says, in the row's cells; of a cell that cannot be read, only that."""
        unreadable = row.wrong[is_line]
        for name, text in unreadable.items():
            found.problems.append(self._reader.problem(row.number, is_line, name, text))
        for name, messages in form.errors.items():
            if name in unreadable:
                continue
            where = "" if name == NON_FIELD_ERRORS else name
            found.problems += [self._reader.problem(row.number, is_line, where, str(message)) for message in messages]


def kept(form: EntryForm, names: Sequence[str]) -> dict[str, Any]:
    """The cleaned values of a valid form as JSON can hold them; `entry_of` reads them."""
    return {name: str(value) if isinstance(value := form.cleaned_data[name], Decimal) else value for name in names}


def digest_of(contents: Mapping[str, Any] | None) -> str:
    """By what the same filing is known again, wherever it stands in whatever workbook; "" for one with errors."""
    if contents is None:
        return ""
    return hashlib.sha256(json.dumps(contents, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def entry_of(contents: Mapping[str, Any]) -> tuple[FilingHeader, list[LineEntry]]:
    """What `filings_in` found right, as the service takes it."""
    header = FilingHeader(**_amounts(contents["header"]))
    return header, [LineEntry(**_amounts(line)) for line in contents["lines"]]


def _amounts(values: Mapping[str, Any]) -> dict[str, Any]:
    amounts = {column.name for column in columns() if column.is_amount}
    return {name: Decimal(value) if name in amounts and value is not None else value for name, value in values.items()}


# -- Cells ----------------------------------------------------------------------------------------


def _plain(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()


def _text(column: Column, cell: Any) -> tuple[str, str]:
    """A cell as its field takes it, and what is wrong with the cell itself (then the text is empty or as good as can be)."""
    if is_empty(cell):
        return "", ""
    value = cell.value
    if cell.data_type == FORMULA:
        return "", _("单元格是公式，不会计算。请复制后“选择性粘贴”为数值。")
    if cell.data_type == ERROR_VALUE:
        return "", _("单元格是错误值 %(value)s，请重新填写。") % {"value": value}
    if isinstance(value, datetime | date | time | timedelta):
        return "", _("单元格是日期或时间格式，原来录入的内容已被 Excel 改变。请把单元格设为“文本”格式后重新填写。")
    if column.is_tick:
        return _tick(column, str(value).strip())
    if isinstance(value, bool):
        return str(value).upper(), ""
    if isinstance(value, int | float):
        return _number(column, value)
    text = str(value).strip()
    if len(text) > LONGEST_CELL:
        return "", _("单元格内容过长，有 %(count)s 个字。") % {"count": len(text)}
    return (unicodedata.normalize("NFKC", text) if column.is_code else text), ""


def _tick(column: Column, text: str) -> tuple[str, str]:
    """Who writes anything else than yes or no has meant something, and is asked what."""
    if is_ticked(text) or text.lower() in ("false", column.field.display(False)):  # type: ignore[attr-defined]
        return text, ""
    return "", _("请填“是”，或者空着。")


def _number(column: Column, value: float) -> tuple[str, str]:
    text = _plain(value)
    if column.is_code:
        return _padded(cast("CodeField", column.field), text), ""
    if column.name in NUMBERS_OF_THE_TRADE:
        return "", _("单元格是数字格式，前导零和第 15 位以后的数字可能已丢失。请设为“文本”格式后重新填写。")
    return text, ""


def _padded(code_field: CodeField, text: str) -> str:
    """A code whose leading zeros Excel has dropped: 908 is 0908, where no other code is meant. Anything else as it is."""
    codes = {option.code for option in code_field.source.options()}
    fitting = {code for code in codes if code.lstrip("0") == text.lstrip("0")} if text not in codes else set()
    return fitting.pop() if len(fitting) == 1 else text
