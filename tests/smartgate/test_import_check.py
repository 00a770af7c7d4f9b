"""批量导入, checking: the page's rules by row and column, what people do to sheets, and the marked workbook (SGW-10)."""

import datetime
import io

import openpyxl
import pytest

from smartgate import services
from smartgate.importing import documents, workbook
from smartgate.importing.columns import CODES_SHEET, EXAMPLE, GROUP, NOTES_SHEET, SHEET, columns
from smartgate.importing.models import ImportFile
from smartgate.models import Filing
from tests.smartgate.factories import CONTAINER_LINE, HEADER, LINE
from tests.smartgate.test_rules import BROKEN, FORGED_LINES, GOOD
from tests.smartgate.workbooks import PLACES, filing_rows, imported, problems_in, rows_of, sheet_of
from tests.smartgate.workbooks import workbook as made

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-10")]
FINE = filing_rows({"bind_key_info": "辽B00001"})


def contents(changes):
    return {**HEADER, **changes.get("header", {})}, changes.get("lines", (LINE,))


def column_of(problem_heading):
    return next(column for column in columns() if column.heading == problem_heading)


#: openpyxl writes no such character, and Excel neither.
UNWRITABLE = {"remark with a control character"}
WALKED = {what: rule for what, rule in BROKEN.items() if what not in UNWRITABLE}


def test_every_rule_that_the_page_keeps_is_told_in_its_row_and_column(operator):
    """One workbook: a row for each rule of the page's own table, that rule broken in it, and between them rows that are right."""
    rows, expected = [], {}
    for what, (changes, text) in WALKED.items():
        header, lines = contents(changes)
        expected[len(rows) + 2] = (what, header, lines[0], text)
        rows += [*rows_of(header, lines), *FINE]
    one = imported(operator, made(rows))
    assert (one.state, one.good_count, one.bad_count) == ("checked", len(WALKED), len(WALKED))
    problems = problems_in(one)
    assert {row for row, _heading, _message in problems} == set(expected)
    for row, (what, header, line, text) in expected.items():
        found = {heading: message for where, heading, message in problems if where == row}
        broken = {(False, name) for name in HEADER if header.get(name) != HEADER[name]}
        broken |= {(True, name) for name in services.LINE_NAMES if line.get(name) != LINE.get(name)}
        said = [heading for heading, message in found.items() if text in message]
        assert said, (what, found)
        assert {(column_of(heading).is_line, column_of(heading).name) for heading in said} <= broken | NEEDED_BY_OTHERS, (what, found)
    assert not Filing.unscoped.exists()


#: Fields that become required by what stands in another one.
NEEDED_BY_OTHERS = {(True, name) for name in ("container_no_1", "container_no_2")}


def test_what_the_page_takes_the_import_takes(operator):
    takes = [*GOOD.values(), *(changes for changes, _name, _empty in FORGED_LINES.values())]
    one = imported(operator, made([row for changes in takes for row in rows_of(*contents(changes))]))
    assert (one.state, problems_in(one), one.good_count) == ("checked", [], len(takes))


def test_grey_fields_are_emptied_as_on_the_page(operator):
    one = imported(operator, made([row for changes, _name, _empty in FORGED_LINES.values() for row in rows_of(*contents(changes))]))
    for filing, (what, (_changes, name, empty)) in zip(one.filings.all(), FORGED_LINES.items(), strict=True):
        assert filing.contents["lines"][0][name] == empty, what


def test_rows_of_one_number_are_one_filing(operator):
    rows = (
        filing_rows(lines=[LINE, CONTAINER_LINE], group="1")
        + filing_rows({"bind_key_info": "辽B00002"})
        + filing_rows({"bind_key_info": "辽B00003"}, group="7")
    )
    one = imported(operator, made(rows))
    assert [(filing.row, len(filing.contents["lines"])) for filing in one.filings.all()] == [(2, 2), (4, 1), (5, 1)]
    assert (one.row_count, one.good_count) == (4, 3)


def test_a_header_may_be_repeated_but_not_differ(operator):
    rows = filing_rows(lines=[LINE, CONTAINER_LINE], group="1")
    rows[1][PLACES[False, "customs_code"]] = "0908"
    assert imported(operator, made(rows)).bad_count == 0
    rows[1][PLACES[False, "bind_key_info"]] = "辽B99999"
    assert problems_in(imported(operator, made(rows))) == [(3, "绑定介质关键信息", "同一票的表头应与第 2 行相同，或者空着。")]


