"""Paging by position instead of by number: `(key, id) > (x, y)` over one index, n + 1 rows, never OFFSET, never a count.

A position is a row's sort key and primary key. Whatever page one is on, the database reads the index from there on, so
the millionth page costs what the first costs. Measured, and why not otherwise: `docs/adr/0050-keyset-paging.md`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from django.core import signing
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Field, Func, QuerySet, Value
from django.db.models.sql.compiler import SQLCompiler


class InvalidCursorError(ValueError):
    """A cursor that this order did not give out: of another page or sort, cut off, or tampered with."""


class Reach(StrEnum):
    """Which rows a cursor stands for; the values are the names of the URL's parameters."""

    AFTER = "after"  # those behind the row
    BEFORE = "before"  # those before the row
    FROM = "from"  # the row itself and those behind it


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the order a page begins or ends. `key` is the value sorted by, None for NULL."""

    reach: Reach
    key: Any
    pk: Any


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one page, and what leads to its neighbours: cursors, or None where there is no neighbour.

    `anchor` is the cursor `from` which exactly this page begins; None when the page is empty.
    """

    rows: Sequence[Any]
    before: str | None
    after: str | None
    anchor: str | None

    @property
    def is_everything(self) -> bool:
        """Whether these rows are all there are."""
        return self.before is None and self.after is None


class _RowCompare(Func):
    """`(a, b) < (x, y)` as PostgreSQL's row comparison, which one index on (a, b) answers; an OR of ANDs would not be."""

    output_field = models.BooleanField()

    def __init__(self, *expressions: Any, operator: str) -> None:
        super().__init__(*expressions, operator=operator)

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        compiled = [compiler.compile(expression) for expression in self.get_source_expressions() if expression is not None]
        half = len(compiled) // 2
        left, right = (", ".join(sql for sql, _params in side) for side in (compiled[:half], compiled[half:]))
        params = [param for _sql, its_params in compiled for param in its_params]
        return f"({left}) {self.extra['operator']} ({right})", params


