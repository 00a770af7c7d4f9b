"""The official parameter files of June 2022, whole. They lie beside the project and are never part of it."""

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from reference import queries
from reference.models import Code, CodeTable, Content, DeclarationElement
from reference.official import FILES

pytestmark = pytest.mark.django_db


def load(directory: Path) -> dict:
    out = StringIO()
    call_command("load_codetables", str(directory), "--effective-date=2022-06-01", "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.covers("OPS-05")
def test_the_whole_directory_loads_and_loads_again(official_dir: Path):
    first, second = load(official_dir), load(official_dir)
    assert first["unknown_files"] == []
    assert (
        {table["source"] for table in first["tables"]}
        == {path.name for path in official_dir.glob("*.json")}
        == {spec.file for spec in FILES}
    )
    rows = {path.name: len(json.loads(path.read_text("utf-8"))) for path in official_dir.glob("*.json")}
    for table in first["tables"]:
        if table["key"] != "hs_code":
            assert table["new"] + len(table["set_aside"]) == rows[table["source"]], table["key"]
    assert second["totals"] == {"new": 0, "changed": 0, "ended": 0, "unchanged": first["totals"]["new"], "kept": 0}
    assert Code.objects.count() + DeclarationElement.objects.count() == first["totals"]["new"]
    set_aside = {table["key"]: len(table["set_aside"]) for table in first["tables"] if table["set_aside"]}
    assert set_aside == {"container_size": 2, "quantity_unit": 1}

    samples = {
        ("customs", "0908"): "连大窑湾",
        ("transport_mode", "2"): "水路运输",
        ("transaction_mode", "7"): "EXW",
        ("currency", "142"): "人民币",
        ("country", "CHN"): "中国",
        ("country", "SXM"): "荷属圣马丁岛",
        ("country_customs", "142"): "中国",
        ("trade_mode", "0110"): "一般贸易",
        ("unit", "001"): "台",
        ("quantity_unit", "149"): "百万贝可",
        ("port_customs", "3450"): "3450",
        ("origin_place", "909"): "欧洲",
        ("ciq_code", "0101210010999"): "改良种用濒危野马",
        ("hs_code", "0101210010"): "改良种用濒危野马",
        ("ciq_code", "9202100011999"): "完税价格≥1.5万美元的含濒危动物皮及濒危木的弓弦乐器( \ue0c7)",
    }
    assert {key: queries.label(*key) for key in samples} == samples
    assert queries.extra("country", "CHN")["customs_code"] == "142"
    assert queries.search("currency", "usd")[0].code == "502"
    assert queries.search("customs", "ldyw")[0].code == "0908"
    assert CodeTable.objects.filter(content=Content.CODES).count() == len(FILES)

    elements = queries.declaration_elements("0101210010")
    assert [(element.name, element.required, element.position) for element in elements][:3] == [
        ("CAS", False, 1),
        ("GTIN", False, 2),
        ("出口享惠情况", True, 3),
    ]

    listed = official_dir.parent / "hs10_from_ciq_2022.json"
    expected = {row["hs10"]: row["name"] for row in json.loads(listed.read_text("utf-8"))}
    found = {option.code: option.name for option in queries.options("hs_code")}
    assert found.keys() == expected.keys()
    # The list cuts a name at the first character in which CIQ names part, also inside a bracket; we leave the open bracket out.
    assert [code for code, name in found.items() if not " ".join(expected[code].replace("\x7f", " ").split()).startswith(name)] == []
