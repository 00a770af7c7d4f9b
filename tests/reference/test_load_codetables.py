"""`manage.py load_codetables DIR` (OPS-05): what it writes, what it leaves alone, what it refuses."""

import json
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.models import AuditEntry
from reference import queries
from reference.models import BEGINNING, Code, CodeTable, DeclarationElement, Origin
from reference.readers import CodeRow, TableData
from reference.services import change_code, end_code, load_tables
from tests.reference.conftest import units, versions, write

pytestmark = pytest.mark.django_db

JUNE, JULY, AUGUST = date(2022, 6, 1), date(2022, 7, 1), date(2022, 8, 1)


def load(directory: Path, effective_date: date | None = None) -> dict[str, Any]:
    """Run the command and give its report, with each table under its key."""
    out = StringIO()
    arguments = [f"--effective-date={effective_date}"] if effective_date else []
    call_command("load_codetables", str(directory), "--json", *arguments, stdout=out)
    report = json.loads(out.getvalue())
    report["tables"] = {table["key"]: table for table in report["tables"]}
    return report


def counts(report: dict[str, Any], key: str = "unit") -> tuple[int, int, int, int, int]:
    """(new, changed, ended, unchanged, kept) of one table."""
    table = report["tables"][key]
    return table["new"], table["changed"], table["ended"], table["unchanged"], table["kept"]


def names(day: date | None = None, key: str = "unit") -> dict[str, str]:
    queries.forget()
    return {option.code: option.name for option in queries.options(key, day)}


# -- Versions by effective date --------------------------------------------------------------------


@pytest.mark.covers("OPS-05")
def test_a_second_load_changes_nothing_and_says_so(tmp_path: Path):
    files = write(tmp_path, CusUnit=units(("001", "台"), ("002", "座")))
    assert counts(load(files, JUNE)) == (2, 0, 0, 0, 0)
    before = list(Code.objects.values())
    revision = CodeTable.objects.get(key="unit").revision
    assert counts(load(files, JUNE)) == (0, 0, 0, 2, 0)
    out = StringIO()
    call_command("load_codetables", str(files), "--effective-date=2022-08-01", stdout=out)
    assert out.getvalue().splitlines()[-1] == "nothing changed"
    assert list(Code.objects.values()) == before
    assert CodeTable.objects.get(key="unit").revision == revision


@pytest.mark.covers("OPS-05")
def test_a_changed_name_ends_the_old_version_where_the_new_one_begins(tmp_path: Path):
    load(write(tmp_path, CusUnit=units(("001", "台"), ("002", "座"))), JUNE)
    report = load(write(tmp_path, CusUnit=units(("001", "架"), ("002", "座"))), JULY)
    assert counts(report) == (0, 1, 0, 1, 0)
    assert versions("unit", "001") == [("台", JUNE, JULY), ("架", JULY, None)]
    assert queries.get("unit", "001", JULY - timedelta(days=1)).name == "台"
    assert queries.get("unit", "001", JULY).name == "架"
    assert queries.get("unit", "001", JUNE - timedelta(days=1)) is None


@pytest.mark.covers("OPS-05")
def test_a_code_that_is_gone_ends_and_one_that_returns_begins_again(tmp_path: Path):
    both, one = units(("001", "台"), ("002", "座")), units(("001", "台"))
    load(write(tmp_path, CusUnit=both), JUNE)
    assert counts(load(write(tmp_path, CusUnit=one), JULY)) == (0, 0, 1, 1, 0)
    assert counts(load(write(tmp_path, CusUnit=both), AUGUST)) == (1, 0, 0, 1, 0)
    assert versions("unit", "002") == [("座", JUNE, JULY), ("座", AUGUST, None)]
    assert [names(day) for day in (JUNE, JULY, AUGUST)] == [
        {"001": "台", "002": "座"},
        {"001": "台"},
        {"001": "台", "002": "座"},
    ]


@pytest.mark.covers("OPS-05")
def test_loading_for_the_same_day_again_corrects_that_day(tmp_path: Path):
    load(write(tmp_path, CusUnit=units(("001", "台"), ("002", "坐"), ("003", "错"))), JUNE)
    assert counts(load(write(tmp_path, CusUnit=units(("001", "台"), ("002", "座"))), JUNE)) == (0, 1, 1, 1, 0)
    assert versions("unit", "002") == [("座", JUNE, None)]
    assert versions("unit", "003") == []


@pytest.mark.covers("OPS-05")
def test_a_changed_column_beside_the_name_is_a_new_version_too(tmp_path: Path):
    row = {"CUSTOMS_CODE": "0908", "ABBR_CUST": "连大窑湾", "CUSTOMS_NAME": "连大窑湾"}
    load(write(tmp_path, CusCustoms=[row]), JUNE)
    load(write(tmp_path, CusCustoms=[row | {"CUSTOMS_NAME": "大连大窑湾海关"}]), JULY)
    assert queries.extra("customs", "0908", JUNE) == {"full_name": "连大窑湾"}
    assert queries.extra("customs", "0908", JULY) == {"full_name": "大连大窑湾海关"}


