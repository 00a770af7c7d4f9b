"""批量导入: what is no workbook, or was made to harm, is refused in Chinese before it takes room (SGW-10)."""

import io
import re
import tracemalloc
import zipfile
from types import SimpleNamespace
from unittest import mock

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from smartgate.importing import services, workbook
from smartgate.importing.models import Import
from tests.smartgate.workbooks import PLACES, filing_rows, imported, problems_in, repacked
from tests.smartgate.workbooks import workbook as made

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-10")]
URL = "/smartgate/import/"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def upload(client, name, content):
    return client.post(URL, {"workbook": SimpleUploadedFile(name, content)})


AT_ONCE = {
    "nothing": ("空.xlsx", b"", "文件是空的"),
    "old Excel": ("旧.xls", OLE + b"\0" * 600, "旧版 Excel 格式"),
    "old Excel under the new name": ("旧.xlsx", OLE + b"\0" * 600, "旧版 Excel 格式"),
    "with a password": ("密.xlsx", OLE + b"\0" * 9000 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 99, "设有打开密码"),
    "CSV": ("表.csv", "序号,关区代码".encode("gb18030"), "CSV"),
    "CSV in UTF-16": ("表.csv", "序号,关区代码".encode("utf-16"), "CSV"),
    "a picture": ("图.xlsx", b"\x89PNG\r\n\x1a\n", "不是 Excel 工作簿"),
    "macros by its name": ("宏.xlsm", b"PK\x03\x04", "含有宏"),
}


@pytest.mark.parametrize(("name", "content", "text"), AT_ONCE.values(), ids=AT_ONCE.keys())
def test_no_workbook_by_its_first_bytes_is_refused_at_once(operator_client, name, content, text):
    response = upload(operator_client, name, content)
    assert response.status_code == 200
    assert text in response.content.decode()
    assert not Import.unscoped.exists()


def test_a_file_too_large_is_refused_at_once(operator_client, settings):
    settings.IMPORT_MAX_BYTES = 1000
    assert "超过上限" in upload(operator_client, "大.xlsx", made(filing_rows())).content.decode()
    assert "请选择要上传的" in operator_client.post(URL).content.decode()
    assert not Import.unscoped.exists()


def part(name, change):
    """Changes one part of the zip."""
    return lambda one, data: change(data) if one == name else data


