"""The contents of a version of a filing as its row keeps them (docs/adr/0100): texts as the wire has them, under the fields' names.

What has no value is left out, as on the wire: what is kept and what was sent can be compared, in the database too. Beside these stands
what a user enters and customs is not told: that he vouches for a plate.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from smartgate.messages import HEADER_CONTENTS, LINE_FIELDS, field_values, wire_text
from smartgate.models import Filing, FilingLine

Contents = Mapping[str, Any]

KEPT_HEADER_NAMES = tuple(name for _wire_name, name in HEADER_CONTENTS)
#: Not the number of the line: that is its place.
KEPT_LINE_NAMES = tuple(name for _wire_name, name in LINE_FIELDS if name != "line_no")


def packed(header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Values of the header (操作人员 among them) and of the lines, in order, as a version keeps them."""
    vouched = {"plate_verified": True} if header.get("plate_verified") else {}
    return {"header": _texts(header, KEPT_HEADER_NAMES), "lines": [_texts(line, KEPT_LINE_NAMES) for line in lines], **vouched}


def of_filing(filing: Filing, lines: Iterable[FilingLine]) -> dict[str, Any]:
    """The contents that a filing has."""
    header = {name: getattr(filing, name) for name in (*KEPT_HEADER_NAMES, "plate_verified")}
    return packed(header, [{name: getattr(line, name) for name in KEPT_LINE_NAMES} for line in lines])


def header_of(contents: Contents) -> dict[str, Any]:
    """The header's values by field."""
    values = field_values(Filing, {name: contents["header"].get(name) for name in KEPT_HEADER_NAMES})
    return {**values, "plate_verified": bool(contents.get("plate_verified"))}


def lines_of(contents: Contents) -> list[dict[str, Any]]:
    """Each line's values by field."""
    return [field_values(FilingLine, {name: line.get(name) for name in KEPT_LINE_NAMES}) for line in contents["lines"]]


def told(contents: Contents) -> tuple[Mapping[str, str], Sequence[Mapping[str, str]]]:
    """What customs is told by contents: all but who declares them."""
    return {name: text for name, text in contents["header"].items() if name != "operator"}, contents["lines"]


def as_filing(filing: Filing, contents: Contents, *, version: int) -> tuple[Filing, Sequence[FilingLine]]:
    """The filing as it would be with these contents, for messages, signed texts and rules; nothing of it is stored."""
    changed = copy(filing)
    changed.version = version
    for name, value in header_of(contents).items():
        setattr(changed, name, value)
    lines = [
        FilingLine(enterprise_id=filing.enterprise_id, filing_id=filing.pk, line_no=number, **line)
        for number, line in enumerate(lines_of(contents), start=1)
    ]
    return changed, lines


def _texts(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    texts = {name: wire_text(values[name]) for name in names}
    return {name: text for name, text in texts.items() if text}
