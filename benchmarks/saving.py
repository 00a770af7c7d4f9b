"""Saving a filing with ten lines: by the page, by the service, and as bare INSERTs of the same rows."""

import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Any

import psycopg2
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from psycopg2.extras import Json, execute_values

from benchmarks import filings
from benchmarks.measure import in_turns
from benchmarks.report import Row
from benchmarks.visitor import Visitor
from benchmarks.world import World, connection_arguments
from core.models import AuditEntry
from smartgate import services
from smartgate.forms import FilingLineForm
from smartgate.models import Filing, FilingLine

LINES = 10
PLATE = "吉AA0001"


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure the three; what they write is taken away again."""
    writer = world.writer
    visitor = Visitor(writer)
    path, form = reverse("smartgate:new"), _form()
    with world.cleared(), closing(psycopg2.connect(**connection_arguments())) as bare_connection:
        insert = _bare_insert(filings.saved(writer, PLATE, LINES), bare_connection)
        subjects: dict[str, Callable[[], object]] = {
            "page (POST 暂存)": lambda: visitor.post(path, form),
            "services.save_filing": lambda: filings.saved(writer, PLATE, LINES),
            "bare INSERTs": insert,
        }
        counted = {"bare INSERTs": 5}
        for name in ("page (POST 暂存)", "services.save_filing"):
            subjects[name]()
            with CaptureQueriesContext(connection) as captured:
                subjects[name]()
            # Of a transaction's BEGIN and COMMIT, which the capture counts too, nothing is asked.
            counted[name] = sum(query["sql"] not in ("BEGIN", "COMMIT") for query in captured)
        taken = in_turns(subjects, world.scale.rounds * 2)
    bare = taken["bare INSERTs"].median
    rows = [
        {
            "what": name,
            "queries": counted[name],
            "median_ms": round(timing.median, 2),
            "p95_ms": round(timing.p95, 2),
            "best_ms": round(timing.best, 2),
            "times bare": round(timing.median / bare, 2),
        }
        for name, timing in taken.items()
    ]
    notes = [
        f"one filing, {LINES} lines, one audit entry, into the table of {world.scale.rows:,} filings; one transaction, synchronous commit",
        "bare: two nextval, INSERT of the filing, of all lines in one statement, of the audit entry, by psycopg2 on an open connection",
    ]
    return rows, notes


def _form() -> dict[str, str]:
    """What a browser sends from the entry page."""
    data = {name: str(value) for name, value in filings.HEADER.items()} | {"bind_key_info": PLATE, "lines-count": str(LINES)}
    for number in range(LINES):
        values = asdict(filings.line(number))
        data |= {f"lines-{number}-{name}": "" if values.get(name) is None else str(values[name]) for name in FilingLineForm.base_fields}
    return {**data, **{f"line-{name}": "" for name in FilingLineForm.base_fields}, "line-index": "", "action": "save"}


def _bare_insert(model: Filing, bare_connection: Any) -> Callable[[], None]:
    """What stores the rows of `model` once more, under new numbers, in one transaction."""
    audited = AuditEntry.unscoped.filter(object_type="smartgate.filing", object_id=str(model.pk)).values().get()
    filing = _columns(Filing, Filing.unscoped.filter(pk=model.pk).values().get())
    lines = [_columns(FilingLine, line) for line in FilingLine.unscoped.filter(filing=model).order_by("line_no").values()]
    entry = _columns(AuditEntry, {**audited, "after": Json(audited["after"])})

    def insert() -> None:
        with bare_connection, bare_connection.cursor() as cursor:
            for sequence, column in (
                (services.DATA_CENTER_SEQUENCE, "data_center_no"),
                (services.TRIP_SEQUENCE, "trip_no"),
            ):
                cursor.execute("SELECT nextval(%s)", [sequence])
                filing[column] = filing[column][:4] + f"{cursor.fetchone()[0]:014d}"
            cursor.execute(_statement("smartgate_filing", filing) + " RETURNING id", list(filing.values()))
            (filing_id,) = cursor.fetchone()
            values = [[filing_id if name == "filing_id" else value for name, value in line.items()] for line in lines]
            execute_values(cursor, f"INSERT INTO smartgate_filingline ({', '.join(lines[0])}) VALUES %s", values)
            cursor.execute(_statement("core_auditentry", entry), list({**entry, "object_id": str(filing_id)}.values()))

    return insert


def _columns(model: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """The row's values by column, without its key."""
    columns = {field.attname: field.column for field in model._meta.concrete_fields if not field.primary_key}
    return {columns[name]: str(value) if isinstance(value, uuid.UUID) else value for name, value in values.items() if name in columns}


def _statement(table: str, row: dict[str, Any]) -> str:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})"
