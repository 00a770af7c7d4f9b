"""A query page over millions of filings, beside the SQL for its rows and beside a stock Django list."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import psycopg2
from django.test.utils import override_settings
from django.urls import reverse
from django.utils.timezone import get_default_timezone, localdate

from benchmarks.measure import in_turns
from benchmarks.report import Row
from benchmarks.visitor import Visitor
from benchmarks.world import World, connection_arguments
from core.listing.keyset import Order, Reach
from smartgate.models import Filing
from smartgate.views import FilingListView

#: The aims of the issue: milliseconds of server time wherever one pages to, queries.
AIM_MS, MOST_QUERIES = 40.0, 8
PAGE = 20
_COLUMNS = "id, trip_no, status, bind_key_info, business_type, customs_code, ie_flag, entered_at"


class Place(StrEnum):
    """Where in the list."""

    FIRST = "first"
    DEEP = "deep"  # behind half a million rows, or behind half of them when there are fewer
    DEEP_BACK = "deep, backwards"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Case:
    """One page to ask for: its conditions as in the URL, its order, where in the list."""

    name: str
    conditions: dict[str, str] = field(default_factory=dict)
    place: Place = Place.FIRST
    ascending: bool = False


def cases(plate: str, trip_no: str) -> list[Case]:
    """Every condition alone, met by many, by few and by none; pairs and more; places; orders."""
    today = localdate()

    def days(first: int, last: int) -> dict[str, str]:
        """From `first` days ago to `last` days ago."""
        return {"entered_at_from": str(today - timedelta(days=first)), "entered_at_to": str(today - timedelta(days=last))}

    return [
        Case("no condition"),
        Case("no condition", place=Place.DEEP),
        Case("no condition", place=Place.DEEP_BACK),
        Case("no condition", place=Place.LAST),
        Case("oldest first", ascending=True),
        Case("oldest first", place=Place.DEEP, ascending=True),
        Case("trip_no: one", {"trip_no": trip_no}),
        Case("trip_no: none", {"trip_no": "0" * 32}),
        Case("status: many", {"status": "departed"}),
        Case("status: many", {"status": "departed"}, place=Place.DEEP),
        Case("status: few", {"status": "relay_failed"}),
        Case("status: few, oldest first", {"status": "locked"}, ascending=True),
        Case("bind_key_type: many", {"bind_key_type": "VN"}),
        Case("bind_key_type: few", {"bind_key_type": "BC"}, place=Place.DEEP),
        Case("bind_key_info: few", {"bind_key_info": plate}),
        Case("bind_key_info: none", {"bind_key_info": "藏Z99999"}),
        Case("business_type: many", {"business_type": "1000000000"}),
        Case("business_type: few", {"business_type": "0000010000"}),
        Case("business_type: none", {"business_type": "1000001000"}),
        Case("customs_code: many", {"customs_code": "0908"}),
        Case("customs_code: few", {"customs_code": "0932"}),
        Case("customs_code: none", {"customs_code": "0919"}),
        Case("ie_flag: many", {"ie_flag": "I"}),
        Case("ie_flag: many", {"ie_flag": "E"}, place=Place.DEEP),
        Case("days: the last week", days(7, 0)),
        Case("days: one day a year ago", days(365, 365)),
        Case("days: one year", days(500, 135), place=Place.DEEP),
        Case("days: one year, oldest first", days(500, 135), place=Place.DEEP, ascending=True),
        Case("days: none", {"entered_at_from": "2001-01-01", "entered_at_to": "2001-12-31"}),
        Case("status + customs: many", {"status": "departed", "customs_code": "0908"}),
        Case("status + customs: few", {"status": "relay_failed", "customs_code": "0932"}),
        Case("status + ie_flag: few", {"status": "locked", "ie_flag": "E"}),
        Case("status + days: none", {"status": "stored", **days(400, 300)}),
        Case("customs + business: few", {"customs_code": "0932", "business_type": "0001000000"}),
        Case("key type + customs: none of many", {"bind_key_type": "IC", "customs_code": "0908"}),
        Case("key type + customs: none of many", {"bind_key_type": "IC", "customs_code": "0901"}, ascending=True),
        Case("status + key type + customs: none", {"status": "departed", "bind_key_type": "IC", "customs_code": "0905"}),
        Case("customs + status + ie_flag + days", {"customs_code": "0917", "status": "rejected", "ie_flag": "E", **days(700, 30)}),
        Case("business + customs + status: few", {"business_type": "0000010000", "customs_code": "0930", "status": "voided"}),
        Case("status + ie_flag + key type: many", {"status": "closed", "ie_flag": "I", "bind_key_type": "VN"}, place=Place.DEEP),
    ]


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure every case."""
    reader = world.reader
    with override_settings(ROOT_URLCONF="benchmarks.urls"), closing(psycopg2.connect(**connection_arguments())) as bare:
        bare.autocommit = True
        visitor = Visitor(reader)
        with bare.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM smartgate_filing WHERE enterprise_id = %s AND deleted_at IS NULL", [reader.enterprise_id])
            (own,) = cursor.fetchone()
            cursor.execute(
                "SELECT bind_key_info, trip_no FROM smartgate_filing WHERE enterprise_id = %s AND bind_key_type = 'VN' LIMIT 1",
                [reader.enterprise_id],
            )
            plate, trip_no = cursor.fetchone()
            rows = [_measured(case, visitor, cursor, reader.enterprise_id, world.scale.rounds) for case in cases(plate, trip_no)]
    notes = [
        f"{world.scale.rows:,} filings, of which {own:,} belong to the enterprise that asks; 20 rows a page",
        "page: the WSGI application, session to rendered bytes. bare: one query for the page's rows by psycopg2, same conditions and",
        "position. stock: ListView and Paginator in the same frame. Wall-clock milliseconds, the three taking turns; page_cpu_ms is the",
        "processor time of the web process among them.",
        f"aim: page_ms at most {AIM_MS:.0f}, at most {MOST_QUERIES} queries",
    ]
    return rows, notes