def test_a_number_used_again_further_down_is_no_third_line(operator):
    rows = [
        *filing_rows(group="1"),
        *filing_rows({"bind_key_info": "辽B00002"}, group="2"),
        *filing_rows({"bind_key_info": "辽B00003"}, group="1"),
    ]
    problems = problems_in(imported(operator, made(rows)))
    assert [(row, heading) for row, heading, _message in problems] == [(4, "")]
    assert "序号“1”在第 2 行已经用过" in problems[0][2]


def test_more_lines_than_the_page_takes(operator):
    problems = problems_in(imported(operator, made(filing_rows(lines=[CONTAINER_LINE] * 201, group="1"))))
    assert problems == [(2, "", "表体信息不能超过 200 条，现有 201 条。")]


@pytest.mark.parametrize("cell", ["是", True, "TRUE", 1, " 是 "])
def test_an_unusual_plate_passes_when_it_is_vouched_for(operator, cell):
    def change(sheet):
        sheet.cell(2, PLACES[False, "plate_verified"] + 1).value = cell

    assert imported(operator, made(filing_rows({"bind_key_info": "WX8888"}))).bad_count == 1
    one = imported(operator, made(filing_rows({"bind_key_info": "WX8888"}), change))
    assert (problems_in(one), one.filings.get().contents["header"]["plate_verified"]) == ([], True)


@pytest.mark.parametrize("cell", ["否", False, "FALSE"])
def test_who_says_no_vouches_for_nothing(operator, cell):
    def change(sheet):
        sheet.cell(2, PLACES[False, "plate_verified"] + 1).value = cell

    assert [
        heading for _row, heading, _message in problems_in(imported(operator, made(filing_rows({"bind_key_info": "WX8888"}), change)))
    ] == ["绑定介质关键信息"]
    one = imported(operator, made(filing_rows(), change))
    assert (problems_in(one), one.filings.get().contents["header"]["plate_verified"]) == ([], False)


def test_who_vouches_with_anything_else_is_asked_what_he_means(operator):
    one = imported(operator, made(filing_rows({"plate_verified": "挂车"})))
    assert problems_in(one) == [(2, "车牌号已核实", "请填“是”，或者空着。")]


def test_a_sheet_may_do_without_the_column_of_unusual_plates(operator):
    def change(sheet):
        sheet.delete_cols(PLACES[False, "plate_verified"] + 1)

    one = imported(operator, made([*filing_rows(), *filing_rows({"bind_key_info": "WX8888"})], change))
    assert [(row, heading) for row, heading, _message in problems_in(one)] == [(3, "绑定介质关键信息")]
    assert one.filings.first().contents["header"]["plate_verified"] is False


def test_columns_in_another_order_with_some_of_the_users_own(operator):
    def change(sheet):
        width = sheet.max_column
        rows = [[sheet.cell(row, place).value for place in range(width, 0, -1)] for row in (1, 2)]
        for row, values in enumerate(rows, start=1):
            for place, value in enumerate([*values, "司机" if row == 1 else "王师傅"], start=1):
                sheet.cell(row, place).value = value

    one = imported(operator, made(filing_rows(), change))
    assert (one.good_count, one.bad_count) == (1, 0)
    assert any("司机" in note and "没有读取" in note for note in one.notes)


@pytest.mark.parametrize("heading", ["关 区 代 码*", "关区代码（必填）", "關區代碼"])
def test_headings_as_people_decorate_them(operator, heading):
    def change(sheet):
        sheet.cell(1, PLACES[False, "customs_code"] + 1).value = heading

    one = imported(operator, made(filing_rows(), change))
    if heading == "關區代碼":
        assert (one.state, "缺少列：关区代码" in one.refusal) == ("refused", True)
    else:
        assert one.good_count == 1


CELLS = {
    "a formula": ("bind_key_info", "=A1", "单元格是公式"),
    "a formula that would call out": ("remark", '=HYPERLINK("http://127.0.0.1/","x")', "单元格是公式"),
    "an error": ("remark", "#N/A", "错误值"),
    "a date where a number was": ("customs_code", datetime.datetime(2026, 9, 8), "日期"),
    "a weight that became a date": ("vehicle_weight", datetime.datetime(2026, 1, 2), "日期"),
    "a plate that is a number": ("bind_key_info", 12345, "前导零"),
}


@pytest.mark.parametrize(("name", "value", "text"), CELLS.values(), ids=CELLS.keys())
def test_cells_that_do_not_hold_what_was_typed(operator, name, value, text):
    def change(sheet):
        sheet.cell(2, PLACES[False, name] + 1).value = value

    problems = problems_in(imported(operator, made(filing_rows(), change)))
    assert [row for row, _heading, _message in problems] == [2]
    assert text in problems[0][2]


