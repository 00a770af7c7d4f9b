"""The published schemas say what README.md and domain.md say, and both directions are held to them (RLY-05)."""

import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from lxml import etree

from relay import schemas
from relay.services.outbox import technical_receipt
from tests.relay.messages import NS, filing, fill, package, receipt, technical

README = settings.PROTOCOL_DIR / "README.md"
#: Every code that an RCV001 or the quarantine can show.
CODES = {
    "NOT_XML",
    "DOCTYPE",
    "NOT_A_PACKAGE",
    "UNKNOWN_TYPE",
    "SCHEMA",
    "WRONG_SENDER",
    "WRONG_RECEIVER",
    "WRONG_PARTNER",
    "NO_ORIGINAL",
    "WRONG_ORIGINAL",
    "UNREADABLE_ROW",
    "CONTRADICTION",
    "CONTRADICTS_REFUSAL",
    "ID_REUSED",
    "TOO_LARGE",
    "NOT_A_FILE",
    "HANDLER_FAILED",
    "FAIL_BOX",
    "SIGNED_TEXT",
    "SIGNATURE",
}


def check(content: bytes, message_type: str) -> None:
    schemas.validate(etree.fromstring(content), message_type)


def with_value(business: etree._Element, path: str, value: str | None) -> etree._Element:
    """The same element with one value changed, or taken out."""
    target = business.find("/".join(f"{{*}}{name}" for name in path.split("/")))
    assert target is not None
    if value is None:
        parent = target.getparent()
        assert parent is not None
        parent.remove(target)
    else:
        target.text = value
    return business


@pytest.mark.covers("RLY-05")
@pytest.mark.parametrize(
    ("message_type", "make"),
    [
        ("SGW101", lambda: package(filing(lines=10), message_type="SGW101")),
        ("SGW101", lambda: package(filing(function="DEL", version=3, base=2), message_type="SGW101", correlation_id="r-1")),
        ("SGW102", lambda: receipt(event="CHANGE_REJECTED", note="车辆已到达卡口\n不予变更", in_reply_to=uuid4())),
        ("RCV001", lambda: technical(uuid4())),
        ("RCV001", lambda: technical(None, file_name="a b.xml", result="REJECTED", code="NOT_XML", note="line 1")),
        ("RCV001", lambda: package(technical_receipt(uuid4(), "x.xml", "REJECTED", "SCHEMA", "n" * 5000), message_type="RCV001")),
    ],
)
def test_what_both_sides_write_is_valid(message_type: str, make: Callable[[], bytes]) -> None:
    check(make(), message_type)


@pytest.mark.covers("RLY-05")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Function", "UPD"),
        ("Version", "0"),
        ("Head/SeqNo", "2026"),
        ("Head/SureId", "2026031234567890123123456789012"),
        ("Head/CustomsMaster", "90"),
        ("Head/OpTime", "2026-03-01T08:00:00"),
        ("Head/ContractorCodeScc", "91350100I000100Y43"),
        ("Head/ContractorCode", "M000100Y"),
        ("Head/OpUserId", ""),
        ("Head/BindKeyType", "XX"),
        ("Head/BindKeyInfo", None),
        ("Head/RdCode", "100000000"),
        ("Head/RdCode", "2000000000"),
        ("Head/DeclTrafMode", "3"),
        ("Head/IEFlag", "B"),
        ("Head/VehicleWeight", "-0.001"),
        ("Head/VehicleWeight", "1.0001"),
        ("Head/VehicleWeight", "1234567890.125"),
        ("Head/VehicleWeight", "1e3"),
        ("Head/ContaWeight", None),
        ("List/Item", None),
        ("List/Item/GNo", "0"),
        ("List/Item/BindObjType", "Z"),
        ("List/Item/VoyageNo", None),
        ("List/Item/BillType", "3"),
        ("List/Item/GoodsWt", ""),
    ],
)
def test_filing_that_breaks_a_rule_is_invalid(path: str, value: str | None) -> None:
    broken = package(with_value(filing(), path, value), message_type="SGW101")
    with pytest.raises(schemas.SchemaViolationError):
        check(broken, "SGW101")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ContaId1", "CSQU305438"),
        ("ContaId1", "CSQX3054383"),
        ("EsealId1", "A|B|C|D"),
        ("EsealId2", "A||B"),
        ("Remark", "x" * 1001),
        ("Remark", ""),
    ],
)
def test_optional_values_of_a_line_are_checked_too(name: str, value: str) -> None:
    business = filing()
    item = business.find("{*}List/{*}Item")
    assert item is not None
    fill(item, **{name: value})
    with pytest.raises(schemas.SchemaViolationError, match=name):
        check(package(business, message_type="SGW101"), "SGW101")


