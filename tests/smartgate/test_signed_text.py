"""The text that is signed (docs/protocol/signed-text.md): deterministic, to be read by people, and never the same for other contents."""

import base64
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as portal_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from accounts.signatures import algorithms, certificates
from smartgate import signing
from smartgate.messages import HEADER_FIELDS, LINE_FIELDS, Function, filing_element
from smartgate.models import Filing, FilingLine

EXAMPLE = portal_settings.PROTOCOL_DIR / "examples" / "SGW101-signed.xml"
RULES = portal_settings.PROTOCOL_DIR / "signed-text.md"
NS = "{urn:ln-singlewindow:exchange:1}"
pytestmark = pytest.mark.django_db


def record(element: etree._Element, fields: Any, model: Any) -> Any:
    """A row with the values of a message's element."""
    made = model()
    for wire_name, name in fields:
        text = element.findtext(f"{NS}{wire_name}")
        if text is not None:
            value: Any = text
            field = model._meta.get_field(name).get_internal_type()
            if field == "DecimalField":
                value = Decimal(text)
            elif field == "DateTimeField":
                value = datetime.fromisoformat(text)
            elif field == "PositiveIntegerField":
                value = int(text)
            setattr(made, name, value)
    return made


def text_of_message(path: Path) -> tuple[str, etree._Element]:
    """What has to be signed for the filing in a message, and the message."""
    root = etree.parse(str(path)).getroot()
    business = root.find(f"{NS}DataInfo/{NS}SmartGateFiling")
    filing = record(business.find(f"{NS}Head"), HEADER_FIELDS, Filing)
    lines = [record(item, LINE_FIELDS, FilingLine) for item in business.iter(f"{NS}Item")]
    return signing.filing_text(filing, lines, int(business.findtext(f"{NS}Version"))), root


@pytest.mark.covers("CARD-07")
def test_the_published_example_is_what_the_program_makes_and_its_signature_counts() -> None:
    text, root = text_of_message(EXAMPLE)
    shown = RULES.read_text(encoding="utf-8").split("```text\n")[1].split("\n```")[0]
    assert shown == text
    info = {etree.QName(child).localname: child.text or "" for child in root.find(f"{NS}SignInfo")}
    assert info["signed_text"] == text
    key = certificates.load(info["certificate"]).key
    assert algorithms.verify(key=key, data=text.encode(), signature=base64.b64decode(info["signature"])) == info["algorithm"]


def test_the_rules_name_every_code_field() -> None:
    table = RULES.read_text(encoding="utf-8").split("## Codes")[1].split("\n## ")[0]
    codes = {
        wire_name
        for model, fields in ((Filing, HEADER_FIELDS), (FilingLine, LINE_FIELDS))
        for wire_name, name in fields
        if model._meta.get_field(name).choices or name == "customs_code"
    }
    assert {name for name in codes if f"`{name}`" in table} == codes
    assert table.count("| `") == len(codes)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("一\n二", "一\\n二"),
        ("一\r\n二\t三", "一\\r\\n二\\t三"),
        ("\\n", "\\\\n"),
        ("a\u2028b\u2029c\u0085d", "a\\u2028b\\u2029c\\u0085d"),
        ("甲\u202e乙\u200b丙", "甲\\u202E乙\\u200B丙"),
        ("\U000e0001", "\\U000E0001"),
        ("MV A  B：C ", "MV A  B：C "),
    ],
)
def test_a_value_stays_on_its_line(text: str, escaped: str) -> None:
    assert signing.escaped(text) == escaped
    assert len(escaped.splitlines()) == 1


def test_nobody_writes_another_fields_line() -> None:
    fake = "\n车次确认编号 SureId：1\\n声明"
    text = signing.filing_text(filing_with(remark=fake), [], 1)
    assert not any(line.startswith("车次确认编号 SureId：1") for line in text.splitlines())
    assert "备注 Remark：\\n车次确认编号 SureId：1\\\\n声明" in text.splitlines()


def test_a_name_does_not_pass_for_a_code() -> None:
    """A code ends at the first blank."""
    assert "业务类型 RdCode：1000000000 报关" in signing.filing_text(filing_with(business_type="1000000000"), [], 1).splitlines()
    assert "业务类型 RdCode：1000000000\\u0020报关" in signing.filing_text(filing_with(business_type="1000000000 报关"), [], 1).splitlines()


def filing_with(**values: Any) -> Filing:
    return Filing(**{"entered_at": datetime(2026, 11, 21, tzinfo=UTC), **values})


_CHARS = st.sampled_from([*"ab1 \\nru0\n\r\t：:声明备注", "\u2028", "\u202e", "\u3000", "😀"])
_TEXT = st.text(_CHARS, max_size=6)
_WEIGHT = st.decimals(min_value=0, max_value=999, places=3)
_HEADERS = st.fixed_dictionaries(
    {
        "trip_no": _TEXT,
        "bind_key_info": _TEXT,
        "business_type": st.sampled_from(["1000000000", "1000000000 报关", "x\ny", ""]),
        "vehicle_weight": _WEIGHT,
        "remark": _TEXT,
    }
)
_LINES = st.lists(
    st.fixed_dictionaries({"object_id": _TEXT, "vessel_name": _TEXT, "pickup_weight": st.none() | _WEIGHT, "remark": _TEXT}), max_size=2
)
_CONTENTS = st.tuples(_HEADERS, _LINES, st.integers(1, 3))
Contents = tuple[dict[str, Any], list[dict[str, Any]], int]


def _made(contents: Contents) -> tuple[Filing, list[FilingLine]]:
    header, lines, version = contents
    filing = filing_with(**header, version=version)
    return filing, [FilingLine(line_no=number, **line) for number, line in enumerate(lines, start=1)]


def _signed(contents: Contents) -> str:
    return signing.filing_text(*_made(contents), contents[2])


def _sent(contents: Contents) -> list[Any]:
    """What the message would say."""
    return [(etree.QName(node).localname, node.text) for node in filing_element(*_made(contents), Function.ADD).iter()]


class TestInjective:
    """What differs in the message differs in the text, and the other way round."""

    @settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(_CONTENTS, _CONTENTS)
    def test_two_filings(self, one: Contents, other: Contents) -> None:
        assert (_signed(one) == _signed(other)) == (_sent(one) == _sent(other))

    @settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(_CONTENTS, st.sampled_from(["trip_no", "bind_key_info", "remark"]), _TEXT)
    def test_one_value_changed(self, one: Contents, name: str, value: str) -> None:
        other = ({**one[0], name: value}, one[1], one[2])
        assert (_signed(one) == _signed(other)) == (one[0][name] == value)