def _measured(case: Case, visitor: Visitor, cursor: Any, enterprise_id: int, rounds: int) -> Row:
    question = _Question(case, enterprise_id)
    total = question.total(cursor)
    question.go_to(cursor, total)
    page_url, stock_url = question.page_url(), question.stock_url()
    expected = question.bare(cursor)

    def ask_page() -> None:
        visitor.get(page_url)

    ask_page()
    queries = visitor.queries(ask_page)
    body = visitor.get(page_url).decode()
    missing = [row[1] for row in expected if row[1] not in body]
    if missing:
        raise RuntimeError(f"{page_url} does not show {missing}")
    taken = in_turns(
        {"page": ask_page, "bare": lambda: question.bare(cursor), "stock": lambda: visitor.get(stock_url)},
        rounds,
    )
    page, bare, stock = taken["page"], taken["bare"], taken["stock"]
    return {
        "case": f"{case.name} [{case.place.value}]",
        "matching": total,
        "rows": len(expected),
        "queries": queries,
        "page_ms": round(page.median, 2),
        "page_p95_ms": round(page.p95, 2),
        "page_best_ms": round(page.best, 2),
        "page_cpu_ms": round(page.processor, 2),
        "bare_ms": round(bare.median, 2),
        "stock_ms": round(stock.median, 2),
        "page/bare": round(page.median / bare.median, 1),
        "stock/page": round(stock.median / page.median, 2),
        "in_aim": page.median <= AIM_MS and queries <= MOST_QUERIES,
    }


