"""打印 of a query page: everything that its conditions find, in its order and columns, as a document (INS-09, SGW-09)."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from core.pdf import Column, Heading, Paragraph, Sheet
from core.text import decimal_text

#: As many rows as are printed at once: some sixty pages, made in a second or two while the user waits.
MOST_ROWS = 2_000
#: A column is as wide as what stands in it, in characters of Chinese, within these bounds; what is longer is broken into lines.
_NARROWEST, _WIDEST = 3.0, 16.0


def too_many() -> str:
    """What is said instead of printing only a part of what was asked for."""
    return _("符合条件的数据超过 %(most)s 条，一次最多打印 %(most)s 条，因此没有打印。请缩小查询条件（例如录入时间）后再打印。") % {
        "most": f"{MOST_ROWS:,}"
    }


def list_sheet(
    *,
    title: str,
    conditions: Sequence[tuple[str, str]],
    order: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[Any]],
    printed_by: str,
    printed_at: datetime,
) -> Sheet:
    """A table of all `rows` under what they were asked for by; `order` says how they are sorted."""
    sheet = Sheet(title=title, printed_by=printed_by, printed_at=printed_at, running_head=title)
    asked = "；".join(f"{label}：{value}" for label, value in conditions) or _("全部")
    sheet.add(
        Heading(title),
        Paragraph(_("查询条件　%(conditions)s") % {"conditions": asked}),
        Paragraph(_("共 %(count)s 条　排序　%(order)s") % {"count": len(rows), "order": order}),
    )
    cells = [[_shown(value) for value in row] for row in rows]
    numbers = [bool(rows) and all(isinstance(row[place], int | Decimal) for row in rows) for place in range(len(headings))]
    widths = [max(_ems(text) for text in texts) for texts in zip(headings, *cells, strict=True)]
    columns = [
        Column(heading, min(max(width + 1, _NARROWEST), _WIDEST), is_number=is_number)
        for heading, width, is_number in zip(headings, widths, numbers, strict=True)
    ]
    sheet.add_table(columns, [(row, "") for row in cells])
    return sheet


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case Decimal():
            return decimal_text(value)
        case _:
            return str(value)


def _ems(text: str) -> float:
    """Width in Chinese characters: two Latin ones are about as wide as one."""
    return sum(1.0 if ord(char) > 0x2E7F else 0.6 for char in text)
