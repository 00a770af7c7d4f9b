"""Brings the versions in the database in line with a list that holds from a day on: set by set, never row by row.

The list is copied into a temporary table, compared with the newest version of each key in one join, and the differences are
written with five statements. `docs/adr/0021` says which differences lead to what, and why.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg2.sql import SQL, Composable, Identifier, Literal

from reference.models import Origin

#: How many of the entries that people keep are named in a report.
NAMED_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Target:
    """A table of versions. `scope` picks the part of it that a list speaks for; all columns but `derived` tell versions apart."""

    table: str
    scope: tuple[tuple[str, int], ...]
    key: tuple[str, ...]
    content: tuple[str, ...]
    derived: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a row to apply, in the order in which it gives them."""
        return (*self.key, *self.content, *self.derived)


def codes_of(table_id: int) -> Target:
    """The codes of one code table."""
    return Target("reference_code", (("table_id", table_id),), ("code",), ("name", "aliases", "extra"), ("initials",))


ELEMENTS = Target("reference_declarationelement", (), ("prefix", "name"), ("required", "position"))


@dataclass(slots=True)
class Changes:
    """What applying a list did. `kept` entries differ from the list and stay, because a person set them."""

    new: int = 0
    changed: int = 0
    ended: int = 0
    unchanged: int = 0
    kept: int = 0
    kept_keys: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.ended)


def apply(target: Target, rows: Iterable[Sequence[str]], *, origin: Origin, starts: date, ends: date) -> Changes:
    """Make `rows` (texts, in the order of `target.columns`, each key once) what holds from `starts` on.

    An entry that is not among the rows ends on the day `ends`; an entry that differs ends on `starts` and goes on as a new version,
    or is corrected in place when its version begins on that very day. Entries of origin `staff` stay as they are.
    Must run inside a transaction that holds the table's lock; raises IntegrityError on a row that the table cannot hold.
    """
    with connection.cursor() as cursor:
        _stage(cursor, target, rows)
        cursor.execute(_plan(target, starts, ends))
        cursor.execute("ANALYZE reference_plan")
        cursor.execute("SELECT action, count(*) FROM reference_plan GROUP BY action")
        counts = dict(cursor.fetchall())
        cursor.execute(
            SQL("SELECT concat_ws(' ', {key}) AS label FROM reference_plan WHERE action = 'kept' ORDER BY label LIMIT {limit}").format(
                key=_list(target.key), limit=Literal(NAMED_AT_MOST)
            )
        )
        kept_keys = [row[0] for row in cursor.fetchall()]
        for actions, statement in _statements(target, origin, starts, ends):
            if not counts.keys().isdisjoint(actions):
                cursor.execute(statement)
        cursor.execute("DROP TABLE reference_staged, reference_plan")
    return Changes(
        new=counts.get("new", 0),
        changed=counts.get("correct", 0) + counts.get("replace", 0),
        ended=counts.get("end", 0) + counts.get("drop", 0),
        unchanged=counts.get("same", 0),
        kept=counts.get("kept", 0),
        kept_keys=kept_keys,
    )


def _list(names: Iterable[str], prefix: str = "") -> Composable:
    return SQL(", ").join(SQL(prefix) + Identifier(name) for name in names)