def test_two_lines_cannot_have_one_number() -> None:
    business = filing(lines=2)
    with_value(business, "List/Item/GNo", "2")
    with pytest.raises(schemas.SchemaViolationError, match="UniqueGNo"):
        check(package(business, message_type="SGW101"), "SGW101")


def test_message_of_one_type_does_not_pass_as_another() -> None:
    with pytest.raises(schemas.SchemaViolationError):
        check(receipt(), "SGW101")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b">1.0</version>", b">2.0</version>"),
        (b"<message_type>SGW102", b"<message_type>sgw102"),
        (b"<sender_id>customs", b"<sender_id>../customs"),
        (b"+00:00</send_time>", b"</send_time>"),
        (b"<send_time>2026", b"<send_time>1899"),
        (b"<send_time>2026", b"<send_time>3000"),
        (b"<send_time>2026", b"<send_time>-2026"),
        (b"T08:30:00+00:00</send_time>", b"T24:00:00+00:00</send_time>"),
        (b"</DataInfo>", b"</DataInfo><DataInfo/>"),
        (b"<EnvelopInfo>", b"<EnvelopInfo><note/>"),
    ],
)
def test_envelope_is_held_to_its_schema(old: bytes, new: bytes) -> None:
    content = receipt()
    assert old in content
    with pytest.raises(schemas.SchemaViolationError):
        check(content.replace(old, new), "SGW102")


def test_schemas_include_only_their_neighbours() -> None:
    for path in sorted(settings.PROTOCOL_DIR.glob("*.xsd")):
        root = etree.parse(str(path)).getroot()
        assert root.get("targetNamespace") == NS
        for include in root.iter("{http://www.w3.org/2001/XMLSchema}include", "{http://www.w3.org/2001/XMLSchema}import"):
            location = include.get("schemaLocation") or ""
            assert (settings.PROTOCOL_DIR / location).parent == Path(settings.PROTOCOL_DIR)


def test_readme_lists_every_schema_and_every_code() -> None:
    text = README.read_text(encoding="utf-8")
    for path in settings.PROTOCOL_DIR.glob("*.xsd"):
        assert f"`{path.name}`" in text
    table = text.split("### Codes")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([A-Z_0-9]+)` \|", table, re.MULTILINE)) == CODES


def test_operators_page_lists_every_code() -> None:
    text = (settings.BASE_DIR / "docs/operations/relay.md").read_text(encoding="utf-8")
    table = text.split("## Codes")[1].split("\n## ")[0]
    assert set(re.findall(r"`([A-Z_]{5,})`", table)) - {"REJECTED", "STORED", "RETRY", "UNKNOWN_FILING"} == CODES


def test_program_uses_no_code_that_the_readme_does_not_list() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (settings.BASE_DIR / "relay").rglob("*.py")]
    used = set(re.findall(r'(?:UnreadableMessageError|problem|MessageRefused)\(\s*"([A-Z_]+)"', "\n".join(sources)))
    used |= set(re.findall(r'"(TOO_LARGE|NOT_A_FILE|HANDLER_FAILED|UNREADABLE_ROW|FAIL_BOX|ID_REUSED)"', "\n".join(sources)))
    assert used <= CODES
    assert {"SCHEMA", "ID_REUSED", "TOO_LARGE", "FAIL_BOX"} <= used


@pytest.mark.parametrize("example", sorted((settings.PROTOCOL_DIR / "examples").glob("*.xml")), ids=lambda path: path.name)
def test_published_examples_are_valid(example: Path) -> None:
    check(example.read_bytes(), example.name[:6])
