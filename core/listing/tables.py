"""Tables of query pages: django-tables2 columns, cells written out in one pass.

Declared as any django-tables2 table. What differs is the way to the page: django-tables2's own template works out the
attributes of every cell anew and takes ten template nodes for it; here a column's class is worked out once and the rows
are joined in Python (`docs/adr/0051-rendering-of-query-pages.md`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import django_tables2 as tables
from django.db.models import TextChoices
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from core.codes import CodeSource

__all__ = ["CodeColumn", "DayColumn", "MomentColumn", "NumberColumn", "QueryTable", "StateColumn", "TextColumn"]

_NOWRAP = {"td": {"class": "text-nowrap"}}


class TextColumn(tables.Column):
    """A value as it is."""

    def __init__(self, *args: Any, nowrap: bool = False, **kwargs: Any) -> None:
        if nowrap:
            kwargs.setdefault("attrs", _NOWRAP)
        super().__init__(*args, **kwargs)


class CodeColumn(tables.Column):
    """A code with its name: "0908 连大窑湾"; a code that the list does not know (any more) stands alone."""

    def __init__(self, *args: Any, source: CodeSource, show_code: bool = True, **kwargs: Any) -> None:
        kwargs.setdefault("attrs", _NOWRAP)
        super().__init__(*args, **kwargs)
        self._source = source
        self._show_code = show_code

    def __deepcopy__(self, memo: Mapping[int, Any]) -> "CodeColumn":
        # A table copies its columns on every request; the source is shared, and what is remembered must not be.
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__, _known={})
        return copy

    _known: dict[str, str]

    def render(self, value: Any) -> str:
        code = str(value)
        if code not in self._known:
            option = self._source.get(code)
            self._known[code] = code if option is None else str(option) if self._show_code else option.name
        return self._known[code]


class MomentColumn(tables.Column):
    """A moment in the portal's time zone: 2026-11-21 08:05:09."""

    shape = "%Y-%m-%d %H:%M:%S"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("attrs", _NOWRAP)
        super().__init__(*args, **kwargs)

    def render(self, value: date | datetime) -> str:
        return (timezone.localtime(value) if isinstance(value, datetime) else value).strftime(self.shape)


class DayColumn(MomentColumn):
    """The day of a moment, or a day: 2026-11-21."""

    shape = "%Y-%m-%d"


class NumberColumn(tables.Column):
    """A number, right-aligned; goes into a spreadsheet as a number."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("attrs", {"td": {"class": "text-end text-nowrap"}, "th": {"class": "text-end"}})
        super().__init__(*args, **kwargs)

    def render(self, value: Decimal | int) -> str:
        return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"

    def value(self, value: Any) -> Any:
        return value


class StateColumn(tables.Column):
    """A state as a coloured badge. `colours` maps values to Tabler's colour names; others are grey.

    `labels` replaces the choice's label on this page (海关入库成功 is shown as 海关审核通过 in the query, SGW-05).
    """

    def __init__(
        self, *args: Any, choices: type[TextChoices], colours: Mapping[str, str], labels: Mapping[str, str | Promise] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._labels: dict[str, str | Promise] = {**dict(choices.choices), **(labels or {})}
        self._colours = colours

    def render(self, record: Any) -> SafeString:
        state = str(self._raw(record))
        return format_html('<span class="status status-{}">{}</span>', self._colours.get(state, "secondary"), self._labels.get(state, state))

    def value(self, record: Any) -> str:
        state = str(self._raw(record))
        return str(self._labels.get(state, state))

    def _raw(self, record: Any) -> Any:
        # Not the cell's value: django-tables2 has made the choice's own label of it.
        return self.accessor.resolve(record)


class QueryTable(tables.Table):
    """A table of a query page. Columns a user has not chosen otherwise: `default_columns`, or all when it is empty."""

    default_columns: Sequence[str] = ()

    class Meta:
        attrs: Mapping[str, Any] = {}
        orderable = False

    def show_only(self, names: Sequence[str]) -> None:
        """Show just these columns, in the table's own order."""
        self.shown = [column for name, column in self.columns.items() if name in names]

    @cached_property
    def shown(self) -> list[Any]:
        """The columns to show, of django-tables2's BoundColumn."""
        return list(self.columns)

    @classmethod
    def labels(cls) -> dict[str, Any]:
        """All columns' names and headings, in order."""
        return {column.name: column.header for column in cls(data=()).columns}

    def lines(self) -> Iterator[tuple[SafeString, Any]]:
        """For each row its cells as HTML, from `<th scope="row">` to the last `</td>`, and the record they show."""
        frames = [_frame(column, is_first=number == 0) for number, column in enumerate(self.shown)]
        names = [column.name for column in self.shown]
        for row in self.rows:
            cells = [f"{start}{conditional_escape(row.get_cell(name))}{end}" for name, (start, end) in zip(names, frames, strict=True)]
            # Every part is escaped just above; the frames are ours.
            yield mark_safe("".join(cells)), row.record  # noqa: S308

    def values(self) -> Iterator[list[Any]]:
        """For each row what an export writes: the shown columns' values without HTML."""
        names = [column.name for column in self.shown]
        for row in self.rows:
            yield [row.get_cell_value(name) for name in names]


def _frame(column: Any, *, is_first: bool) -> tuple[str, str]:
    css = column.column.attrs.get("td", {}).get("class", "")
    start = format_html(' class="{}"', css) if css else ""
    # The first cell names its row for a screen reader.
    return (f'<th scope="row"{start}>', "</th>") if is_first else (f"<td{start}>", "</td>")
