"""Numbers that users see: from database sequences, so that two never get the same and a rollback leaves only a gap.

A sequence is made in the migration of the application that uses it, with `create_sequence`.
"""

import re

from django.db import connection
from django.db.migrations.operations import RunSQL

_NAME = re.compile(r"^[a-z][a-z0-9_]{2,62}$")


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError(f"not a sequence name: {name!r}")
    return name


def create_sequence(name: str) -> RunSQL:
    """The migration operation that makes a sequence (and drops it when reversed)."""
    _checked(name)
    return RunSQL(f"CREATE SEQUENCE {name} AS bigint", f"DROP SEQUENCE {name}")


def next_value(name: str) -> int:
    """The sequence's next value. Raises ProgrammingError when there is no such sequence."""
    return next_values(name, 1)[0]


def next_values(name: str, count: int) -> list[int]:
    """The sequence's next values, as many as asked for, in one question. Raises ProgrammingError when there is no such sequence."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(%s) FROM generate_series(1, %s)", [_checked(name), count])
        return [int(value) for (value,) in cursor.fetchall()]