def _stage(cursor: CursorWrapper, target: Target, rows: Iterable[Sequence[str]]) -> None:
    columns, table = _list(target.columns), Identifier(target.table)
    cursor.execute(SQL("CREATE TEMP TABLE reference_staged ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(columns, table))
    buffer = io.StringIO()
    # In CSV an unquoted empty value is NULL; quoting everything keeps empty texts what they are.
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(rows)
    buffer.seek(0)
    cursor.copy_expert("COPY reference_staged FROM STDIN (FORMAT csv)", buffer)
    # Nobody else collects statistics of a temporary table; without them joins are planned for any number of rows but the right one.
    cursor.execute("ANALYZE reference_staged")


def _plan(target: Target, starts: date, ends: date) -> Composable:
    """What happens to each key. `latest` is its newest version: official data only ever goes on from there."""
    same = SQL(" AND ").join(SQL("s.{0} = l.{0}").format(Identifier(column)) for column in target.content)
    return SQL(
        """
        CREATE TEMP TABLE reference_plan ON COMMIT DROP AS
        WITH latest AS (
            SELECT DISTINCT ON ({key}) id, {key}, {content}, valid_from, valid_to, origin
            FROM {table} {where} ORDER BY {key}, valid_from DESC
        )
        SELECT l.id, {key}, CASE
            WHEN l.id IS NULL THEN 'new'
            WHEN s.{first} IS NULL AND l.valid_to <= {ends} THEN 'past'
            WHEN l.valid_to IS NULL AND {same} THEN 'same'
            WHEN l.origin = {staff} THEN 'kept'
            WHEN s.{first} IS NULL AND l.valid_from < {ends} THEN 'end'
            WHEN s.{first} IS NULL THEN 'drop'
            WHEN l.valid_to <= {starts} THEN 'new'
            WHEN {same} OR l.valid_from >= {starts} THEN 'correct'
            ELSE 'replace'
        END AS action
        FROM reference_staged s FULL JOIN latest l USING ({key})
        """
    ).format(
        key=_list(target.key),
        content=_list(target.content),
        table=Identifier(target.table),
        where=_where(target),
        first=Identifier(target.key[0]),
        same=same,
        staff=Literal(Origin.STAFF.value),
        starts=Literal(starts),
        ends=Literal(ends),
    )


def _where(target: Target) -> Composable:
    if not target.scope:
        return SQL("")
    return SQL("WHERE ") + SQL(" AND ").join(SQL("{} = {}").format(Identifier(name), Literal(value)) for name, value in target.scope)


def _statements(target: Target, origin: Origin, starts: date, ends: date) -> list[tuple[set[str], Composable]]:
    """What writes each action. Old versions make room first: every statement leaves the table without overlaps, as its trigger demands."""
    table = Identifier(target.table)
    own_columns = (*target.content, *target.derived)
    end = SQL("UPDATE {table} t SET valid_to = {day} FROM reference_plan p WHERE p.id = t.id AND p.action = {action}")
    return [
        ({"end"}, end.format(table=table, day=Literal(ends), action=Literal("end"))),
        ({"replace"}, end.format(table=table, day=Literal(starts), action=Literal("replace"))),
        ({"drop"}, SQL("DELETE FROM {table} t USING reference_plan p WHERE p.id = t.id AND p.action = 'drop'").format(table=table)),
        (
            {"correct"},
            SQL(
                "UPDATE {table} t SET {assignments}, valid_to = NULL, origin = {origin} "
                "FROM reference_plan p JOIN reference_staged s USING ({key}) WHERE p.id = t.id AND p.action = 'correct'"
            ).format(
                table=table,
                assignments=SQL(", ").join(SQL("{0} = s.{0}").format(Identifier(column)) for column in own_columns),
                origin=Literal(origin.value),
                key=_list(target.key),
            ),
        ),
        (
            {"new", "replace"},
            SQL(
                "INSERT INTO {table} ({scope_columns}{columns}, valid_from, origin) SELECT {scope_values}{columns}, {starts}, {origin} "
                "FROM reference_staged JOIN reference_plan USING ({key}) WHERE action IN ('new', 'replace')"
            ).format(
                table=table,
                scope_columns=SQL("").join(SQL("{}, ").format(Identifier(name)) for name, _value in target.scope),
                scope_values=SQL("").join(SQL("{}, ").format(Literal(value)) for _name, value in target.scope),
                columns=_list(target.columns),
                starts=Literal(starts),
                origin=Literal(origin.value),
                key=_list(target.key),
            ),
        ),
    ]
