"""Reading workbooks that anybody may have made (`architecture.md` §4.6): looked over before openpyxl opens them, read row by row after.

Nothing is evaluated, fetched or unpacked to disk. What openpyxl would hold in memory (strings, styles) and the time it would take (rows
that a file skips are rows to openpyxl) are bounded by what the zip's directory and a first pass with expat say; the sheet itself is
streamed. openpyxl finds its parts by content types and relations, the first pass by names: both have to mean the same (docs/adr/0115).
"""

import io
import posixpath
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

import openpyxl
from django.utils.translation import gettext as _
from openpyxl.utils import column_index_from_string, range_boundaries
from openpyxl.xml.constants import SHARED_STRINGS, SHEET_MAIN_NS, XLSM, XLSX, XLTM, XLTX

from smartgate.importing.columns import CODES_SHEET, ERRORS, GROUP, NOTES_SHEET, SHEET, columns, plain_heading

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
#: Rows that a sheet lists, empty ones too: openpyxl keeps the height and the format of each.
MOST_LISTED: Final = 20 * MOST_ROWS
#: Excel's own bounds of a sheet, and of a formula. openpyxl gives a row for every number up to the last.
LAST_ROW: Final = 1_048_576
LAST_COLUMN: Final = 16_384
LONGEST_FORMULA: Final = 8192
#: Elements that openpyxl holds at a time: those of a row and those outside of all rows (merged cells, links, lists). Some 100 MB.
MOST_HELD: Final = 250_000
#: Of a heading and of a sheet's name; Excel's names have 31 characters.
LONGEST_NAME: Final = 100
_CHUNK: Final = 256 * 1024
_DIRECTORY_ENTRY: Final = b"PK\x01\x02"
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORKBOOK: Final = "xl/workbook.xml"
_STRINGS: Final = "xl/sharedStrings.xml"
_SHEET_PART: Final = re.compile(r"xl/(?:work|dialog|macro)sheets/[^/]+\.xml")
_CHART_PART: Final = re.compile(r"xl/chartsheets/[^/]+\.xml")
_REFERENCE: Final = re.compile(r"([A-Za-z]{1,3})[0-9]{1,7}")
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
    rows: int = 0
    last_row: int = 0
    #: The last column that has something in it, from 1.
    widest: int = 0


@dataclass(slots=True)
class Sheet:
    """The sheet of filings: its headings, and its rows to be read once."""

    sheet: Any
    headings: list[str]
    #: Rows with merged cells, from first to last, with the cells; in order, and no row twice.
    merged: list[tuple[int, int, str]]
    notes: list[str]
    #: Cells of each row, headings or none.
    widest: int
    #: Called for every row: whoever holds the import says that he is still at it.
    alive: Callable[[], None]

    def rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        """Number and cells (`widest` of them) of each row below the headings that has something in it. Raises WorkbookRefused."""
        count, nothing = 0, None
        for number, cells in _rows(self.sheet, self.widest):
            # All rows that the file skips are one and the same to openpyxl; there may be a million.
            if number == 1 or cells is nothing:
                continue
            self.alive()
            if all(is_empty(cell) for cell in cells):
                nothing = cells
                continue
            count += 1
            if count > MOST_ROWS:
                raise WorkbookRefused(_("一次最多导入 %(most)s 行，该文件超过了。请拆成几个文件分别导入。") % {"most": MOST_ROWS})
            yield number, cells


def is_empty(cell: Any) -> bool:
    """Whether there is nothing in the cell but blanks."""
    value = None if cell is None else cell.value
    return value is None or (isinstance(value, str) and not value.strip())