@pytest.mark.covers("OPS-05")
def test_without_a_date_the_first_load_holds_from_the_beginning_and_later_ones_from_today(tmp_path: Path, today):
    today(JUNE)
    load(write(tmp_path, CusUnit=units(("001", "台"), ("002", "座"))))
    today(JULY)
    assert counts(load(tmp_path)) == (0, 0, 0, 2, 0)
    load(write(tmp_path, CusUnit=units(("001", "架"))))
    assert versions("unit", "001") == [("台", BEGINNING, JULY), ("架", JULY, None)]
    assert versions("unit", "002") == [("座", BEGINNING, JULY)]


@pytest.mark.covers("OPS-05")
def test_the_past_is_not_rewritten(tmp_path: Path):
    load(write(tmp_path / "new", CusUnit=units(("001", "架"))), JULY)
    old = write(tmp_path / "old", CusUnit=units(("001", "台")))
    with pytest.raises(CommandError, match=r"CusUnit\.json: table unit holds data effective from 2022-07-01.*Nothing was changed"):
        load(old, JUNE)
    with pytest.raises(CommandError, match="nothing is kept from before 2000-01-01"):
        load(old, date(1999, 12, 31))
    assert versions("unit", "001") == [("架", JULY, None)]
    assert counts(load(tmp_path / "new", JUNE)) == (0, 0, 0, 1, 0), "the same data need not be told for another day"


lists = st.dictionaries(st.sampled_from("ABCD"), st.sampled_from(["甲", "乙"]), min_size=1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(st.tuples(lists, st.integers(0, 3)), min_size=1, max_size=5))
def test_every_day_shows_the_last_list_that_holds_on_it(db, loads):
    """Whatever follows whatever: on each day the table is the newest list effective by then, and versions never overlap."""
    expected: list[tuple[date, dict[str, str]]] = []
    day = JUNE
    with transaction.atomic():
        for content, days in loads:
            day += timedelta(days=days)
            data = TableData("unit", "计量单位", "test", [CodeRow(code, name) for code, name in content.items()])
            load_tables(tables=[data], origin=Origin.OFFICIAL, effective_on=day)
            expected.append((day, content))
        for offset in range(20):
            on = JUNE + timedelta(days=offset)
            last = [content for start, content in expected if start <= on]
            assert names(on) == (last[-1] if last else {})
        transaction.set_rollback(True)
    queries.forget()


# -- What staff set by hand ------------------------------------------------------------------------


@pytest.mark.covers("OPS-05")
def test_what_staff_changed_or_ended_stays(tmp_path: Path, staff):
    files = write(tmp_path, CusUnit=units(("001", "台"), ("002", "座"), ("003", "辆")))
    load(files, JUNE)
    pks = {code.code: code.pk for code in Code.objects.all()}
    change_code(code_id=pks["001"], name="台（套）", aliases="", effective_on=JULY, actor=staff)
    end_code(code_id=pks["002"], effective_on=JULY, actor=staff)
    report = load(files, AUGUST)
    assert counts(report) == (0, 0, 0, 1, 2)
    assert report["tables"]["unit"]["kept_codes"] == ["001", "002"]
    assert names(AUGUST) == {"001": "台（套）", "003": "辆"}
    out = StringIO()
    call_command("load_codetables", str(files), stdout=out)
    assert "unit: kept as staff set them: 001, 002" in out.getvalue()


# -- Whole directories -----------------------------------------------------------------------------


@pytest.mark.covers("OPS-05")
def test_files_it_does_not_know_are_named_and_others_than_json_are_passed_by(tmp_path: Path):
    files = write(tmp_path, CusUnit=units(("001", "台")), SwDictRegPort=[{"CODE": "1"}], broken="{")
    (files / "PROVENANCE.md").write_text("where it is from")
    (files / "subdirectory.json").mkdir()
    assert load(files)["unknown_files"] == ["SwDictRegPort.json", "broken.json"]
    out = StringIO()
    call_command("load_codetables", str(files), stdout=out)
    assert "not known here, not loaded: SwDictRegPort.json" in out.getvalue()


@pytest.mark.covers("OPS-05")
def test_each_change_leaves_an_audit_entry(tmp_path: Path):
    files = write(tmp_path, CusUnit=units(("001", "台")))
    load(files, JUNE)
    load(files, JUNE)
    entry = AuditEntry.unscoped.get(action="reference.table.load")
    assert entry.after | {"source": "CusUnit.json", "new": 1, "effective_on": "2022-06-01"} == entry.after


