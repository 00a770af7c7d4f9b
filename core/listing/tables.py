"""Tables of query pages: django-tables2 columns, cells written out in one pass.

Declared as any django-tables2 table. What differs is the way to the page: django-tables2 looks up for every cell anew what
its column's render function takes and which attributes it gets; here that is worked out once a column, and the rows are
joined in Python (`docs/adr/0051-rendering-of-query-pages.md`).
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import django_tables2 as tables
from django.core.exceptions import FieldDoesNotExist
from django.db.models import TextChoices
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django_tables2.rows import BoundRow

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

    def render(self, record: Any) -> str:
        # Not the cell's value: of a field with choices django-tables2 has made the label already.
        code = str(self.accessor.resolve(record))
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
        self,
        *args: Any,
        choices: type[TextChoices],
        colours: Mapping[str, str],
        labels: Mapping[str, str | Promise] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._labels: dict[str, str | Promise] = {**dict(choices.choices), **(labels or {})}
        self._colours = colours

    def render(self, record: Any) -> SafeString:
        state = str(self._raw(record))
        return format_html(
            '<span class="status status-{}"><span class="status-dot"></span>{}</span>',
            self._colours.get(state, "secondary"),
            self._labels.get(state, state),
        )

    def value(self, record: Any) -> str:
        state = str(self._raw(record))
        return str(self._labels.get(state, state))

    def _raw(self, record: Any) -> Any:
        return self.accessor.resolve(record)


class QueryTable(tables.Table):
    """A table of a query page. Columns a user has not chosen otherwise: `default_columns`, or all when it is empty."""

    default_columns: Sequence[str] = ()

    class Meta:
        attrs: Mapping[str, Any] = {}
        orderable = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The rows come as a list, in which django-tables2 finds no model to take the headings from.
        model = self._meta.model
        for column in self.columns if model else ():
            if column.column.verbose_name is None:
                with contextlib.suppress(FieldDoesNotExist):
                    column.column.verbose_name = model._meta.get_field(str(column.accessor)).verbose_name

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
        plan = [
            (_cell_maker(self, column, column.render, column.default, column.link), *_frame(column, number))
            for number, column in enumerate(self.shown)
        ]
        for record in self.data:
            cells = [f"{start}{conditional_escape(make(record))}{end}" for make, start, end in plan]
            # Every part is escaped just above; the frames are ours.
            yield mark_safe("".join(cells)), record  # noqa: S308

    def values(self) -> Iterator[list[Any]]:
        """For each row what an export writes: the shown columns' values without HTML."""
        plan = [_cell_maker(self, column, _value_function(column), None, None) for column in self.shown]
        for record in self.data:
            yield [make(record) for make in plan]


def _value_function(column: Any) -> Callable[..., Any]:
    """What gives a column's value without HTML; where a column says nothing of its own that is what it renders."""
    return column.render if getattr(column.value, "__func__", None) is tables.Column.value else column.value  # type: ignore[no-any-return]


def _cell_maker(table: QueryTable, column: Any, function: Callable[..., Any], default: Any, link: Any) -> Callable[[Any], Any]:
    """What makes of a record the cell of a column, as `BoundRow.get_cell` does.

    A field with choices gives its label, an empty value the default; `function` gets of value, record, column, bound_column,
    bound_row and table what it asks for.
    """
    parameters = inspect.signature(function).parameters.values()
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    names = {parameter.name for parameter in parameters}
    accessor, empty = column.accessor, column.column.empty_values
    # Django looks the label up anew in all the field's choices, translated: not for a function that does not want it.
    label = _label_method(table, accessor) if link or takes_all or "value" in names else ""
    needs_row = link is not None or takes_all or "bound_row" in names
    fixed = {"column": column.column, "bound_column": column, "table": table}
    fixed_wanted = fixed if takes_all else {name: value for name, value in fixed.items() if name in names}

    def make(record: Any) -> Any:
        try:
            value = getattr(record, label)() if label else accessor.resolve(record)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError):
            value = None  # A related record that is not there: the cell is empty.
        if value in empty:
            return default
        offered = {"value": value, "record": record}
        if needs_row:
            offered["bound_row"] = BoundRow(record, table)
        content = function(**(offered if takes_all else {name: offered[name] for name in offered if name in names}), **fixed_wanted)
        return link(content, **offered, **fixed) if link else content

    return make


def _label_method(table: QueryTable, accessor: Any) -> str:
    """Name of `get_FOO_display` when the accessor is a field of the record itself and has choices, else an empty string."""
    model = table._meta.model
    if model is None or not isinstance(accessor, str):
        return ""
    with contextlib.suppress(FieldDoesNotExist):
        if getattr(model._meta.get_field(accessor), "choices", None):
            return f"get_{accessor}_display"
    return ""


def _frame(column: Any, number: int) -> tuple[str, str]:
    # On a phone each row is a card and each cell says what it is; the roles keep it a table for screen readers (forms.css).
    css = column.column.attrs.get("td", {}).get("class", "")
    more = format_html(' class="{}"', css) if css else ""
    label = format_html(' data-label="{}"', column.header)
    # The first cell names its row for a screen reader.
    return (f'<th scope="row" role="rowheader"{label}{more}>', "</th>") if number == 0 else (f'<td role="cell"{label}{more}>', "</td>")
