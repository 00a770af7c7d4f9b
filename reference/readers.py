"""Official parameter files → rows to store. Reads and checks everything before the database hears of any of it.

What is done to a text: blanks around it go, blanks inside it (also line breaks, control characters and full-width blanks) become
one space. Codes are brought to their plain form as well (NFKC); names keep their full-width brackets, as customs prints them.
"""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.pinyin import initials
from reference.models import ALIAS_SEPARATOR, Code, Content, DeclarationElement
from reference.official import CIQ_CODES, FILES_BY_NAME, HS_CODES, HS_CODES_NAME, FileSpec

CODE_LENGTH = Code._meta.get_field("code").max_length or 0
NAME_LENGTH = Code._meta.get_field("name").max_length or 0
ALIASES_LENGTH = Code._meta.get_field("aliases").max_length or 0
ELEMENT_LENGTH = DeclarationElement._meta.get_field("name").max_length or 0


class CodeFileError(Exception):
    """A file that cannot be loaded: which one, where in it, why. The message is for the operator's terminal."""

    def __init__(self, file: str, reason: str, row: int | None = None) -> None:
        place = f"{file}, row {row}" if row else file
        super().__init__(f"{place}: {reason}")


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One code as a list gives it."""

    code: str
    name: str
    aliases: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()

    def columns(self, known_initials: Mapping[str, str]) -> tuple[str, ...]:
        """Its texts in the order in which `versioning.codes_of` wants them. `known_initials` (name → initials) spares working out
        the pinyin of names that the table has already: of all a load does, that takes longest."""
        aliases = ""
        for alias in self.aliases:
            longer = f"{aliases}{ALIAS_SEPARATOR}{alias}" if aliases else alias
            # One that does not fit is not found by; that is no reason to refuse a file.
            aliases = longer if len(longer) <= ALIASES_LENGTH else aliases
        extra = json.dumps(dict(self.extra), ensure_ascii=False)
        letters = known_initials.get(self.name)
        return self.code, self.name, aliases, extra, initials(self.name)[:NAME_LENGTH] if letters is None else letters


@dataclass(frozen=True, slots=True)
class ElementRow:
    """One declaration element of one HS prefix."""

    prefix: str
    name: str
    required: bool
    position: int

    def columns(self) -> tuple[str, ...]:
        """Its texts in the order in which `versioning.ELEMENTS` wants them."""
        return self.prefix, self.name, "true" if self.required else "false", str(self.position)


@dataclass(slots=True)
class TableData:
    """All entries of one table, as one source gives them. `set_aside` says which rows were left out and why."""

    key: str
    name: str
    source: str
    rows: Sequence[CodeRow] | Sequence[ElementRow]
    content: Content = Content.CODES
    set_aside: list[str] = field(default_factory=list)


@dataclass(slots=True)
class DirectoryData:
    """What a directory holds: tables to load, and JSON files this program has no table for."""

    tables: list[TableData]
    unknown: list[str]


def read_directory(directory: Path) -> DirectoryData:
    """Read every JSON file of a directory; other files are none of its business. Raises CodeFileError."""
    if not directory.is_dir():
        raise CodeFileError(str(directory), "no such directory")
    names = sorted(path.name for path in directory.iterdir() if path.suffix.lower() == ".json" and path.is_file())
    known = [name for name in names if name in FILES_BY_NAME]
    if not known:
        raise CodeFileError(str(directory), "holds no parameter file that is known here")
    tables: dict[str, TableData] = {}
    for name in known:
        for table in _read_file(directory / name, FILES_BY_NAME[name]):
            if table.key in tables:
                raise CodeFileError(name, f"table {table.key} is filled by {tables[table.key].source} already; keep one of the two")
            tables[table.key] = table
    return DirectoryData(tables=list(tables.values()), unknown=[name for name in names if name not in FILES_BY_NAME])


def _read_file(path: Path, spec: FileSpec) -> Iterator[TableData]:
    rows = _load(path)
    if spec.content == Content.ELEMENTS:
        yield TableData(spec.key, spec.name, spec.file, _elements(spec, rows), Content.ELEMENTS)
        return
    codes, set_aside = _codes(spec, rows)
    yield TableData(spec.key, spec.name, spec.file, codes, set_aside=set_aside)
    if spec.key == CIQ_CODES and (hs_codes := derive_hs_codes(codes)):
        yield TableData(HS_CODES, HS_CODES_NAME, spec.file, hs_codes)


def _load(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CodeFileError(path.name, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CodeFileError(path.name, f"is not UTF-8: byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise CodeFileError(path.name, f"is not JSON: {error}") from error
    if not isinstance(content, list):
        raise CodeFileError(path.name, "must be a list of rows")
    if not content:
        # Taken at its word, an empty file would end every code of its table.
        raise CodeFileError(path.name, "holds no rows")
    for number, row in enumerate(content, start=1):
        if not isinstance(row, dict):
            raise CodeFileError(path.name, "must be an object with columns", number)
    return content


def _text(spec: FileSpec, number: int, row: dict[str, Any], column: str) -> str:
    """A column's text without needless blanks; empty when the row does not have it."""
    value = row.get(column)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise CodeFileError(spec.file, f"column {column} must be a text", number)
    text = str(value)
    if not text.isprintable():
        if any(unicodedata.category(char) == "Cs" for char in text):
            raise CodeFileError(spec.file, f"column {column} holds half a character (a lone surrogate)", number)
        text = "".join(" " if unicodedata.category(char) == "Cc" else char for char in text)
    return " ".join(text.split())


