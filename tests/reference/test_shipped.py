"""What the product ships (`domain.md` §8), and how it gives way to official data."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from reference import queries
from reference.models import BEGINNING, Code, CodeTable, Origin
from reference.services import end_code
from tests.reference.conftest import units, versions, write

pytestmark = pytest.mark.django_db


def seed() -> dict:
    out = StringIO()
    call_command("seed_reference", json=True, stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.parametrize(
    ("table", "count", "samples"),
    [
        ("customs", 46, {"0800": "沈阳关区", "0814": "铁保（B型）", "0908": "连大窑湾", "0950": "鲅鱼圈关", "0980": "鞍山海关"}),
        ("transport_mode", 20, {"0": "非保税区", "2": "水路", "4": "公路", "5": "航空", "Z": "出口加工区"}),
        ("transaction_mode", 7, {"1": "CIF", "2": "C&F", "7": "EXW"}),
        ("currency", 22, {"142": "人民币", "502": "美元", "300": "欧元", "302": "丹麦克朗"}),
        ("country", 249, {"CHN": "中国", "KOR": "韩国", "HKG": "中国香港", "MAC": "中国澳门", "TWN": "中国台湾"}),
    ],
)
def test_each_shipped_table_has_its_codes(table, count, samples):
    seed()
    assert len(queries.options(table)) == count
    assert {code: queries.get(table, code).name for code in samples} == samples


def test_shipped_codes_hold_from_the_beginning_and_carry_initials():
    seed()
    option = queries.get("customs", "0908", BEGINNING)
    assert (option.code, option.name, option.initials) == ("0908", "连大窑湾", "ldyw")


def test_currencies_and_countries_are_found_by_their_iso_codes():
    seed()
    assert str(queries.search("currency", "usd")[0]) == "502 美元"
    assert queries.extra("currency", "502") == {"alpha_3": "USD"}
    assert queries.search("country", "CN")[0].code == "CHN"
    assert queries.extra("country", "CHN") == {"alpha_2": "CN", "numeric": "156", "name_en": "China"}


def test_seeding_again_changes_nothing():
    first = seed()
    before = list(CodeTable.objects.values_list("key", "revision"))
    second = seed()
    assert first["totals"] == {"new": 344, "changed": 0, "ended": 0, "unchanged": 0, "kept": 0}
    assert second["totals"] == {"new": 0, "changed": 0, "ended": 0, "unchanged": 344, "kept": 0}
    assert list(CodeTable.objects.values_list("key", "revision")) == before


def test_seeding_corrects_a_shipped_name_without_leaving_a_version():
    seed()
    Code.objects.filter(table__key="transport_mode", code="2").update(name="水陆")
    assert seed()["totals"]["changed"] == 1
    assert versions("transport_mode", "2") == [("水路", BEGINNING, None)]


def test_seeding_leaves_official_tables_alone(tmp_path: Path):
    seed()
    files = write(tmp_path, CusTransf=[{"TRAF_CODE": "2", "TRAF_SPEC": "水路运输"}])
    call_command("load_codetables", str(files), stdout=StringIO())
    report = seed()
    assert "transport_mode" not in [table["key"] for table in report["tables"]]
    assert queries.get("transport_mode", "2").name == "水路运输"


def test_seeding_leaves_what_staff_ended_alone(staff, today):
    seed()
    from datetime import date

    today(date(2026, 3, 1))
    code = Code.objects.get(table__key="customs", code="0953")
    end_code(code_id=code.pk, effective_on=date(2026, 2, 1), actor=staff)
    report = seed()
    assert report["totals"] == {"new": 0, "changed": 0, "ended": 0, "unchanged": 343, "kept": 1}
    assert queries.get("customs", "0953") is None


def test_the_report_for_people_names_each_table():
    out = StringIO()
    call_command("seed_reference", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[1].split() == ["customs", "关区代码", "46", "0", "0", "0", "0"]
    assert lines[-1].split() == ["5", "tables", "344", "0", "0", "0", "0"]


def test_official_data_take_the_place_of_shipped_ones_from_the_beginning(tmp_path: Path):
    seed()
    shipped = CodeTable.objects.get(key="transport_mode")
    files = write(
        tmp_path,
        CusTransf=[{"TRAF_CODE": "2", "TRAF_SPEC": "水路运输"}, {"TRAF_CODE": "3", "TRAF_SPEC": "铁路"}],
        CusUnit=units(("001", "台")),
    )
    call_command("load_codetables", str(files), stdout=StringIO())
    loaded = CodeTable.objects.get(key="transport_mode")
    assert (shipped.origin, loaded.origin) == (Origin.SHIPPED, Origin.OFFICIAL)
    assert versions("transport_mode", "2") == [("水路运输", BEGINNING, None)]
    assert len(queries.options("transport_mode")) == 2