TAKEN = {
    "code whose zero Excel dropped": (False, "customs_code", 908, "0908"),
    "code with its name": (False, "customs_code", "0908 连大窑湾", "0908"),
    "full-width code": (False, "customs_code", "０９０８", "0908"),
    "name alone": (False, "transport_mode", "水路", "2"),
    "business type whose zero Excel dropped": (True, "business_type", 100000000, "0100000000"),
    "flow type as a number": (False, "vehicle_flow_type", 2, "02"),
    "weight as a number": (False, "vehicle_weight", 8600.5, "8600.5"),
    "weight as a whole number": (False, "vehicle_weight", 8600, "8600"),
    "weight in full width": (False, "vehicle_weight", "８６００．５", "8600.5"),
    "vessel that is a number": (True, "vessel_name", 88, "88"),
}


@pytest.mark.parametrize(("is_line", "name", "value", "kept"), TAKEN.values(), ids=TAKEN.keys())
def test_cells_that_are_taken_for_what_they_mean(operator, is_line, name, value, kept):
    def change(sheet):
        sheet.cell(2, PLACES[is_line, name] + 1).value = value

    one = imported(operator, made(filing_rows(), change))
    assert problems_in(one) == []
    stored = one.filings.get().contents
    assert (stored["lines"][0] if is_line else stored["header"])[name] == kept


def test_merged_cells_hidden_rows_and_empty_rows(operator):
    def change(sheet):
        sheet.merge_cells(start_row=2, end_row=3, start_column=1, end_column=1)
        sheet.row_dimensions[6].hidden = True

    rows = [*filing_rows(lines=[LINE, CONTAINER_LINE], group="1"), [], [], *filing_rows({"bind_key_info": "辽B00002"})]
    one = imported(operator, made(rows, change))
    assert {(row, "合并单元格（A2:A3）" in message) for row, heading, message in problems_in(one) if not heading} == {(2, True), (3, True)}
    assert [filing.row for filing in one.filings.filter(contents__isnull=False)] == [6]
    assert any("第 6 行是隐藏行" in note for note in one.notes)


def test_the_sheet_is_found_by_its_headings(operator):
    def change(sheet):
        sheet.title = "11月"
        sheet.parent.move_sheet(sheet, 2)

    one = imported(operator, made(filing_rows(), change))
    assert (one.good_count, one.notes) == (1, ["读取的是工作表“11月”。"])


def copied(sheet, title):
    """The sheet once more, as it is now, under another name and in front of it."""
    copy = sheet.parent.copy_worksheet(sheet)
    copy.title = title
    sheet.parent.move_sheet(copy, -3)
    return copy


def test_the_sheet_of_the_templates_name_is_read_whatever_others_have(operator):
    """Last week's sheet has the column that most never need; this week's has not."""

    def change(sheet):
        copied(sheet, "上周").cell(2, PLACES[False, "bind_key_info"] + 1).value = "辽B99999"
        sheet.delete_cols(PLACES[False, "plate_verified"] + 1)

    one = imported(operator, made(filing_rows(), change))
    assert [filing.contents["header"]["bind_key_info"] for filing in one.filings.all()] == ["辽B12345"]
    assert one.notes == ["读取的是工作表“申报单”；“上周”也有模板的列，没有读取。请核对要导入的数据是否都在“申报单”中。"]


def test_which_of_two_sheets_is_not_guessed(operator):
    def change(sheet):
        copied(sheet, "上周")
        sheet.title = "本周"

    one = imported(operator, made(filing_rows(), change))
    assert (one.state, one.filings.count()) == ("refused", 0)
    assert "“上周”、“本周”都有模板的列" in one.refusal