def _require_columns(spec: FileSpec, rows: Iterable[dict[str, Any]], columns: Iterable[str]) -> None:
    """A column that no row has was renamed or dropped by the publisher: say that, not that row 1 lacks a text."""
    present = set().union(*(row.keys() for row in rows))
    missing = [column for column in columns if column not in present]
    if missing:
        raise CodeFileError(spec.file, f"has no column {', '.join(missing)}; it has {', '.join(sorted(present)) or 'none'}")


def _codes(spec: FileSpec, rows: list[dict[str, Any]]) -> tuple[list[CodeRow], list[str]]:
    _require_columns(spec, rows, (spec.code_column, *spec.name_columns, *spec.extra, *((spec.preferred_by,) if spec.preferred_by else ())))
    found: dict[str, tuple[int, CodeRow, bool]] = {}
    set_aside: list[str] = []
    for number, row in enumerate(rows, start=1):
        code = unicodedata.normalize("NFKC", _text(spec, number, row, spec.code_column))
        if not code and spec.rows_without_code:
            set_aside.append(f"row {number} has no {spec.code_column}")
            continue
        entry = CodeRow(
            code=code,
            name=_name(spec, number, row, code),
            aliases=_aliases(spec, number, row),
            extra=tuple((key, text) for column, key in spec.extra.items() if (text := _text(spec, number, row, column))),
        )
        _check_lengths(spec, number, entry)
        preferred = bool(spec.preferred_by and _text(spec, number, row, spec.preferred_by))
        if code not in found:
            found[code] = (number, entry, preferred)
            continue
        earlier_number, earlier, earlier_preferred = found[code]
        if earlier == entry:
            continue
        if preferred == earlier_preferred:
            was = f"“{earlier.name}”" if earlier.name != entry.name else "the same with other columns"
            raise CodeFileError(spec.file, f"code {code} is “{entry.name}” here and {was} in row {earlier_number}", number)
        loser_number, loser = (earlier_number, earlier) if preferred else (number, entry)
        set_aside.append(f"row {loser_number}: code {code} “{loser.name}” gives way to the row that has {spec.preferred_by}")
        if preferred:
            found[code] = (number, entry, True)
    return [entry for _number, entry, _preferred in found.values()], set_aside


