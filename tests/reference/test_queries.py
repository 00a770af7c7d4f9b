"""Search, names by date, and what a process remembers."""

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from core.codes import CodeOption
from reference import queries
from reference.models import Code, CodeTable, Origin
from reference.queries import CodeIndex, normalise
from reference.sources import TableSource
from tests.reference.conftest import make_table

# -- Search, without a database --------------------------------------------------------------------

texts = st.text(alphabet="ab1大窑（ ", min_size=1, max_size=6)
entries = st.builds(
    lambda code, name, letters, aliases: (CodeOption(code, name, letters), "|".join(aliases)),
    st.text(alphabet="ab12", min_size=1, max_size=4),
    texts,
    st.text(alphabet="ab1", max_size=5),
    st.lists(st.text(alphabet="AB1", min_size=1, max_size=4), max_size=2),
)


def rank(entry: tuple[CodeOption, str], q: str) -> int | None:
    """The rule of `queries.search`, said in the plainest way."""
    option, aliases = entry
    wanted = normalise(q)
    code, name, letters = normalise(option.code), normalise(option.name), wanted.replace(" ", "")
    others = [normalise(alias) for alias in aliases.split("|") if alias]
    rules = [
        code == wanted,
        wanted in others,
        code.startswith(wanted),
        name.startswith(wanted),
        option.initials.startswith(letters),
        any(alias.startswith(wanted) for alias in others),
        wanted in name,
        letters in option.initials,
    ]
    return rules.index(True) if True in rules else None


@given(st.lists(entries, max_size=12, unique_by=lambda entry: entry[0].code), texts, st.integers(1, 15))
def test_search_finds_what_the_rule_says_in_its_order(table, q, limit):
    ranked = sorted((found, entry[0].code) for entry in table if (found := rank(entry, q)) is not None)
    expected = [code for _rank, code in ranked] if normalise(q) else sorted(entry[0].code for entry in table)
    assert [option.code for option in CodeIndex(table).search(q, limit)] == expected[:limit]


def test_the_order_of_the_ranks():
    table = [
        (CodeOption("US", "甲", "j"), ""),
        (CodeOption("502", "美元", "my"), "US"),
        (CodeOption("USA", "美国", "mg"), ""),
        (CodeOption("A", "us型", "usx"), ""),
        (CodeOption("B", "乌斯", "us"), ""),
        (CodeOption("C", "丙", "b"), "USX"),
        (CodeOption("D", "大us型", "dx"), ""),
        (CodeOption("E", "大乌斯", "dus"), ""),
        (CodeOption("F", "丁", "d"), ""),
    ]
    assert [option.code for option in CodeIndex(table).search("us", 20)] == ["US", "502", "USA", "A", "B", "C", "D", "E"]


@pytest.mark.parametrize("q", ["（b型）", "(B型)", "  (ｂ型)\n", "bx"])
def test_width_case_and_blanks_make_no_difference(q):
    table = [(CodeOption("0814", "铁保（B型）", "tbbx"), ""), (CodeOption("0815", "阜新海关", "fxhg"), "")]
    assert [option.code for option in CodeIndex(table).search(q, 20)] == ["0814"]


# -- Tables ----------------------------------------------------------------------------------------


@pytest.fixture
def unit(db) -> CodeTable:
    return make_table("unit", ("002", "座"), ("001", "台"), ("003", "辆"))


def test_options_come_in_code_order(unit):
    assert [option.code for option in queries.options("unit")] == ["001", "002", "003"]


def test_search_of_a_blank_gives_the_first_codes(unit):
    assert [option.code for option in queries.search("unit", " ", limit=2)] == ["001", "002"]


def test_a_name_is_shown_whatever_the_day(unit):
    day = date(2022, 7, 1)
    Code.objects.filter(code="001").update(valid_from=date(2022, 6, 1), valid_to=day)
    Code.objects.create(table=unit, code="001", name="架", valid_from=day, valid_to=date(2022, 8, 1), origin=Origin.OFFICIAL)
    shown = [queries.label("unit", "001", on) for on in (date(2022, 5, 31), date(2022, 6, 30), day, date(2022, 8, 1))]
    assert shown == ["台", "台", "架", "架"]
    assert queries.label("unit", "999") == "999"


def test_a_known_table_that_is_not_loaded_is_empty_and_an_unknown_one_an_error(db):
    assert queries.options("unit") == ()
    assert queries.get("unit", "001") is None
    assert queries.search("unit", "台") == []
    assert queries.label("unit", "001") == "001"
    assert queries.revision("unit") is None
    for read in (queries.options, queries.revision):
        with pytest.raises(queries.UnknownTableError):
            read("units")


def test_what_is_remembered_costs_no_query(unit):
    queries.get("unit", "001")
    with CaptureQueriesContext(connection) as captured:
        assert queries.search("unit", "台")[0].code == "001"
        assert queries.label("unit", "002") == "座"
        assert len(queries.options("unit", date(2022, 6, 1))) == 3
    assert len(captured) == 0


def test_a_change_by_another_process_is_seen_after_a_while(unit, monkeypatch):
    clock = 1000.0
    monkeypatch.setattr(queries.time, "monotonic", lambda: clock)
    assert queries.get("unit", "001").name == "台"
    Code.objects.filter(code="001").update(name="架")
    CodeTable.objects.filter(pk=unit.pk).update(revision="00000000-0000-4000-8000-000000000001")
    clock += queries.CHECK_SECONDS - 0.1
    assert queries.get("unit", "001").name == "台"
    clock += 0.2
    with CaptureQueriesContext(connection) as captured:
        assert queries.get("unit", "001").name == "架"
    assert len(captured) == 2, "one for all revisions, one for the table that changed"
    clock += queries.CHECK_SECONDS
    with CaptureQueriesContext(connection) as captured:
        assert queries.get("unit", "001").name == "架"
    assert len(captured) == 1, "what has not changed is not read again"


def test_only_so_many_days_are_kept_ready(unit):
    for day in range(1, 12):
        assert len(queries.options("unit", date(2022, 6, day))) == 3
    assert len(queries._memory.tables["unit"]._days) == queries.DAYS_KEPT


def test_a_source_lists_a_short_table_and_looks_a_long_one_up(unit):
    make_table("usage", *((f"{number:04}", "用途") for number in range(201)))
    assert TableSource("unit").lookup_url is None
    assert TableSource("usage").lookup_url == "/reference/lookup/usage/"
    assert TableSource("unit", large=True).lookup_url == "/reference/lookup/unit/"
    assert TableSource("usage", large=False).lookup_url is None
    source = TableSource("unit")
    assert (source.key, len(source.options()), source.get("001").name, source.get("001", date(1999, 1, 1))) == ("unit", 3, "台", None)