@pytest.mark.covers("OPS-05")
def test_elements_keep_their_order_and_change_by_date(tmp_path: Path):
    def elements(*rows: tuple[str, str, str]) -> list[dict[str, str]]:
        return [{"CODE_TS": prefix, "ELEMENT": name, "ELEMENT_NULL": flag} for prefix, name, flag in rows]

    load(write(tmp_path, CusMerchElement=elements(("0101", "品种", "1"), ("0101", "用途", "0"), ("010121", "血统", "1"))), JUNE)
    load(write(tmp_path, CusMerchElement=elements(("0101", "用途", "1"), ("0101", "品种", "1"))), JULY)
    found = {day: [(e.name, e.required) for e in queries.declaration_elements("0101210010", day)] for day in (JUNE, JULY)}
    assert found == {JUNE: [("血统", True)], JULY: [("用途", True), ("品种", True)]}
    assert [e.name for e in queries.declaration_elements("0101290000", JUNE)] == ["品种", "用途"]
    assert queries.declaration_elements("0101290000", JUNE - timedelta(days=1)) == []
    assert queries.declaration_elements("01") == []
    assert DeclarationElement.objects.on(JULY).count() == 2


@pytest.mark.covers("OPS-05")
def test_hs_codes_are_read_from_ciq_codes(tmp_path: Path):
    ciq = {
        "00": "所有",
        "0101210010999": "改良种用濒危野马",
        "0206410000101": "冻猪肝(冻猪肝)",
        "0206410000102": "冻猪肝(冻野猪肝)",
        "0302320000101": "鲜金枪鱼(杂碎除外)(野生(生食))",
        "0302320000102": "鲜金枪鱼(杂碎除外)(野生(非生食))",
        "3825690000301": "〔301〕化工废物",
        "3825690000999": "其他化工废物",
    }
    report = load(write(tmp_path, CiqCiqCode=[{"STATCODE": code, "CIQNAME": name} for code, name in ciq.items()]))
    assert report["tables"]["ciq_code"]["new"] == 8
    assert names(key="hs_code") == {
        "0101210010": "改良种用濒危野马",
        "0206410000": "冻猪肝",
        "0302320000": "鲜金枪鱼(杂碎除外)",
        "3825690000": "〔301〕化工废物",
    }


# -- Texts -----------------------------------------------------------------------------------------


@pytest.mark.covers("OPS-05")
def test_blanks_go_codes_become_plain_and_names_stay_as_printed(tmp_path: Path):
    load(write(tmp_path, CusUnit="﻿" + json.dumps(units((" 0０1 ", "\u3000台（套）\x7f \n或 件\u3000\u3000")))))
    assert names() == {"001": "台（套） 或 件"}


@pytest.mark.covers("OPS-05")
def test_a_code_that_comes_twice_alike_counts_once(tmp_path: Path):
    assert counts(load(write(tmp_path, CusUnit=units(("001", "台"), ("001 ", "台 "))))) == (1, 0, 0, 0, 0)


@pytest.mark.covers("OPS-05")
def test_a_number_is_as_good_as_a_text(tmp_path: Path):
    load(write(tmp_path, CusUnit=[{"UNIT_CODE": 35, "UNIT_NAME": "千克"}]))
    assert names() == {"35": "千克"}


@pytest.mark.covers("OPS-05")
def test_of_two_rows_the_one_that_customs_knows_stands(tmp_path: Path):
    common = {"GB_CODE": "149", "CIQ_CODE": "149", "CIQ_TYPE": "1", "CIQ_NAME": "x"}
    known = common | {"GB_NAME": "百万贝可", "CUS_CODE": "149", "CUS_NAME": "百万贝可"}
    for rows in ([known, common | {"GB_NAME": "舱"}], [common | {"GB_NAME": "舱"}, known]):
        report = load(write(tmp_path, SwQuantityUnit=rows), JUNE)
        assert names(key="quantity_unit") == {"149": "百万贝可"}
        [reason] = report["tables"]["quantity_unit"]["set_aside"]
        assert reason.endswith("code 149 “舱” gives way to the row that has CUS_CODE")


# -- What is refused -------------------------------------------------------------------------------

ELEMENT = {"CODE_TS": "0101", "ELEMENT": "品种", "ELEMENT_NULL": "1"}