class Order:
    """One order of one table: by a column of its own, ties by primary key.

    Both go the same way, so one index on (column, id) serves both directions. NULLs stand where PostgreSQL's indexes have
    them: last when ascending, first when descending. `scope` names the page, so that its cursors fit no other.
    Raises ImproperlyConfigured for a column that no index of this table can hold.
    """

    def __init__(self, model: type[models.Model], field_name: str, *, descending: bool, scope: str) -> None:
        try:
            field = model._meta.get_field(field_name)
        except FieldDoesNotExist as missing:
            raise ImproperlyConfigured(f"{model.__name__} cannot be sorted by {field_name!r}: {missing}") from missing
        if not isinstance(field, Field) or field.is_relation:
            raise ImproperlyConfigured(f"{model.__name__} cannot be sorted by {field_name!r}: not a plain column of its own")
        self.field: Field[Any, Any] = field
        self.pk_field: Field[Any, Any] = model._meta.pk
        self.descending = descending
        sign = "-" if descending else ""
        self._signer = signing.Signer(salt=f"core.listing:{scope}:{sign}{field_name}")

    def page(self, queryset: "QuerySet[Any]", *, size: int, position: Position | None = None) -> Page:
        """At most `size` rows of `queryset` from `position`, or from the start when that is None.

        A page before which nothing is left is filled up from the start, so that paging back always ends on a whole first page.
        """
        if position is not None and position.reach is Reach.BEFORE:
            rows = self._scan(queryset, position, ascending=self.descending, limit=size + 1)
            if len(rows) < size:
                return self.page(queryset, size=size)
            has_before, has_after = len(rows) > size, True
            rows = rows[:size][::-1]
        else:
            rows = self._scan(queryset, position, ascending=not self.descending, limit=size + 1)
            has_before, has_after = position is not None, len(rows) > size
            rows = rows[:size]
        return Page(
            rows=rows,
            before=self.cursor(rows[0]) if rows and has_before else None,
            after=self.cursor(rows[-1]) if has_after else None,
            anchor=self.cursor(rows[0]) if rows else None,
        )

    def cursor(self, row: models.Model) -> str:
        """A row's position as text for the URL, exact to the microsecond, signed."""
        key = getattr(row, self.field.attname)
        plain = None if key is None else _as_text(key)
        return self._signer.sign_object([plain, str(row.pk)], serializer=_CompactJSON)

    def position(self, reach: Reach, cursor: str) -> Position:
        """The position a cursor stands for. Raises InvalidCursorError."""
        try:
            key, pk = self._signer.unsign_object(cursor, serializer=_CompactJSON)
            return Position(reach, None if key is None else self.field.to_python(key), self.pk_field.to_python(pk))
        except (signing.BadSignature, ValidationError, ValueError, TypeError) as wrong:
            raise InvalidCursorError(str(wrong)) from wrong

    def _scan(self, queryset: "QuerySet[Any]", position: Position | None, *, ascending: bool, limit: int) -> list[Any]:
        """`limit` rows behind the position in the direction of the scan (at it, too, for Reach.FROM).

        Which rows they are is asked in a subquery that gives primary keys only: an index that holds the conditions' columns
        answers it without a look at the rows that do not fit, however many of them it has to pass (docs/adr/0050).
        """
        names = [self.field.name] if self.field is self.pk_field else [self.field.name, self.pk_field.name]
        ordered = queryset.order_by(*(F(name).asc() if ascending else F(name).desc() for name in names))
        rows: list[Any] = []
        for stretch in self._stretches(ordered, names, position, ascending=ascending):
            if len(rows) < limit:
                rows.extend(ordered.filter(pk__in=stretch.values("pk")[: limit - len(rows)]))
        return rows

    def _stretches(
        self, ordered: "QuerySet[Any]", names: Sequence[str], position: Position | None, *, ascending: bool
    ) -> list["QuerySet[Any]"]:
        """The rows behind the position, as one query or as two.

        The row comparison is all that counts; that the key itself lies no further than the position follows from it and is said
        all the same. PostgreSQL cannot weigh a row comparison against a condition on the key (days from–to): it would enter
        the index at that condition's end and read all the way to the position. Two plain bounds it can weigh.

        Rows with and without NULL are two stretches of the index. A row comparison with NULL is never true, and an OR
        over both stretches would cost the index; so the second is read by a query of its own when the first runs out.
        """
        if position is None:
            return [ordered]
        operator = (">" if ascending else "<") + ("=" if position.reach is Reach.FROM else "")
        if position.key is None:
            beyond = _RowCompare(F(self.pk_field.name), Value(position.pk, output_field=self.pk_field), operator=operator)
            stretches = [ordered.filter(beyond, **{f"{self.field.name}__isnull": True})]
            if not ascending:
                stretches.append(ordered.filter(**{f"{self.field.name}__isnull": False}))
        else:
            values = {
                self.field.name: Value(position.key, output_field=self.field),
                self.pk_field.name: Value(position.pk, output_field=self.pk_field),
            }
            beyond = _RowCompare(*(F(name) for name in names), *(values[name] for name in names), operator=operator)
            stretches = [ordered.filter(beyond, **{f"{self.field.name}__{'gte' if ascending else 'lte'}": position.key})]
            if ascending and self.field.null:
                stretches.append(ordered.filter(**{f"{self.field.name}__isnull": True}))
        return stretches


class _CompactJSON:
    """JSON for cursors; Django's own serialiser would cut times to milliseconds."""

    def dumps(self, obj: Any) -> bytes:
        return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


def _as_text(key: Any) -> str:
    """A sort key as `Field.to_python` reads it back without loss."""
    if isinstance(key, datetime):
        return key.astimezone(UTC).isoformat()
    return str(key)