@contextmanager
def opened(content: bytes, alive: Callable[[], None] = lambda: None) -> Iterator[Sheet]:
    """The sheet of filings in a workbook. Raises WorkbookRefused, also while rows are read; and whatever `alive` raises."""
    found, notes = look_over(content)
    try:
        with warnings.catch_warnings():
            # openpyxl warns of what it does not read: extensions, pictures, links.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=False, keep_links=False)
    except Exception as error:
        raise WorkbookRefused(broken()) from error
    try:
        sheet, headings, others = _sheet_of(book, found)
        about = _about(sheet, found)
        if about.widest > MOST_COLUMNS:
            raise WorkbookRefused(_("工作表超过 %(most)s 列，没有读取。请删除多余的列。") % {"most": MOST_COLUMNS})
        if len(about.merged) > MOST_ROWS:
            raise WorkbookRefused(_("工作表中的合并单元格过多，没有读取。请取消全部合并，每行都填写。"))
        if others:
            notes.append(
                _("读取的是工作表“%(sheet)s”；%(others)s也有模板的列，没有读取。请核对要导入的数据是否都在“%(sheet)s”中。")
                % {"sheet": _name(sheet), "others": _("、").join(_("“%(name)s”") % {"name": name} for name in others)}
            )
        elif _name(sheet) != SHEET:
            notes.append(_("读取的是工作表“%(sheet)s”。") % {"sheet": _name(sheet)})
        if about.hidden:
            notes.append(_("第 %(rows)s 行是隐藏行，也已一并读取。") % {"rows": some(about.hidden)})
        yield Sheet(sheet, headings, _apart(about.merged), notes, about.widest, alive)
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
            _check_names(archive)
            found: dict[str, Found] = {}
            for part in parts:
                if _is_scanned(part.filename):
                    found[part.filename] = _scan(archive, part)
                elif part.filename.lower().endswith((".xml", ".rels", ".vml")):
                    _walk(archive, part)
    except WorkbookRefused:
        raise
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, LookupError, OSError, ValueError, RuntimeError) as error:
        raise WorkbookRefused(broken()) from error
    return found, notes


def _is_scanned(name: str) -> bool:
    return name == _STRINGS or _SHEET_PART.fullmatch(name) is not None


def _check_parts(parts: Sequence[zipfile.ZipInfo]) -> list[str]:
    names = [part.filename for part in parts]
    if any(part.flag_bits & 1 for part in parts):
        raise WorkbookRefused(_("该文件设有打开密码，不能读取。请取消密码后再上传。"))
    if "[Content_Types].xml" not in names or _WORKBOOK not in names:
        raise WorkbookRefused(broken())
    # Others ask for memory by what they say of themselves; nobody writes workbooks so.
    if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
        raise WorkbookRefused(broken())
    if sum(part.file_size for part in parts) > MOST_UNPACKED:
        raise WorkbookRefused(
            _("文件解压后超过 %(most)s MB，没有读取。请删除多余的工作表、图片和格式，或拆成几个文件。")
            % {"most": MOST_UNPACKED // 1024 // 1024}
        )
    for part in parts:
        # Pictures are never opened; sheets and strings are read row by row. All else openpyxl may take as a whole.
        if part.file_size > MOST_WHOLE and not _is_scanned(part.filename) and not part.filename.startswith("xl/media/"):
            raise WorkbookRefused(_("文件中的样式或结构信息过大，没有读取。请把数据复制到新下载的模板中再上传。"))
    if any(name.lower().endswith("vbaproject.bin") for name in names):
        raise WorkbookRefused(_("该文件含有宏，不能导入。请另存为“Excel 工作簿（*.xlsx）”后再上传。"))
    return [_("文件中含有到其他文件的链接，没有读取。")] if any(name.startswith("xl/externalLinks/") for name in names) else []


def _check_names(archive: zipfile.ZipFile) -> None:
    """Whether openpyxl, which goes by content types and relations, will read workbook, strings and sheets where they are looked over."""
    usual = {**dict.fromkeys((XLSX, XLSM, XLTX, XLTM), f"/{_WORKBOOK}"), SHARED_STRINGS: f"/{_STRINGS}"}
    types = [(one.get("ContentType", ""), one.get("PartName", "")) for one in _elements(archive, "[Content_Types].xml", "Override")]
    is_usual = all(usual.get(kind, name) == name for kind, name in types)
    sheets = {value for one in _elements(archive, _WORKBOOK, "sheet") for key, value in one.items() if key.rpartition("}")[2] == "id"}
    for one in _elements(archive, "xl/_rels/workbook.xml.rels", "Relationship"):
        if one.get("Id") not in sheets:
            continue
        target = one.get("Target", "")
        target = target[1:] if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))
        # What is called a chart openpyxl parses as a whole.
        allowed = _CHART_PART if "chartsheet" in one.get("Type", "") else _SHEET_PART
        is_usual = is_usual and one.get("TargetMode") != "External" and allowed.fullmatch(target) is not None
    if not is_usual:
        raise WorkbookRefused(_("文件内部的结构与 Excel 保存的不同，没有读取。请在 Excel 中打开，另存为“Excel 工作簿（*.xlsx）”后再上传。"))