def _name(spec: FileSpec, number: int, row: dict[str, Any], code: str) -> str:
    if not code:
        raise CodeFileError(spec.file, f"column {spec.code_column} is empty", number)
    for column in spec.name_columns:
        if name := _text(spec, number, row, column):
            return name
    if spec.rows_without_name:
        return code
    raise CodeFileError(spec.file, f"code {code} has no name in {', '.join(spec.name_columns)}", number)


def _aliases(spec: FileSpec, number: int, row: dict[str, Any]) -> tuple[str, ...]:
    texts = (_text(spec, number, row, column) for column in spec.aliases)
    return tuple(dict.fromkeys(text.replace(ALIAS_SEPARATOR, " ") for text in texts if text))


def _check_lengths(spec: FileSpec, number: int, entry: CodeRow) -> None:
    if len(entry.code) > CODE_LENGTH:
        raise CodeFileError(spec.file, f"code {entry.code[:CODE_LENGTH]}… is longer than {CODE_LENGTH} characters", number)
    if len(entry.name) > NAME_LENGTH:
        raise CodeFileError(spec.file, f"the name of code {entry.code} is longer than {NAME_LENGTH} characters", number)


def _elements(spec: FileSpec, rows: list[dict[str, Any]]) -> list[ElementRow]:
    """Elements in the order of the file, counted from 1 within each prefix; `ELEMENT_NULL` is 1 where a text is required."""
    _require_columns(spec, rows, ("CODE_TS", "ELEMENT", "ELEMENT_NULL"))
    found: dict[tuple[str, str], tuple[int, ElementRow]] = {}
    counts: dict[str, int] = defaultdict(int)
    for number, row in enumerate(rows, start=1):
        prefix = unicodedata.normalize("NFKC", _text(spec, number, row, "CODE_TS"))
        name = _text(spec, number, row, "ELEMENT")
        flag = _text(spec, number, row, "ELEMENT_NULL")
        if not (prefix.isascii() and prefix.isdigit() and 4 <= len(prefix) <= 8):
            raise CodeFileError(spec.file, f"CODE_TS “{prefix}” is not 4 to 8 digits", number)
        if not name or len(name) > ELEMENT_LENGTH:
            raise CodeFileError(spec.file, f"ELEMENT of {prefix} must have 1 to {ELEMENT_LENGTH} characters", number)
        if flag not in {"0", "1"}:
            raise CodeFileError(spec.file, f"ELEMENT_NULL of {prefix} {name} is “{flag}”, neither 0 nor 1", number)
        earlier = found.get((prefix, name))
        if earlier is not None:
            if earlier[1].required != (flag == "1"):
                raise CodeFileError(
                    spec.file, f"{prefix} {name} is required in one row and optional in the other, row {earlier[0]}", number
                )
            continue
        counts[prefix] += 1
        found[prefix, name] = (number, ElementRow(prefix, name, flag == "1", counts[prefix]))
    return [entry for _number, entry in found.values()]


def derive_hs_codes(ciq_codes: Iterable[CodeRow]) -> list[CodeRow]:
    """The ten-digit HS codes inside thirteen-digit CIQ codes. A name is what the names of all CIQ codes of an HS code begin with, without
    the bracket in which they part; the first of them where they share nothing."""
    names: dict[str, list[str]] = defaultdict(list)
    for row in ciq_codes:
        if len(row.code) == 13 and row.code.isdigit():
            names[row.code[:10]].append(row.name)
    return [CodeRow(code, _common_name(shared)) for code, shared in names.items()]


def _common_name(names: list[str]) -> str:
    first, last = min(names), max(names)
    parting = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    if parting is None:
        return first
    open_brackets: list[int] = []
    for at, char in enumerate(first[:parting]):
        if char in "(（[〔":
            open_brackets.append(at)
        elif char in ")）]〕" and open_brackets:
            open_brackets.pop()
    return first[: open_brackets[0] if open_brackets else parting].strip() or names[0]
