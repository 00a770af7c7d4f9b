"""Columns: what they make of values, on the page and in an export."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Enterprise, User
from accounts.rights import Role
from core.codes import ChoicesSource
from core.listing import CodeColumn, DayColumn, MomentColumn, NumberColumn, QueryTable, TextColumn


class UserTable(QueryTable):
    username = TextColumn(linkify=lambda record: f"/users/{record.username}/")
    role = CodeColumn(source=ChoicesSource(Role))
    role_name = CodeColumn(source=ChoicesSource(Role), accessor="role", show_code=False)
    enterprise = TextColumn(accessor="enterprise__name")
    label = TextColumn(accessor="role")

    class Meta(QueryTable.Meta):
        model = User
        fields: tuple[str, ...] = ()


def cells(table: QueryTable) -> list[str]:
    (line,) = [str(html) for html, _record in table.lines()]
    return [cell.split(">", 1)[1] for cell in line.removesuffix("</td>").replace("</th>", "</td>").split("</td>")]


def test_a_code_is_shown_with_its_name_also_where_the_field_has_choices() -> None:
    user = User(username="a<b", role=Role.OPERATOR, enterprise=Enterprise(name="甲&乙"))
    table = UserTable(data=[user])
    assert cells(table) == ['<a href="/users/a&lt;b/">a&lt;b</a>', "operator 操作员", "操作员", "甲&amp;乙", "操作员"]
    assert list(table.values()) == [["a<b", "operator 操作员", "操作员", "甲&乙", "操作员"]]


def test_a_code_the_list_does_not_know_stands_alone_and_what_is_missing_is_a_dash() -> None:
    table = UserTable(data=[User(username="a", role="retired")])
    assert cells(table)[1:] == ["retired", "retired", "—", "retired"]
    assert list(table.values()) == [["a", "retired", "retired", None, "retired"]]


class FigureTable(QueryTable):
    number = NumberColumn()
    moment = MomentColumn()
    day = DayColumn()

    class Meta(QueryTable.Meta):
        pass


@pytest.mark.parametrize(
    ("row", "shown", "exported"),
    [
        (
            {"number": Decimal("1234567.50"), "moment": datetime(2026, 11, 20, 16, 30, 5, tzinfo=UTC), "day": date(2026, 11, 20)},
            ["1,234,567.50", "2026-11-21 00:30:05", "2026-11-20"],
            [Decimal("1234567.50"), "2026-11-21 00:30:05", "2026-11-20"],
        ),
        ({"number": 0, "moment": None, "day": datetime(2026, 11, 20, 16, tzinfo=UTC)}, ["0", "—", "2026-11-21"], [0, None, "2026-11-21"]),
    ],
)
def test_figures_and_times(row: dict[str, Any], shown: list[str], exported: list[Any]) -> None:
    table = FigureTable(data=[row])
    assert cells(table) == shown
    assert list(table.values()) == [exported]


def test_columns_not_chosen_are_neither_shown_nor_exported() -> None:
    table = UserTable(data=[User(username="a", role=Role.OPERATOR)])
    table.show_only(["label", "role"])
    assert cells(table) == ["operator 操作员", "操作员"]
    assert list(table.values()) == [["operator 操作员", "操作员"]]
