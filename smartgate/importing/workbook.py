"""Reading workbooks that anybody may have made (`architecture.md` §4.6): looked over before openpyxl opens them, read row by row after.

Nothing is evaluated, fetched or unpacked to disk. What openpyxl would hold in memory (strings, styles) is bounded by what the zip's
directory and a first pass with expat say; the sheet itself is streamed.
"""

import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

import openpyxl
from django.utils.translation import gettext as _
from openpyxl.utils import range_boundaries

from smartgate.importing.columns import ERRORS, GROUP, SHEET, columns, plain_heading

#: Fifty days of an enterprise that declares two hundred vehicles a day; the check takes half a minute, one draft a row.
MOST_ROWS: Final = 10_000
#: Ours has 26; a few of the user's own may stand beside them.
MOST_COLUMNS: Final = 100
#: A workbook of MOST_ROWS with a remark of 1000 characters in every row unpacks to some 60 MB.
MOST_UNPACKED: Final = 100 * 1024 * 1024
#: What is parsed as a whole: styles, workbook, relations. Ten thousand cell styles take 2 MB.
MOST_WHOLE: Final = 5 * 1024 * 1024
#: Parts of the zip. Ours has 12, one with pictures and many sheets some hundreds.
MOST_PARTS: Final = 2000
#: Cells of a sheet, and strings of the workbook: MOST_ROWS of MOST_COLUMNS.
MOST_CELLS: Final = MOST_ROWS * MOST_COLUMNS
_CHUNK: Final = 256 * 1024
_DIRECTORY_ENTRY: Final = b"PK\x01\x02"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SHEET_PART: Final = re.compile(r"/?xl/worksheets/[^/]+\.xml")
#: Attribute of ReadOnlyCell.data_type for a formula and for an error such as #N/A.
FORMULA: Final = "f"
ERROR_VALUE: Final = "e"


class WorkbookRefused(Exception):  # noqa: N818 - a decision, not an error of the program
    """The file cannot be read as an import; the text tells the user why and what to do."""


@dataclass(slots=True)
class Found:
    """What the first pass saw in a sheet's part."""

    merged: list[str] = field(default_factory=list)
    hidden: list[int] = field(default_factory=list)
    cells: int = 0
    last_row: int = 0


