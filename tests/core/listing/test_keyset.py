"""Paging by position: order, ties, NULLs, exactness, and what is not taken for a cursor."""

import re
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.listing.counting import capped_count
from core.listing.keyset import InvalidCursorError, Order, Position, Reach
from core.models import AuditEntry
from tests.core.listing.audit_list import MOMENT, make_entry

pytestmark = pytest.mark.django_db


def order(field: str, *, descending: bool = False, scope: str = "test") -> Order:
    return Order(AuditEntry, field, descending=descending, scope=scope)


def walk(by: Order, size: int) -> list[int]:
    """Primary keys of all rows, page by page."""
    found: list[int] = []
    page = by.page(AuditEntry.unscoped.all(), size=size)
    found += [row.pk for row in page.rows]
    while page.after:
        page = by.page(AuditEntry.unscoped.all(), size=size, position=by.position(Reach.AFTER, page.after))
        found += [row.pk for row in page.rows]
    return found


def test_rows_that_differ_by_a_microsecond_are_told_apart() -> None:
    rows = [make_entry(None, at=MOMENT + timedelta(microseconds=number)) for number in (3, 1, 2, 1)]
    assert walk(order("at"), 1) == [rows[1].pk, rows[3].pk, rows[2].pk, rows[0].pk]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("descending", [False, True])
def test_rows_without_a_value_are_met_once_at_every_page_size(size: int, descending: bool) -> None:
    for number in (None, 5, None, 5, 7):
        make_entry(None, actor_id=number)
    sign = "-" if descending else ""
    expected = list(AuditEntry.unscoped.order_by(f"{sign}actor_id", f"{sign}id").values_list("pk", flat=True))
    assert walk(order("actor_id", descending=descending), size) == expected


def test_the_primary_key_can_be_the_order() -> None:
    pks = [make_entry(None).pk for _number in range(5)]
    assert walk(order("id", descending=True), 2) == pks[::-1]


def test_a_page_before_which_nothing_is_left_is_filled_up_from_the_start() -> None:
    rows = [make_entry(None, at=MOMENT + timedelta(seconds=number)) for number in range(5)]
    by = order("at")
    page = by.page(AuditEntry.unscoped.all(), size=3, position=by.position(Reach.BEFORE, by.cursor(rows[2])))
    assert [row.pk for row in page.rows] == [row.pk for row in rows[:3]]
    assert page.before is None
    assert page.after is not None


def test_a_page_can_be_had_again_from_its_first_row() -> None:
    rows = [make_entry(None, at=MOMENT + timedelta(seconds=number)) for number in range(5)]
    by = order("at", descending=True)
    page = by.page(AuditEntry.unscoped.all(), size=2)
    make_entry(None, at=MOMENT + timedelta(seconds=9))
    again = by.page(AuditEntry.unscoped.all(), size=2, position=by.position(Reach.FROM, page.anchor or ""))
    assert [row.pk for row in again.rows] == [rows[4].pk, rows[3].pk]


def test_one_row_comparison_and_no_offset() -> None:
    make_entry(None)
    by = order("at", descending=True)
    with CaptureQueriesContext(connection) as captured:
        by.page(AuditEntry.unscoped.all(), size=20, position=Position(Reach.AFTER, MOMENT, 7))
    (query,) = captured.captured_queries
    assert '(U0."at", U0."id") < (' in query["sql"]
    assert 'U0."at" <= ' in query["sql"], "a bound that PostgreSQL can weigh against a condition on the days"
    assert re.search(r'IN \(SELECT U0."id"( AS "pk")? FROM', query["sql"]), "an index alone can say which rows they are"
    assert "LIMIT 21" in query["sql"]
    assert "OFFSET" not in query["sql"]


def test_a_cursor_fits_only_the_order_and_page_that_gave_it() -> None:
    cursor = order("at").cursor(make_entry(None))
    assert order("at").position(Reach.AFTER, cursor).key == MOMENT
    for other in (order("at", descending=True), order("actor_name"), order("at", scope="other")):
        with pytest.raises(InvalidCursorError):
            other.position(Reach.AFTER, cursor)


@pytest.mark.parametrize("field", ["nothing", "before__x"])
def test_a_column_that_is_not_there_is_a_mistake_of_the_programmer(field: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        order(field)


@pytest.mark.parametrize(("rows", "text"), [(0, "共 0 条"), (3, "共 3 条"), (4, "3+ 条")])
def test_a_count_stops_at_its_cap(rows: int, text: str) -> None:
    for _number in range(rows):
        make_entry(None)
    with CaptureQueriesContext(connection) as captured:
        assert str(capped_count(AuditEntry.unscoped.all(), cap=3)) == text
    assert "LIMIT 4" in captured.captured_queries[0]["sql"]
