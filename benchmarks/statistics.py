"""业务数据统计 over millions of filings, beside a GROUP BY of the days alone and beside one for each table."""

from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg2
from django.urls import reverse
from django.utils.timezone import localdate

from benchmarks.measure import in_turns
from benchmarks.report import Row
from benchmarks.visitor import Visitor
from benchmarks.world import World, connection_arguments
from smartgate.statistics.queries import statistics_for

#: Lengths of the period, in days up to today.
DAYS = (1, 30, 92, 366)
_DAY = "(entered_at AT TIME ZONE 'Asia/Shanghai')::date"
_GROUPS = (_DAY, "customs_code", "business_type", "status", "bind_key_type, bind_key_info")


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure each length."""
    reader = world.reader
    visitor, today = Visitor(reader), localdate()
    rows: list[Row] = []
    with closing(psycopg2.connect(**connection_arguments())) as bare:
        bare.autocommit = True
        with bare.cursor() as cursor:
            for days in DAYS:
                first = today - timedelta(days=days - 1)
                url = f"{reverse('smartgate:statistics')}?entered_at_from={first}&entered_at_to={today}"
                found = statistics_for(reader, first=first, last=today)
                taken = in_turns(
                    {
                        "page": lambda url=url: visitor.get(url),
                        "counted": lambda first=first: statistics_for(reader, first=first, last=today),
                        "bare": lambda first=first: _grouped(cursor, reader.enterprise_id, first, _GROUPS[:1]),
                        "each": lambda first=first: _grouped(cursor, reader.enterprise_id, first, _GROUPS),
                    },
                    world.scale.rounds,
                )
                page = taken["page"]
                rows.append(
                    {
                        "days": days,
                        "filings": found.total,
                        "vehicles": found.vehicle_count,
                        "queries": visitor.queries(lambda url=url: visitor.get(url)),
                        "page_ms": round(page.median, 1),
                        "page_best_ms": round(page.best, 1),
                        "page_cpu_ms": round(page.processor, 1),
                        "counted_ms": round(taken["counted"].median, 1),
                        "bare_ms": round(taken["bare"].median, 1),
                        "five_bare_ms": round(taken["each"].median, 1),
                        "page/five_bare": round(page.median / taken["each"].median, 2),
                    }
                )
    notes = [
        f"{world.scale.rows:,} filings in all, {rows[-1]['filings']:,} of the enterprise's in the longest period",
        "page: the WSGI application, session to rendered bytes. counted: statistics_for alone. bare: GROUP BY day by psycopg2; five_bare:",
        "the same and four more, one for each table. Wall-clock milliseconds, taking turns.",
    ]
    return rows, notes


def _grouped(cursor: Any, enterprise_id: int, first: Any, groups: tuple[str, ...]) -> None:
    for columns in groups:
        cursor.execute(
            f"SELECT {columns}, count(*) FROM smartgate_filing WHERE enterprise_id = %s AND deleted_at IS NULL"
            f" AND entered_at >= %s::timestamp AT TIME ZONE 'Asia/Shanghai' GROUP BY {columns}",
            [enterprise_id, first],
        )
        cursor.fetchall()