class _Question:
    """A case as the three who are asked understand it."""

    def __init__(self, case: Case, enterprise_id: int) -> None:
        self._case = case
        self._where = ["enterprise_id = %s", "deleted_at IS NULL"]
        self._values: list[Any] = [enterprise_id]
        for condition, value in _sql_conditions(case.conditions):
            self._where.append(condition)
            self._values.append(value)
        self._position: Sequence[Any] = ()
        self._skipped = 0

    def total(self, cursor: Any) -> int:
        """How many rows fit, counted to the end."""
        cursor.execute(f"SELECT count(*) FROM smartgate_filing WHERE {' AND '.join(self._where)}", self._values)
        return int(cursor.fetchone()[0])

    def go_to(self, cursor: Any, total: int) -> None:
        """Find the row that the page begins or ends at, by OFFSET."""
        match self._case.place:
            case Place.FIRST:
                return
            case Place.DEEP | Place.DEEP_BACK:
                self._skipped = min(500_000, total // 2) // PAGE * PAGE
            case Place.LAST:
                self._skipped = max(total - 1, 0) // PAGE * PAGE
        if self._skipped == 0:
            return
        # Going on from the last row of the page before, or back from the first row of the page behind.
        beyond = self._skipped + PAGE if self._case.place is Place.DEEP_BACK else self._skipped - 1
        cursor.execute(
            f"SELECT entered_at, id FROM smartgate_filing WHERE {' AND '.join(self._where)} ORDER BY {self._order()} OFFSET %s LIMIT 1",
            [*self._values, beyond],
        )
        self._position = cursor.fetchone()

    def bare(self, cursor: Any) -> list[Any]:
        """The page's rows and the one behind them, which tells whether there is a next page."""
        where, values = list(self._where), list(self._values)
        backwards = self._case.place is Place.DEEP_BACK
        if self._position:
            where.append(f"(entered_at, id) {'>' if self._case.ascending != backwards else '<'} (%s, %s)")
            values += self._position
        cursor.execute(
            f"SELECT {_COLUMNS} FROM smartgate_filing WHERE {' AND '.join(where)} ORDER BY {self._order(backwards)} LIMIT {PAGE + 1}",
            values,
        )
        return list(cursor.fetchall())[:PAGE]

    def _order(self, backwards: bool = False) -> str:
        return "entered_at, id" if self._case.ascending != backwards else "entered_at DESC, id DESC"

    def page_url(self) -> str:
        """As the page itself links to it."""
        parameters = {**self._case.conditions, **({"sort": "entered_at"} if self._case.ascending else {})}
        if self._position:
            entered_at, pk = self._position
            order = Order(Filing, FilingListView.sortable["entered_at"], descending=not self._case.ascending, scope=FilingListView.page)
            reach = Reach.BEFORE if self._case.place is Place.DEEP_BACK else Reach.AFTER
            parameters[reach.value] = order.cursor(Filing(pk=pk, entered_at=entered_at))
        return f"{reverse('smartgate:list')}?{urlencode(parameters)}"

    def stock_url(self) -> str:
        """The same page by its number."""
        parameters = {**self._case.conditions, **({"sort": "entered_at"} if self._case.ascending else {})}
        if "entered_at_from" in parameters:
            parameters["entered_at_from"] = _start(parameters["entered_at_from"]).isoformat()
            parameters["entered_at_before"] = _start(parameters.pop("entered_at_to"), following=True).isoformat()
        return f"{reverse('bench-stock')}?{urlencode({**parameters, 'page': self._skipped // PAGE + 1})}"


def _sql_conditions(conditions: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for name, value in conditions.items():
        match name:
            case "entered_at_from":
                yield "entered_at >= %s", _start(value)
            case "entered_at_to":
                yield "entered_at < %s", _start(value, following=True)
            case _:
                yield f"{name} = %s", value


def _start(day: str, *, following: bool = False) -> datetime:
    """The first moment of a day, or of the next."""
    return datetime.combine(date.fromisoformat(day) + timedelta(days=following), time.min, tzinfo=get_default_timezone())