def bomb(size, says):
    """A zip with a part that unpacks to `size` bytes of nothing, and whose directory says `says`."""
    kept = io.BytesIO(made(filing_rows()))
    with zipfile.ZipFile(kept, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet9.xml", b" " * size)
    content = bytearray(kept.getvalue())
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = says.to_bytes(4, "little")
    return bytes(content)


def _twice(sheet):
    sheet.cell(1, 40).value = "关区代码"


def _far(sheet):
    sheet.cell(2, 150).value = "x"


def another_workbook():
    book = openpyxl.Workbook()
    book.active.append(["姓名", "电话"])
    saved = io.BytesIO()
    book.save(saved)
    return saved.getvalue()


SHEET_XML = "xl/worksheets/sheet1.xml"


def inside(more, rows=None):
    """A workbook with something more among its rows."""
    return repacked(
        made(filing_rows() if rows is None else rows), part(SHEET_XML, lambda data: data.replace(b"</sheetData>", more + b"</sheetData>"))
    )


def behind(more, rows):
    """A workbook with something more behind its rows."""
    return repacked(made(rows), part(SHEET_XML, lambda data: data.replace(b"</sheetData>", b"</sheetData>" + more)))


def renamed(old, new, change=lambda data: data):
    """A workbook with a part under another name, which content types and relations give."""
    source = made(filing_rows())
    with zipfile.ZipFile(io.BytesIO(source)) as archive:
        held = archive.read(old)

    def named(name, data):
        if name == old:
            return None
        if name in ("[Content_Types].xml", "xl/_rels/workbook.xml.rels", "_rels/.rels"):
            return data.replace(old.encode(), new.encode()).replace(old[3:].encode(), new[3:].encode())
        return data

    return repacked(source, named, {new: change(held)})


def with_strings_elsewhere():
    """A workbook whose content types name another part for its strings."""
    kind = b'<Override PartName="/xl/s.bin" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/>'
    types = part(
        "[Content_Types].xml",
        lambda data: re.sub(rb"<Override[^>]*sharedStrings[^>]*>", b"", data).replace(b"</Types>", kind + b"</Types>"),
    )
    return repacked(made(filing_rows()), types, {"xl/s.bin": DOCTYPE + b"<sst/>"})


def packed_otherwise(method):
    """A workbook whose last part is packed by a method that Excel does not have."""
    kept = io.BytesIO(made(filing_rows()))
    with zipfile.ZipFile(kept, "a", method) as archive:
        archive.writestr("docProps/custom.xml", b"<a/>")
    return kept.getvalue()


def torn():
    """A workbook with one of its parts overwritten in the zip."""
    content = bytearray(made(filing_rows()))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        at = archive.getinfo(SHEET_XML).header_offset + 30 + len(SHEET_XML)
    content[at + 5 : at + 60] = b"\xff" * 55
    return bytes(content)


DOCTYPE = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
REFUSED = {
    "broken in the middle": (lambda: made(filing_rows())[:4000], "已损坏"),
    "zip of something else": (lambda: repacked(made(filing_rows()), lambda name, data: None, {"a.txt": b"a"}), "已损坏"),
    "a part that is no XML": (lambda: repacked(made(filing_rows()), part("xl/worksheets/sheet1.xml", lambda data: data[:-20])), "已损坏"),
    "a part in another encoding than it says": (
        lambda: repacked(
            made(filing_rows()),
            part("xl/worksheets/sheet1.xml", lambda data: data.replace(b"</worksheet>", b"<!-- \xc1\xc9 --></worksheet>")),
        ),
        "已损坏",
    ),
    "rows out of order": (
        lambda: repacked(
            made(filing_rows() * 2), part("xl/worksheets/sheet1.xml", lambda data: data.replace(b'<row r="3"', b'<row r="1"'))
        ),
        "已损坏",
    ),
    "a cell at no place": (
        lambda: repacked(made(filing_rows()), part("xl/worksheets/sheet1.xml", lambda data: re.sub(rb'<c r="B2"', b'<c r="22B"', data))),
        "已损坏",
    ),
    "macros inside": (lambda: repacked(made(filing_rows()), lambda name, data: data, {"xl/vbaProject.bin": b"x"}), "含有宏"),
    "entities in the sheet": (
        lambda: repacked(
            made(filing_rows()), part("xl/worksheets/sheet1.xml", lambda data: data.replace(b"<worksheet", DOCTYPE + b"<worksheet", 1))
        ),
        "实体定义",
    ),
    "entities in the strings": (
        lambda: repacked(made(filing_rows()), lambda name, data: data, {"xl/sharedStrings.xml": DOCTYPE + b"<sst/>"}),
        "实体定义",
    ),
    "entities in UTF-16": (
        lambda: repacked(
            made(filing_rows()),
            part("xl/styles.xml", lambda data: (DOCTYPE + b"<styleSheet/>").decode().encode("utf-16")),
        ),
        "实体定义",
    ),
    "a zip bomb": (lambda: bomb(2**20, 3 * 1024**3), "解压后超过"),
    "a zip bomb that lies": (lambda: bomb(64 * 2**20, 1000), "已损坏"),
    "endless parts": (lambda: repacked(made(filing_rows()), lambda name, data: data, {f"x/{n}": b"" for n in range(2001)}), "部件过多"),
    "huge styles": (
        lambda: repacked(made(filing_rows()), part("xl/styles.xml", lambda data: data + b" " * (6 * 1024 * 1024))),
        "样式或结构信息过大",
    ),
    "another workbook": (another_workbook, "没有找到“申报单”工作表"),
    "headings and nothing else": (lambda: made([]), "列名下面没有数据"),
    "a column missing": (lambda: made(filing_rows(), lambda sheet: sheet.delete_cols(4)), "缺少列"),
    "a column twice": (lambda: made(filing_rows(), lambda sheet: sheet.insert_cols(60) or _twice(sheet)), "不止一次"),
    "too many columns": (lambda: made(filing_rows(), _far), "超过 100 列"),
    "a row beyond Excel's last": (lambda: inside(b'<row r="999999999"><c r="A9"><v>1</v></c></row>'), "已损坏"),
    "a column beyond Excel's last": (lambda: inside(b'<row r="9"><c r="XFE9"><v>1</v></c></row>'), "已损坏"),
    "cells without places beyond Excel's last": (lambda: inside(b'<row r="9">' + b"<c/>" * 16_385 + b"</row>"), "已损坏"),
    "rows and rows with nothing in them": (lambda: inside(b'<row ht="9"/>' * 200_001), "行过多"),
    "elements that are kept to the end": (lambda: inside(b"<x/>" * 250_001), "内部结构过于庞大"),
    "elements kept within one row": (lambda: inside(b'<row r="9">' + b"<x/>" * 250_001 + b"</row>"), "内部结构过于庞大"),
    "a formula longer than Excel's": (
        lambda: inside(b'<row r="9"><c r="A9"><f t="shared" si="0">' + b"1+" * 4097 + b"</f></c></row>"),
        "已损坏",
    ),
    "merged cells by the ten thousand": (
        lambda: behind(b"<mergeCells>" + b'<mergeCell ref="A2:B3"/>' * 10_001 + b"</mergeCells>", filing_rows()),
        "合并单元格过多",
    ),
    "the workbook under another name": (
        lambda: repacked(renamed("xl/workbook.xml", "xl/wb.bin"), lambda name, data: data, {"xl/workbook.xml": b"<a/>"}),
        "结构与 Excel 保存的不同",
    ),
    "the sheet under another name": (
        lambda: renamed(SHEET_XML, "xl/data.bin", lambda data: data.replace(b"<worksheet", DOCTYPE + b"<worksheet", 1)),
        "结构与 Excel 保存的不同",
    ),
    "the strings under another name": (with_strings_elsewhere, "结构与 Excel 保存的不同"),
    "a sheet that is called a chart": (
        lambda: repacked(
            made(filing_rows()),
            part("xl/_rels/workbook.xml.rels", lambda data: data.replace(b"relationships/worksheet", b"relationships/chartsheet")),
        ),
        "结构与 Excel 保存的不同",
    ),
    "huge structure with a large ending": (
        lambda: repacked(made(filing_rows()), lambda name, data: data, {"xl/x.XML": b"<a/>" + b" " * (6 * 1024 * 1024)}),
        "样式或结构信息过大",
    ),
    "huge structure with any ending": (
        lambda: repacked(made(filing_rows()), lambda name, data: data, {"xl/x.bin": b"<a/>" + b" " * (6 * 1024 * 1024)}),
        "样式或结构信息过大",
    ),
    "packed in a way that asks for memory": (lambda: packed_otherwise(zipfile.ZIP_LZMA), "已损坏"),
    "torn in the middle": (torn, "已损坏"),
}


@pytest.mark.parametrize(("content", "text"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_is_refused_and_said(operator_client, operator, content, text):
    one = imported(operator, content())
    assert (one.state, one.filings.count(), one.is_working) == ("refused", 0, False)
    assert text in one.refusal
    page = operator_client.get(f"/smartgate/import/{one.pk}/")
    assert text in page.content.decode()
    assert "下载错误文件" not in page.content.decode()


def test_links_to_other_files_are_not_followed(operator):
    more = {"xl/externalLinks/externalLink1.xml": b"<externalLink/>"}
    one = imported(operator, repacked(made(filing_rows()), lambda name, data: data, more))
    assert one.good_count == 1
    assert any("到其他文件的链接" in note for note in one.notes)


def many_rows(count):
    """A workbook of `count` rows with one cell each."""
    rows = "".join(f'<row r="{n}"><c r="B{n}" t="inlineStr"><is><t>0908</t></is></c></row>' for n in range(2, count + 2))
    return repacked(made([]), part("xl/worksheets/sheet1.xml", lambda data: data.replace(b"</sheetData>", rows.encode() + b"</sheetData>")))


def test_a_hundred_thousand_rows_are_refused_in_bounded_memory():
    """Looked over and opened; the rows are counted until there are too many, and none of them is kept."""
    content = many_rows(100_000)
    tracemalloc.start()
    try:
        with pytest.raises(workbook.WorkbookRefused, match="最多导入 10000 行"), workbook.opened(content) as sheet:
            for _row in sheet.rows():
                pass
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60 * 1024 * 1024, peak


def test_a_bomb_takes_no_memory():
    content = bomb(2**20, 3 * 1024**3)
    tracemalloc.start()
    try:
        with pytest.raises(workbook.WorkbookRefused, match="解压后超过"):
            workbook.look_over(content)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(content) + 1024 * 1024


def test_strings_that_look_like_formulas_are_text(operator):
    one = imported(operator, made(filing_rows({"remark": "+86 13904110000"})))
    assert (problems_in(one), one.filings.get().contents["header"]["remark"]) == ([], "+86 13904110000")


def test_a_large_picture_is_no_structure(operator):
    content = repacked(made(filing_rows()), lambda name, data: data, {"xl/media/image1.png": b" " * (6 * 1024 * 1024)})
    assert imported(operator, content).good_count == 1


def test_rows_with_a_format_at_the_far_end_are_as_wide_as_what_is_in_them(monkeypatch):
    """Sixteen thousand cells for each of a million rows were asked one by one whether they are empty."""
    rows = b"".join(b'<row r="%d"><c r="XFD%d" s="1"/></row>' % (n, n) for n in range(3, 1003))
    asked = mock.Mock(wraps=workbook.is_empty)
    monkeypatch.setattr(workbook, "is_empty", asked)
    with workbook.opened(inside(rows)) as sheet:
        assert [number for number, _cells in sheet.rows()] == [2]
    assert asked.call_count < 1000 * workbook.MOST_COLUMNS


def test_rows_that_the_file_skips_cost_next_to_nothing(monkeypatch):
    """A stray cell in Excel's last row: a million rows to openpyxl, each the same."""
    last = workbook.LAST_ROW
    asked = mock.Mock(wraps=workbook.is_empty)
    monkeypatch.setattr(workbook, "is_empty", asked)
    with workbook.opened(inside(f'<row r="{last}"><c r="A{last}"><v>1</v></c></row>'.encode())) as sheet:
        assert [number for number, _cells in sheet.rows()] == [2, last]
    assert asked.call_count < 1000


def test_cells_out_of_their_order_are_read():
    """openpyxl takes a row for as wide as its last cell."""
    with workbook.opened(inside(b'<row r="3"><c r="D3"><v>7</v></c><c r="A3"><v>1</v></c></row>')) as sheet:
        assert [(cells[0].value, cells[3].value) for number, cells in sheet.rows() if number == 3] == [(1, 7)]


def test_merged_cells_one_over_the_other_are_told_once_a_row(operator):
    rows = [row for _number in range(30) for row in filing_rows()]
    merged = b"".join(b'<mergeCell ref="A%d:Z40"/>' % (n % 20 + 2) for n in range(1000))
    one = imported(operator, behind(b"<mergeCells>" + merged + b"</mergeCells>", rows))
    assert [(row, heading) for row, heading, _message in problems_in(one)] == [(row, "") for row in range(2, 32)]


def test_the_same_mistake_all_over_a_sheet_is_told_once(operator, monkeypatch):
    monkeypatch.setattr(services, "MOST_PROBLEMS", 3)
    one = imported(operator, made([row for _number in range(5) for row in filing_rows({"customs_code": "9999"})]))
    assert (one.state, one.filings.count()) == ("refused", 0)
    assert "错误超过 3 处" in one.refusal
    assert "第 2 行“关区代码”：代码“9999”不在关区代码表中" in one.refusal


def test_a_string_of_a_megabyte_is_not_quoted(operator):
    """One string of the file, named in every cell: each error would quote it."""

    def change(sheet):
        sheet.cell(2, PLACES[False, "customs_code"] + 1).value = "9" * 30_000
        sheet.cell(2, 1).value = "序" * 30_000
        sheet.cell(2, PLACES[False, "bind_key_info"] + 1).value = "辽" * 1500

    problems = problems_in(imported(operator, made(filing_rows(), change)))
    assert {heading for _row, heading, _message in problems} == {"", "关区代码", "绑定介质关键信息"}
    assert "单元格内容过长，有 30000 个字。" in {message for _row, _heading, message in problems}
    assert max(len(message) for _row, _heading, message in problems) <= 300


def clock(monkeypatch, seconds):
    """Every look at the clock is so many seconds after the last."""
    times = iter(range(0, 1_000_000, seconds))
    monkeypatch.setattr(services, "time", SimpleNamespace(monotonic=lambda: next(times)))


def test_who_is_still_reading_keeps_the_import(operator, monkeypatch):
    """Marking writes nothing to the database for half a minute, and on a busy machine for longer than a lease."""
    content = made([row for _number in range(4) for row in filing_rows({"customs_code": "9999"})])
    clock(monkeypatch, 61)
    with mock.patch.object(services, "_update", wraps=services._update) as update:
        one = imported(operator, content)
    assert one.state == "checked"
    # Once to begin with, once for what another left, once for the portion; and then for each row, twice.
    assert update.call_count == 3 + 2 * 4


def test_a_check_without_end_is_ended(operator, monkeypatch):
    clock(monkeypatch, 601)
    one = imported(operator, made(filing_rows()))
    assert (one.state, one.is_working) == ("refused", False)
    assert "检查用了 10 分钟还没有完成" in one.refusal