@dataclass(slots=True)
class Sheet:
    """The sheet of filings: its headings, and its rows to be read once."""

    sheet: Any
    headings: list[str]
    merged: list[tuple[int, int, str]]
    hidden: list[int]
    notes: list[str]
    #: Cells of the longest row read so far, headings or none.
    widest: int = 0

    def rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Number and cells (as many as headings, or more) of each row below them that has something in it. Raises WorkbookRefused."""
        width, count = len(self.headings), 0
        for number, cells in _rows(self.sheet):
            if number == 1 or all(is_empty(cell) for cell in cells):
                continue
            count += 1
            if count > MOST_ROWS:
                raise WorkbookRefused(_("一次最多导入 %(most)s 行，该文件超过了。请拆成几个文件分别导入。") % {"most": MOST_ROWS})
            self.widest = max(self.widest, min(len(cells), MOST_COLUMNS))
            yield number, tuple(cells[:MOST_COLUMNS]) + (None,) * (width - len(cells))


def is_empty(cell: Any) -> bool:
    """Whether there is nothing in the cell but blanks."""
    value = None if cell is None else cell.value
    return value is None or (isinstance(value, str) and not value.strip())


@contextmanager
def opened(content: bytes) -> Iterator[Sheet]:
    """The sheet of filings in a workbook. Raises WorkbookRefused, also while rows are read."""
    found, notes = look_over(content)
    try:
        with warnings.catch_warnings():
            # openpyxl warns of what it does not read: extensions, pictures, links.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=False, keep_links=False)
    except Exception as error:
        raise WorkbookRefused(broken()) from error
    try:
        sheet, headings = _sheet_of(book)
        about = found.get(str(sheet._worksheet_path).removeprefix("/"), Found())
        merged = [(*_rows_of(where), where) for where in about.merged]
        if about.hidden:
            notes.append(_("第 %(rows)s 行是隐藏行，也已一并读取。") % {"rows": _some(about.hidden)})
        yield Sheet(sheet, headings, merged, about.hidden, notes)
    finally:
        book.close()


def kind_refused(name: str, head: bytes, tail: bytes = b"") -> str:
    """Why a file that begins so is no workbook of ours, told by its first bytes; "" when it may be one. Cheap enough for a request."""
    ending = name.rpartition(".")[2].lower()
    save_as = _("请在 Excel 中打开，另存为“Excel 工作簿（*.xlsx）”后再上传。")
    if head.startswith(_OLE):
        # An encrypted workbook is an OLE file with this stream; its name is in UTF-16.
        if "EncryptedPackage".encode("utf-16-le") in head + tail:
            return _("该文件设有打开密码，不能读取。请在 Excel 中取消密码后再上传。")
        return _("该文件是旧版 Excel 格式（.xls）。") + save_as
    if not head.startswith(b"PK"):
        if ending == "csv":
            return _("该文件是 CSV 文本，前导零和中文编码可能已损坏，不能导入。请使用模板填写。")
        return _("该文件不是 Excel 工作簿。") + save_as
    if ending in ("xlsm", "xltm"):
        return _("该文件含有宏（.%(ending)s），不能导入。") % {"ending": ending} + save_as
    return ""


def broken() -> str:
    """What is said of a file that is no whole workbook."""
    return _("文件已损坏或不是 Excel 工作簿（.xlsx），没有读取。请在 Excel 中打开并另存后再上传。")


def look_over(content: bytes) -> tuple[dict[str, Found], list[str]]:
    """What must be known before anything is unpacked: sizes, macros, entities, merged cells. Raises WorkbookRefused.

    Gives what the pass saw in each sheet's part, and notes for the user. zipfile never gives more of a part than its directory says,
    so the sum of those sizes bounds what can come out, whatever the part holds.
    """
    if content.count(_DIRECTORY_ENTRY) > MOST_PARTS:
        raise WorkbookRefused(_("文件内部的部件过多，不是正常的工作簿，没有读取。"))
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = archive.infolist()
            notes = _check_parts(parts)
            found: dict[str, Found] = {}
            for part in parts:
                if part.filename.lower().endswith((".xml", ".rels", ".vml")):
                    found[part.filename.removeprefix("/")] = _scan(archive, part)
    except WorkbookRefused:
        raise
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise WorkbookRefused(broken()) from error
    return found, notes


def _check_parts(parts: Sequence[zipfile.ZipInfo]) -> list[str]:
    names = [part.filename.removeprefix("/") for part in parts]
    if any(part.flag_bits & 1 for part in parts):
        raise WorkbookRefused(_("该文件设有打开密码，不能读取。请取消密码后再上传。"))
    if "[Content_Types].xml" not in names or "xl/workbook.xml" not in names:
        raise WorkbookRefused(broken())
    if sum(part.file_size for part in parts) > MOST_UNPACKED:
        raise WorkbookRefused(
            _("文件解压后超过 %(most)s MB，没有读取。请删除多余的工作表、图片和格式，或拆成几个文件。")
            % {"most": MOST_UNPACKED // 1024 // 1024}
        )
    for part in parts:
        name = part.filename.removeprefix("/")
        is_streamed = _SHEET_PART.fullmatch(name) or name == "xl/sharedStrings.xml" or not name.endswith((".xml", ".rels", ".vml"))
        if part.file_size > MOST_WHOLE and not is_streamed:
            raise WorkbookRefused(_("文件中的样式或结构信息过大，没有读取。请把数据复制到新下载的模板中再上传。"))
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        raise WorkbookRefused(_("该文件含有宏，不能导入。请另存为“Excel 工作簿（*.xlsx）”后再上传。"))
    return [_("文件中含有到其他文件的链接，没有读取。")] if any(name.startswith("xl/externalLinks/") for name in names) else []


def _scan(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Found:
    """Read one XML part to its end: no document type (hence no entities), rows in order, not too many cells."""
    found = Found()
    is_sheet = _SHEET_PART.fullmatch(part.filename.removeprefix("/"))
    is_strings = part.filename.endswith("sharedStrings.xml")
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def refuse_doctype(*_about: Any) -> None:
        raise WorkbookRefused(_("文件内部含有实体定义，可能是恶意文件，没有读取。"))

    def see(tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if name in ("c", "si"):
            found.cells += 1
            if found.cells > MOST_CELLS:
                raise WorkbookRefused(_("工作表的单元格过多（包括只有格式的空单元格），没有读取。请把数据复制到新下载的模板中再上传。"))
        elif name == "row":
            number = int(attributes.get("r") or found.last_row + 1)
            if number <= found.last_row:
                raise WorkbookRefused(broken())
            found.last_row = number
            if attributes.get("hidden") in ("1", "true"):
                found.hidden.append(number)
        elif name == "mergeCell" and len(found.merged) < MOST_ROWS:
            found.merged.append(attributes.get("ref", ""))

    parser.StartDoctypeDeclHandler = refuse_doctype
    if is_sheet or is_strings:
        parser.StartElementHandler = see
    try:
        with archive.open(part) as source:
            while chunk := source.read(_CHUNK):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise WorkbookRefused(broken()) from error
    return found


def _rows(sheet: Any) -> Iterator[tuple[int, Sequence[Any]]]:
    # What the file says of its own size may be wrong, and would cut it short.
    sheet.reset_dimensions()
    try:
        for number, cells in enumerate(sheet.iter_rows(), start=1):
            if any(not is_empty(cell) for cell in cells[MOST_COLUMNS:]):
                raise WorkbookRefused(_("工作表超过 %(most)s 列，没有读取。请删除多余的列。") % {"most": MOST_COLUMNS})
            yield number, cells
    except WorkbookRefused:
        raise
    except Exception as error:
        # openpyxl raises whatever a cell that is none makes it raise.
        raise WorkbookRefused(broken()) from error


def _sheet_of(book: Any) -> tuple[Any, list[str]]:
    """The sheet that has our headings: the one of the template's name, else the first that looks like it."""
    wanted = {plain_heading(column.heading): column.heading for column in columns()} | {plain_heading(GROUP): GROUP}
    best: tuple[int, Any, list[str]] | None = None
    for sheet in sorted(book.worksheets, key=lambda one: one.title != SHEET):
        _number, cells = next(_rows(sheet), (1, ()))
        headings = ["" if is_empty(cell) else str(cell.value).strip() for cell in cells]
        while headings and not headings[-1]:
            headings.pop()
        known = sum(plain_heading(heading) in wanted for heading in headings)
        if known and (best is None or known > best[0]):
            best = (known, sheet, headings)
    if best is None:
        raise WorkbookRefused(
            _("没有找到“%(sheet)s”工作表：各工作表的第一行都不是模板的列名。请使用“下载模板”得到的文件填写。") % {"sheet": SHEET}
        )
    _known, sheet, headings = best
    plain = [plain_heading(heading) for heading in headings]
    may_miss = {plain_heading(column.heading) for column in columns() if column.is_tick}
    missing = [heading for key, heading in wanted.items() if key not in plain and key not in may_miss]
    if missing:
        raise WorkbookRefused(
            _("工作表“%(sheet)s”缺少列：%(columns)s。列名不能改动，列的顺序可以调换；请对照模板补上。")
            % {"sheet": sheet.title, "columns": _("、").join(missing)}
        )
    twice = sorted({heading for heading, key in zip(headings, plain, strict=True) if key in wanted and plain.count(key) > 1})
    if twice:
        raise WorkbookRefused(_("列名“%(columns)s”出现了不止一次，请只保留一列。") % {"columns": _("、").join(twice)})
    return sheet, headings


def unknown_headings(headings: Sequence[str]) -> list[str]:
    """Columns of the user's own, which are not read."""
    known = {plain_heading(column.heading) for column in columns()} | {plain_heading(GROUP), plain_heading(ERRORS)}
    return [heading for heading in headings if heading and plain_heading(heading) not in known]


def _rows_of(where: str) -> tuple[int, int]:
    try:
        _left, top, _right, bottom = range_boundaries(where)
    except ValueError:
        return 0, 0
    return top or 0, bottom or 0


def _some(numbers: Sequence[int]) -> str:
    shown = _("、").join(str(number) for number in numbers[:10])
    return shown if len(numbers) <= 10 else _("%(shown)s 等 %(count)s") % {"shown": shown, "count": len(numbers)}