def _elements(archive: zipfile.ZipFile, name: str, wanted: str) -> list[dict[str, str]]:
    """The attributes of all elements so called in a part."""
    found: list[dict[str, str]] = []

    def see(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition("}")[2] == wanted:
            found.append(attributes)

    _walk(archive, archive.getinfo(name), lambda parser: setattr(parser, "StartElementHandler", see))
    return found


def _walk(archive: zipfile.ZipFile, part: zipfile.ZipInfo, prepare: Callable[[expat.XMLParserType], None] = lambda parser: None) -> None:
    """Read one XML part to its end: no document type, hence no entities. `prepare` hangs on what is to be looked at."""
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def refuse_doctype(*_about: Any) -> None:
        raise WorkbookRefused(_("文件内部含有实体定义，可能是恶意文件，没有读取。"))

    parser.StartDoctypeDeclHandler = refuse_doctype
    prepare(parser)
    try:
        with archive.open(part) as source:
            while chunk := source.read(_CHUNK):
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise WorkbookRefused(broken()) from error


class _Scan:
    """Looks at a sheet or at the strings: rows in order and where Excel has them, not too many of them, of cells, of what is held."""

    def __init__(self, parser: expat.XMLParserType, *, is_strings: bool) -> None:
        self.found = Found()
        self._parser = parser
        #: openpyxl lets go of what is in it when it ends.
        self._released = f"{SHEET_MAIN_NS}}}{'si' if is_strings else 'row'}"
        self._held = self._held_before = 0
        self._column = self._across = self._formula = 0
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        self._held += 1
        if self._held > MOST_HELD:
            raise WorkbookRefused(_("工作表的内部结构过于庞大，没有读取。请把数据复制到新下载的模板中再上传。"))
        if tag == self._released:
            self._held_before = self._held - 1
        name = tag.rpartition("}")[2]
        if name == "c":
            self._cell(attributes.get("r", ""))
        elif name in ("v", "is", "f"):
            self.found.widest = max(self.found.widest, self._column)
            if name == "f":
                self._formula = 0
                self._parser.CharacterDataHandler = self._measure
        elif name == "si":
            self._count()
        elif name == "row":
            self._row(attributes)
        elif name == "mergeCell" and len(self.found.merged) <= MOST_ROWS:
            self.found.merged.append(attributes.get("ref", ""))

    def _end(self, tag: str) -> None:
        self._parser.CharacterDataHandler = None
        if tag == self._released:
            self._held = self._held_before

    def _measure(self, text: str) -> None:
        self._formula += len(text)
        # openpyxl reads a formula anew for every cell that shares it.
        if self._formula > LONGEST_FORMULA:
            raise WorkbookRefused(broken())

    def _count(self) -> None:
        self.found.cells += 1
        if self.found.cells > MOST_CELLS:
            raise WorkbookRefused(_("工作表的单元格过多（包括只有格式的空单元格），没有读取。请把数据复制到新下载的模板中再上传。"))

    def _cell(self, reference: str) -> None:
        self._count()
        self._across += 1
        if reference:
            place = _REFERENCE.fullmatch(reference)
            if place is None:
                raise WorkbookRefused(broken())
            self._column = column_index_from_string(place[1])
        else:
            self._column += 1
        if max(self._column, self._across) > LAST_COLUMN:
            raise WorkbookRefused(broken())

    def _row(self, attributes: Mapping[str, str]) -> None:
        found = self.found
        number = int(attributes.get("r") or found.last_row + 1)
        if not found.last_row < number <= LAST_ROW:
            raise WorkbookRefused(broken())
        found.rows += 1
        if found.rows > MOST_LISTED:
            raise WorkbookRefused(_("工作表的行过多（包括只有格式的空行），没有读取。请把数据复制到新下载的模板中再上传。"))
        found.last_row = number
        self._column = self._across = 0
        if attributes.get("hidden") in ("1", "true"):
            found.hidden.append(number)


def _scan(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> Found:
    scans: list[_Scan] = []
    _walk(archive, part, lambda parser: scans.append(_Scan(parser, is_strings=part.filename == _STRINGS)))
    return scans[0].found


def _rows(sheet: Any, widest: int) -> Iterator[tuple[int, Sequence[Any]]]:
    """Every row of a sheet, from the first to the last that it lists, with its number and so many cells."""
    # What the file says of its own size may be wrong, and would cut it short.
    sheet.reset_dimensions()
    try:
        yield from enumerate(sheet.iter_rows(max_col=max(1, min(widest, MOST_COLUMNS))), start=1)
    except Exception as error:
        # openpyxl raises whatever a cell that is none makes it raise.
        raise WorkbookRefused(broken()) from error


def _name(sheet: Any) -> str:
    return str(sheet.title).strip()[:LONGEST_NAME]


def _about(sheet: Any, found: Mapping[str, Found]) -> Found:
    return found.get(str(sheet._worksheet_path), Found())


@dataclass(slots=True)
class _Candidate:
    """A sheet whose first row has some of our headings."""

    sheet: Any
    headings: list[str]
    known: int
    missing: list[str]


def _sheet_of(book: Any, found: Mapping[str, Found]) -> tuple[Any, list[str], list[str]]:
    """The sheet of filings, its headings, and the names of others that look like it and are not read.

    It is the one of the template's name, wherever it stands and whatever others there are; another one only when just one has all columns.
    """
    candidates = [one for sheet in book.worksheets if (one := _candidate(sheet, _about(sheet, found))) is not None]
    if not candidates:
        raise WorkbookRefused(
            _("没有找到“%(sheet)s”工作表：各工作表的第一行都不是模板的列名。请使用“下载模板”得到的文件填写。") % {"sheet": SHEET}
        )
    whole = [one for one in candidates if not one.missing]
    ours = [one for one in whole if _name(one.sheet) == SHEET] or whole
    if len(ours) > 1:
        raise WorkbookRefused(
            _("工作表%(sheets)s都有模板的列，不知道要导入哪一个。请把要导入的工作表改名为“%(sheet)s”，或删除其余的。")
            % {"sheets": _("、").join(_("“%(name)s”") % {"name": _name(one.sheet)} for one in ours[:10]), "sheet": SHEET}
        )
    chosen = ours[0] if ours else max(candidates, key=lambda one: (_name(one.sheet) == SHEET, one.known))
    if chosen.missing:
        raise WorkbookRefused(
            _("工作表“%(sheet)s”缺少列：%(columns)s。列名不能改动，列的顺序可以调换；请对照模板补上。")
            % {"sheet": _name(chosen.sheet), "columns": _("、").join(chosen.missing)}
        )
    wanted, plain = _wanted(), [plain_heading(heading) for heading in chosen.headings]
    twice = sorted({heading for heading, key in zip(chosen.headings, plain, strict=True) if key in wanted and plain.count(key) > 1})
    if twice:
        raise WorkbookRefused(_("列名“%(columns)s”出现了不止一次，请只保留一列。") % {"columns": _("、").join(twice)})
    others = [_name(one.sheet) for one in candidates if one is not chosen and _name(one.sheet) not in (CODES_SHEET, NOTES_SHEET)]
    return chosen.sheet, chosen.headings, others[:10]


def _wanted() -> dict[str, str]:
    return {plain_heading(column.heading): column.heading for column in columns()} | {plain_heading(GROUP): GROUP}


def _candidate(sheet: Any, about: Found) -> _Candidate | None:
    _number, cells = next(_rows(sheet, about.widest), (1, ()))
    headings = ["" if is_empty(cell) else str(cell.value).strip()[:LONGEST_NAME] for cell in cells]
    while headings and not headings[-1]:
        headings.pop()
    wanted, plain = _wanted(), {plain_heading(heading) for heading in headings}
    may_miss = {plain_heading(column.heading) for column in columns() if column.is_tick}
    known = len(plain & wanted.keys())
    missing = [heading for key, heading in wanted.items() if key not in plain and key not in may_miss]
    return _Candidate(sheet, headings, known, missing) if known else None


def unknown_headings(headings: Sequence[str]) -> list[str]:
    """Columns of the user's own, which are not read."""
    known = {plain_heading(column.heading) for column in columns()} | {plain_heading(GROUP), plain_heading(ERRORS)}
    return [heading for heading in headings if heading and plain_heading(heading) not in known]


def _apart(ranges: Sequence[str]) -> list[tuple[int, int, str]]:
    """Rows of merged cells, in order, no row in two of them: ten thousand ranges may each name all rows."""
    apart: list[tuple[int, int, str]] = []
    for first, last, where in sorted((*_rows_of(where), where) for where in ranges):
        begin = max(first, apart[-1][1] + 1) if apart else first
        if begin <= last:
            apart.append((begin, last, where))
    return apart


def _rows_of(where: str) -> tuple[int, int]:
    try:
        _left, top, _right, bottom = range_boundaries(where)
    except ValueError:
        return 0, 0
    return top or 0, bottom or 0


def some(numbers: Sequence[int]) -> str:
    """Numbers as they are told: the first ten, and how many there are."""
    shown = _("、").join(str(number) for number in numbers[:10])
    return shown if len(numbers) <= 10 else _("%(shown)s 等 %(count)s") % {"shown": shown, "count": len(numbers)}
