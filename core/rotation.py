"""Changing the keys of encrypted values: everything that is encrypted with an old key is encrypted anew with the first of FIELD_KEYS.

Model fields of `core.fields.EncryptedTextField` are found by introspection; what another package keeps encrypted in a shape of its own
is made known by `register`. Every batch is a transaction of its own over locked rows, in the order of the primary key, and a value that
carries the first key already is left alone: it can be broken off and run again at any time, also while the portal is in use.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import connection, models, transaction

from core.fields import EncryptedTextField, rotated

_BATCH = 500
_registered: list["Values"] = []


@dataclass(frozen=True, slots=True)
class Values:
    """One column with encrypted values. `rotate` gives the stored value anew, or None when it carries the first key already; it raises
    ValueError when no key fits."""

    model: type[models.Model]
    column: str
    rotate: Callable[[Any], Any | None]
    #: What the column takes and gives: text as it is, or JSON.
    is_json: bool = False

    @property
    def label(self) -> str:
        """As it is reported: accounts_user.id_no."""
        return f"{self.model._meta.db_table}.{self.column}"


@dataclass(slots=True)
class Outcome:
    """What became of one column: how many values were encrypted anew, how many carried the first key already, and the primary keys of
    those that no key fits."""

    label: str
    rotated: int = 0
    current: int = 0
    unreadable: list[Any] = field(default_factory=list)


def register(values: Values) -> None:
    """Make a column known that is no EncryptedTextField; for `AppConfig.ready`."""
    if values not in _registered:
        _registered.append(values)


def all_values() -> list[Values]:
    """Every column with encrypted values, in the order of their names."""
    found = [
        Values(model, str(column.column), rotated)
        for model in apps.get_models(include_auto_created=True)
        for column in model._meta.concrete_fields
        if isinstance(column, EncryptedTextField) and not model._meta.proxy and column.model is model
    ]
    return sorted([*found, *_registered], key=lambda values: values.label)


def rotate_all() -> Iterator[Outcome]:
    """Rotate column after column; gives what became of each as soon as it is through."""
    for values in all_values():
        yield rotate(values)


def rotate(values: Values) -> Outcome:
    """Rotate one column."""
    outcome = Outcome(values.label)
    last: Any = None
    while True:
        with transaction.atomic():
            rows = _next_rows(values, last)
            for pk, stored in rows:
                _rotate_one(values, pk, stored, outcome)
        if not rows:
            return outcome
        last = rows[-1][0]


def _rotate_one(values: Values, pk: Any, stored: Any, outcome: Outcome) -> None:
    try:
        anew = values.rotate(stored)
    except ValueError:
        outcome.unreadable.append(pk)
        return
    if anew is None:
        outcome.current += 1
        return
    _store(values, pk, anew)
    outcome.rotated += 1


def _next_rows(values: Values, last: Any) -> list[tuple[Any, Any]]:
    """The next rows that have a value, locked; past the model's own reading, which would decrypt."""
    if values.is_json:
        manager = values.model._base_manager
        rows = manager.select_for_update().order_by("pk")
        rows = rows if last is None else rows.filter(pk__gt=last)
        return list(rows.values_list("pk", values.column)[:_BATCH])
    table, column, pk = _quoted_names(values)
    past = f"AND {pk} > %s" if last is not None else ""
    # Names out of the models' own declarations, quoted; the values are parameters.
    query = f"SELECT {pk}, {column} FROM {table} WHERE {column} <> '' {past} ORDER BY {pk} LIMIT {_BATCH} FOR UPDATE"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(query, [] if last is None else [last])
        return [(row[0], row[1]) for row in cursor.fetchall()]


def _store(values: Values, pk: Any, anew: Any) -> None:
    if values.is_json:
        values.model._base_manager.filter(pk=pk).update(**{values.column: anew})
        return
    table, column, key = _quoted_names(values)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s WHERE {key} = %s", [anew, pk])  # noqa: S608 - as above


def _quoted_names(values: Values) -> tuple[str, str, str]:
    """Table, column and primary key, fit to stand in a statement."""
    meta = values.model._meta
    table, column, key = (connection.ops.quote_name(name) for name in (meta.db_table, values.column, str(meta.pk.column)))
    return table, column, key
