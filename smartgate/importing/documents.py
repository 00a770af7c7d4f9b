"""The template, and a workbook handed back with its errors: what comes back looks like what was filled in."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import xlsxwriter
from django.utils import timezone
from django.utils.translation import gettext as _
from xlsxwriter.utility import xl_col_to_name

from core.forms.fields import CodeField
from core.listing.export import looks_like_formula
from smartgate.importing.columns import CODES_SHEET, ERRORS, EXAMPLE, GROUP, NOTES_SHEET, SHEET, Column, columns, plain_heading
from smartgate.importing.workbook import ERROR_VALUE, FORMULA, MOST_ROWS, Sheet, is_empty

#: Comments make Excel slow by the thousand; every error stands in the column 错误 anyway.
MOST_COMMENTS: Final = 2000
_YELLOW, _WHITE, _RED = "#FFF6C2", "#FFFFFF", "#F8D7DA"


def template() -> bytes:
    """An empty workbook to fill in: headings, lists in the cells, the codes, and how to do it."""
    with _book() as (book, buffer):
        page = book.add_worksheet(SHEET)
        codes = _codes(book)
        headings = [GROUP, *(column.heading for column in columns())]
        _dress(book, page, headings, codes)
        _notes(book)
    return buffer.getvalue()


def marked(sheet: Sheet, problems: Iterable[Sequence[Any]], is_wanted: Callable[[int], bool] = lambda row: True) -> bytes:
    """The sheet as its user filled it in, rows and columns where they were; wrong cells coloured and commented, all of it told in 错误.

    错误 stands behind the longest row, where the sheet has no such column yet. Rows that are not wanted stay empty.
    """
    by_row: dict[int, list[Sequence[Any]]] = {}
    for problem in problems:
        by_row.setdefault(problem[0], []).append(problem)
    headings = list(sheet.headings)
    plain = [plain_heading(heading) for heading in headings]
    if plain_heading(ERRORS) in plain:
        errors_at = plain.index(plain_heading(ERRORS))
    else:
        headings += [""] * (sheet.widest - len(headings))
        errors_at = len(headings)
        headings.append(ERRORS)
    with _book() as (book, buffer):
        page = book.add_worksheet(SHEET)
        writer = _CellWriter(book, page)
        _dress(book, page, headings, _codes(book))
        comments = 0
        for number, cells in sheet.rows():
            if not is_wanted(number):
                continue
            found = by_row.get(number, [])
            wrong: dict[int, list[str]] = {}
            for _row, place, _heading, message in found:
                if place is not None:
                    wrong.setdefault(place, []).append(message)
            for place, cell in enumerate(cells):
                if place != errors_at:
                    writer.write(number - 1, place, cell, is_wrong=place in wrong)
            for place, messages in wrong.items():
                comments += 1
                if comments <= MOST_COMMENTS:
                    page.write_comment(number - 1, place, "\n".join(messages)[:2000], {"x_scale": 2})
            if found:
                said = [f"{heading}：{message}" if heading else message for _row, _place, heading, message in found]
                page.write_string(number - 1, errors_at, "\n".join(said)[:32_000], writer.wrong)
        page.set_column(errors_at, errors_at, 60, writer.plain)
        _notes(book)
    return buffer.getvalue()


class _book:  # noqa: N801 - used like a function
    """A workbook being written, and what its bytes go into. Nothing written is taken for a formula or an address."""

    def __enter__(self) -> tuple[Any, io.BytesIO]:
        self._buffer = io.BytesIO()
        options = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False, "default_date_format": "yyyy-mm-dd"}
        self._book = xlsxwriter.Workbook(self._buffer, {**options, "remove_timezone": True})
        self._book.set_properties({"title": _("智能卡口散杂货批量导入"), "created": timezone.localtime().replace(tzinfo=None)})
        return self._book, self._buffer

    def __exit__(self, *_about: object) -> None:
        self._book.close()


class _CellWriter:
    """Writes a cell as it was typed."""

    def __init__(self, book: Any, page: Any) -> None:
        self._page = page
        text = {"num_format": "@", "text_wrap": False}
        self.plain = book.add_format(text)
        self.wrong = book.add_format({**text, "bg_color": _RED})
        self._number = {False: book.add_format(), True: book.add_format({"bg_color": _RED})}
        # Shown as it was typed, and no formula when somebody edits it.
        self._literal = {
            False: book.add_format({**text, "quote_prefix": True}),
            True: book.add_format({**text, "quote_prefix": True, "bg_color": _RED}),
        }
        day = {"num_format": "yyyy-mm-dd hh:mm:ss"}
        self._day = {False: book.add_format(day), True: book.add_format({**day, "bg_color": _RED})}

    def write(self, row: int, place: int, cell: Any, *, is_wrong: bool) -> None:
        """Numbers stay numbers and times times; formulas become the text that one sees in the formula bar."""
        if is_empty(cell):
            if is_wrong:
                self._page.write_blank(row, place, None, self.wrong)
            return
        value = cell.value
        if cell.data_type in (FORMULA, ERROR_VALUE):
            self._page.write_string(row, place, str(getattr(value, "text", value))[:32_000], self._literal[is_wrong])
        elif isinstance(value, bool):
            self._page.write_boolean(row, place, value, self._number[is_wrong])
        elif isinstance(value, int | float):
            self._page.write_number(row, place, value, self._number[is_wrong])
        elif isinstance(value, datetime | date | time | timedelta):
            self._page.write_datetime(row, place, value, self._day[is_wrong])
        else:
            text = str(value)
            style = self._literal[is_wrong] if looks_like_formula(text) else self.wrong if is_wrong else self.plain
            self._page.write_string(row, place, text, style)


def _dress(book: Any, page: Any, headings: Sequence[str], codes: Mapping[str, str]) -> None:
    """Headings in their colours, columns as text where numbers are names, lists in the cells of codes."""
    head = {"bold": True, "border": 1, "text_wrap": True, "valign": "vcenter"}
    styles = {colour: book.add_format({**head, "bg_color": colour}) for colour in (_YELLOW, _WHITE)}
    text, amount = book.add_format({"num_format": "@"}), book.add_format()
    by_heading = {plain_heading(column.heading): column for column in columns()}
    for place, heading in enumerate(headings):
        column = by_heading.get(plain_heading(heading))
        page.write_string(0, place, heading, styles[_YELLOW if column and column.field.required else _WHITE])
        page.set_column(
            place, place, 8 if heading == GROUP else max(12, len(heading) * 2 + 2), amount if column and column.is_amount else text
        )
        if column:
            page.write_comment(0, place, _hint(column), {"x_scale": 2})
        if column and column.is_code:
            # A help and no lock: the code alone is taken as well, and pasted cells are not asked anyway.
            page.data_validation(1, place, MOST_ROWS, place, {"validate": "list", "source": codes[column.heading], "show_error": False})
        elif column and column.is_tick:
            yes = [column.field.display(True)]  # type: ignore[attr-defined]
            page.data_validation(1, place, MOST_ROWS, place, {"validate": "list", "source": yes, "show_error": False})
    page.set_row(0, 32)
    page.freeze_panes(1, 1)


def _hint(column: Column) -> str:
    required = _("必填。") if column.field.required else ""
    if column.is_code:
        return required + _("从下拉列表中选择，也可以只填代码或名称。")
    if column.is_tick:
        return _("填“是”，或者空着；该列可以不要。车牌是系统不认识的形式（挂车、跨境等特殊车牌），与行驶证核对无误时填写，填写会留痕。")
    return required + str(column.field.help_text).partition(_("；回车"))[0]


def _codes(book: Any) -> dict[str, str]:
    """The sheet of codes; gives for each column with codes the cells that hold its list."""
    page = book.add_worksheet(CODES_SHEET)
    bold, ranges, place = book.add_format({"bold": True}), {}, 0
    drawn: dict[str, str] = {}
    for column in columns():
        if not column.is_code:
            continue
        source = column.field.source  # type: ignore[attr-defined]
        if source.key not in drawn:
            options = source.options()
            page.write_string(0, place, column.heading, bold)
            for row, option in enumerate(options, start=1):
                page.write_string(row, place, str(option))
            page.set_column(place, place, 24)
            letter = xl_col_to_name(place)
            drawn[source.key] = f"='{CODES_SHEET}'!${letter}$2:${letter}${len(options) + 1}"
            place += 1
        ranges[column.heading] = drawn[source.key]
    page.freeze_panes(1, 0)
    return ranges


def _notes(book: Any) -> None:
    page = book.add_worksheet(NOTES_SHEET)
    bold, wrapped = book.add_format({"bold": True}), book.add_format({"text_wrap": True, "valign": "top"})
    said = [
        _("在“%(sheet)s”工作表中从第 2 行起填写，每行一条表体信息。列名不能改动；列的顺序可以调换，也可以在后面加自己的列（不会读取）。")
        % {"sheet": SHEET},
        _("一票单据有几条表体，就填几行，这几行的“%(group)s”填同一个数，并且连在一起；表头只填第一行，后面各行的表头空着或与第一行相同。")
        % {"group": GROUP},
        _("“%(group)s”空着的行，一行就是一票。") % {"group": GROUP},
        _("“车牌号已核实”一列：只有系统不认识的特殊车牌才需要，与行驶证核对无误后填“是”，表头和表体的车牌都算；其余空着，也可以删去该列。"),
        _("黄底的列必填；其余列在什么情况下必填、什么情况下不用填，与网页录入完全相同，上传后逐行检查。"),
        _("代码列可以从下拉列表中选，也可以只填代码或名称，见“%(sheet)s”工作表。") % {"sheet": CODES_SHEET},
        _("车牌号、箱号、提单号、航次等号码列是文本格式；从别处粘贴时请“选择性粘贴”为数值，不要改成数字或日期格式，否则前导零会丢失。"),
        _("不要使用公式、合并单元格。最多 %(rows)s 行。") % {"rows": MOST_ROWS},
        _("上传后先检查、后暂存：有错误时可下载标出错误的文件，改好后重新上传。暂存之前系统中不产生单据。"),
    ]
    page.set_column(0, len(columns()), 14)
    for row, text in enumerate(said):
        page.merge_range(row, 0, row, 9, f"{row + 1}. {text}", wrapped)
        page.set_row(row, 32)
    top = len(said) + 1
    page.write_string(top, 0, _("示例（两票，第一票有两条表体）"), bold)
    for place, heading in enumerate([GROUP, *(column.heading for column in columns())]):
        page.write_string(top + 1, place, heading, bold)
    for row, example in enumerate(EXAMPLE, start=top + 2):
        page.write_string(row, 0, example[GROUP])
        for place, column in enumerate(columns(), start=1):
            value = example.get(f"line.{column.name}" if column.is_line else column.name, "")
            if value:
                page.write_string(row, place, column.field.display(value) if isinstance(column.field, CodeField) else value)