def test_the_marked_workbook_keeps_everything_and_tells_what_is_wrong(operator):
    def change(sheet):
        sheet.cell(1, len(PLACES) + 1).value = "司机"
        sheet.cell(3, len(PLACES) + 1).value = "=cmd"
        sheet.cell(3, PLACES[False, "vehicle_weight"] + 1).value = 8600.5

    rows = [*FINE, *filing_rows({"customs_code": "9999", "bind_key_info": "辽BO2345"}), [], *filing_rows({"remark": "+86"})]
    content = made(rows, change)
    one = imported(operator, content)
    marked = bytes(ImportFile.unscoped.get(upload=one).marked)
    before, after = sheet_of(content), sheet_of(marked)
    width = len(PLACES) + 1
    for row in range(1, 6):
        typed = [before.cell(row, place).value for place in range(1, width + 1)]
        assert [after.cell(row, place).value for place in range(1, width + 1)] == typed, row
    # Shown as it was typed, and run by nobody.
    assert after.cell(3, width).data_type == "s"
    assert after.cell(5, PLACES[False, "remark"] + 1).quotePrefix
    assert after.cell(1, width + 1).value == "错误"
    assert "代码“9999”不在关区代码表中" in after.cell(3, width + 1).value
    assert "辽BO2345" in after.cell(3, PLACES[False, "bind_key_info"] + 1).comment.text
    assert (
        after.cell(3, PLACES[False, "customs_code"] + 1).fill.bgColor.rgb
        != before.cell(3, PLACES[False, "customs_code"] + 1).fill.bgColor.rgb
    )
    assert [after.cell(row, width + 1).value for row in (2, 5)] == [None, None]
    # Sent again as it is, it says the same. (It has its texts in one table, as Excel has them; openpyxl writes them into the cells.)
    assert problems_in(imported(operator, marked)) == problems_in(one)
    # Put right in place and sent again, with the column 错误 still in it.
    after.cell(3, PLACES[False, "customs_code"] + 1).value = "0908"
    after.cell(3, PLACES[False, "bind_key_info"] + 1).value = "辽B22345"
    after.cell(3, width).value = None
    saved = io.BytesIO()
    after.parent.save(saved)
    again = imported(operator, saved.getvalue())
    assert (again.good_count, again.bad_count) == (3, 0)
    assert not [note for note in again.notes if "错误" in note]


def test_what_stands_beside_the_columns_stays_there(operator):
    def change(sheet):
        sheet.cell(2, len(PLACES) + 4).value = "自己的备注"

    one = imported(operator, made(filing_rows({"customs_code": "9999"}), change))
    marked = sheet_of(bytes(ImportFile.unscoped.get(upload=one).marked))
    assert marked.cell(2, len(PLACES) + 4).value == "自己的备注"
    assert (marked.cell(1, len(PLACES) + 5).value, "9999" in marked.cell(2, len(PLACES) + 5).value) == ("错误", True)


def test_a_formula_of_the_users_stays_to_be_read_in_the_marked_workbook(operator):
    def change(sheet):
        sheet.cell(2, PLACES[False, "remark"] + 1).value = "=1+1"

    one = imported(operator, made(filing_rows(), change))
    cell = sheet_of(bytes(ImportFile.unscoped.get(upload=one).marked)).cell(2, PLACES[False, "remark"] + 1)
    assert (cell.value, cell.data_type, cell.quotePrefix) == ("=1+1", "s", True)


def test_the_template_says_what_the_page_says():
    book = openpyxl.load_workbook(io.BytesIO(documents.template()))
    assert book.sheetnames == [SHEET, CODES_SHEET, NOTES_SHEET]
    sheet = book[SHEET]
    assert [cell.value for cell in sheet[1]] == [GROUP, *(column.heading for column in columns())]
    assert len({column.heading for column in columns()}) == len(columns())
    lists = {str(one.sqref): one.formula1 for one in sheet.data_validations.dataValidation}
    drawn = [one for one in lists.values() if one.startswith(f"'{CODES_SHEET}'!$")]
    assert (len(drawn), sorted(set(lists.values()) - set(drawn))) == (sum(column.is_code for column in columns()), ['"是"'])
    codes = {cell.value for column in book[CODES_SHEET].columns for cell in column}
    assert {"0908 连大窑湾", "VN 车牌号", "1010000000 报关+查验分流"} <= codes
    assert sheet.cell(2, PLACES[False, "bind_key_info"] + 1).number_format == "@" or sheet.column_dimensions["D"].width


def test_the_example_in_the_notes_is_right(operator):
    """Who copies it into the sheet has two filings."""
    rows = []
    for example in EXAMPLE:
        row = [None] * len(PLACES)
        for key, value in example.items():
            row[PLACES[key.startswith("line."), key.removeprefix("line.")]] = value
        rows.append(row)
    one = imported(operator, made(rows))
    assert (problems_in(one), one.good_count, one.row_count) == ([], 2, 3)


def test_what_is_checked_is_bounded(operator, monkeypatch):
    monkeypatch.setattr(workbook, "MOST_ROWS", 2)
    one = imported(operator, made([*FINE, *FINE, *FINE]))
    assert (one.state, "一次最多导入 2 行" in one.refusal, one.filings.count()) == ("refused", True, 0)