@pytest.mark.covers("OPS-05")
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"CusUnit": "[{"}, r"CusUnit\.json: is not JSON: "),
        ({"CusUnit": "[" * 100_000}, r"CusUnit\.json: is not JSON: "),
        ({"CusUnit": b"\xff\xfe["}, r"CusUnit\.json: is not UTF-8: byte 0"),
        ({"CusUnit": {"001": "台"}}, r"CusUnit\.json: must be a list of rows"),
        ({"CusUnit": []}, r"CusUnit\.json: holds no rows"),
        ({"CusUnit": [*units(("001", "台")), "002"]}, r"CusUnit\.json, row 2: must be an object with columns"),
        ({"CusUnit": [{"CODE": "001", "UNIT_NAME": "台"}]}, r"CusUnit\.json: has no column UNIT_CODE; it has CODE, UNIT_NAME"),
        ({"CusUnit": [{}]}, r"CusUnit\.json: has no column UNIT_CODE, UNIT_NAME; it has none"),
        ({"CusUnit": units(("001", "台"), ("  ", "座"))}, r"CusUnit\.json, row 2: column UNIT_CODE is empty"),
        ({"CusUnit": [*units(("001", "台")), {"UNIT_NAME": "座"}]}, r"CusUnit\.json, row 2: column UNIT_CODE is empty"),
        ({"CusUnit": units(("001", "台"), ("002", "\u3000"))}, r"CusUnit\.json, row 2: code 002 has no name in UNIT_NAME"),
        ({"CusUnit": units(("001", "台"), ("002", "座"), ("001", "架"))}, r"CusUnit\.json, row 3: code 001 is “架” here and “台” in row 1"),
        ({"CusUnit": units(("1" * 33, "台"))}, r"CusUnit\.json, row 1: code 1{32}… is longer than 32 characters"),
        ({"CusUnit": units(("001", "台" * 301))}, r"CusUnit\.json, row 1: the name of code 001 is longer than 300 characters"),
        ({"CusUnit": [{"UNIT_CODE": ["001"], "UNIT_NAME": "台"}]}, r"CusUnit\.json, row 1: column UNIT_CODE must be a text"),
        ({"CusUnit": [{"UNIT_CODE": True, "UNIT_NAME": "台"}]}, r"CusUnit\.json, row 1: column UNIT_CODE must be a text"),
        ({"CusUnit": '[{"UNIT_CODE": "001", "UNIT_NAME": "\\ud800"}]'}, r"CusUnit\.json, row 1: column UNIT_NAME holds half a character"),
        ({"CusMerchElement": [ELEMENT | {"CODE_TS": "010"}]}, r"CusMerchElement\.json, row 1: CODE_TS “010” is not 4 to 8 digits"),
        ({"CusMerchElement": [ELEMENT | {"ELEMENT": " "}]}, r"CusMerchElement\.json, row 1: ELEMENT of 0101 must have 1 to 120 characters"),
        ({"CusMerchElement": [ELEMENT | {"ELEMENT_NULL": "Y"}]}, r"row 1: ELEMENT_NULL of 0101 品种 is “Y”, neither 0 nor 1"),
        (
            {"CusMerchElement": [ELEMENT, ELEMENT | {"ELEMENT_NULL": "0"}]},
            r"row 2: 0101 品种 is required in one row and optional in the other, row 1",
        ),
    ],
)
def test_bad_input_is_named_and_nothing_at_all_is_changed(tmp_path: Path, files, message):
    # A good file that comes first in the alphabet, so that there is something to roll back.
    directory = write(tmp_path, BankCurrencyCode=[{"CURRENCY_CODE_T": "CNY", "CURRENCY_NAME_CN": "人民币"}], **files)
    with pytest.raises(CommandError, match=message) as caught:
        load(directory)
    assert str(caught.value).endswith("Nothing was changed.")
    assert (Code.objects.count(), DeclarationElement.objects.count(), CodeTable.objects.count()) == (0, 0, 0)


@pytest.mark.covers("OPS-05")
def test_a_refusal_of_the_last_table_undoes_the_first(tmp_path: Path):
    load(write(tmp_path, CusUnit=units(("001", "台"))), JULY)
    both = write(tmp_path, BankCurrencyCode=[{"CURRENCY_CODE_T": "CNY", "CURRENCY_NAME_CN": "人民币"}], CusUnit=units(("001", "架")))
    with pytest.raises(CommandError, match="table unit holds data effective from 2022-07-01"):
        load(both, JUNE)
    assert not CodeTable.objects.filter(key="bank_currency").exists()
    assert names() == {"001": "台"}


@pytest.mark.covers("OPS-05")
def test_a_directory_that_is_none_or_holds_nothing_known(tmp_path: Path):
    with pytest.raises(CommandError, match=r"nowhere: no such directory\. Nothing was changed"):
        load(tmp_path / "nowhere")
    with pytest.raises(CommandError, match="holds no parameter file that is known here"):
        load(write(tmp_path, Unknown=[]))
    with pytest.raises(CommandError, match="“June” is no day; write it as YYYY-MM-DD"):
        call_command("load_codetables", str(tmp_path), "--effective-date=June")
