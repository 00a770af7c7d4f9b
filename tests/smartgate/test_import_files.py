"""批量导入: what is no workbook, or was made to harm, is refused in Chinese before it takes room (SGW-10)."""

import io
import re
import tracemalloc
import zipfile

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from smartgate.importing import workbook
from smartgate.importing.models import Import
from tests.smartgate.workbooks import filing_rows, imported, problems_in, repacked
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
