"""Customs reads what was signed (SGW-04): a message whose text says something else, or whose signature is none, is refused by name."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from lxml import etree

from simulators.cards.keys import KeyType
from simulators.customs import signed
from simulators.customs.wire import Wire
from tests.cards import Authorities
from tests.relay.messages import NS, read_fields
from tests.simulators.test_customs import Office, office, until  # noqa: F401 - a fixture

EXAMPLE = settings.PROTOCOL_DIR / "examples" / "SGW101-signed.xml"
Parts = tuple[etree._Element, dict[str, str]]


@pytest.fixture
def parts() -> Parts:
    """Element and SignInfo of the published example."""
    message = Wire(Path(settings.PROTOCOL_DIR), "customs", "LNSW").read(EXAMPLE.read_bytes())
    return message.business, dict(message.sign_info)


def code_of(business: etree._Element, sign_info: dict[str, str]) -> str:
    try:
        signed.check(business, sign_info)
    except signed.NotSignedSoError as problem:
        return problem.code
    return ""


def test_the_published_example_counts(parts: Parts) -> None:
    signed.check(*parts)


def test_an_unsigned_message_is_not_asked(parts: Parts) -> None:
    assert code_of(parts[0], {}) == ""


def _with(business: etree._Element, path: str, text: str | None) -> None:
    """Change a value of the element, or take it out."""
    (node,) = business.findall("/".join(f"{{{NS}}}{name}" for name in path.split("/")))
    if text is None:
        node.getparent().remove(node)
    else:
        node.text = text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Function", "DEL"),
        ("Version", "2"),
        ("Head/SeqNo", "202600000000000044"),
        ("Head/RdCode", "0100000000"),
        ("Head/BindKeyInfo", "辽B54321"),
        ("Head/BayonetRdCode", None),
        ("Head/VehicleWeight", "15000.50"),
        ("List/Item/GoodsWt", "325000"),
        ("List/Item/Remark", "散装大豆\\n请走 3 号通道"),
        ("List/Item/Remark", None),
        ("List/Item", None),
    ],
)
def test_an_element_that_says_something_else(parts: Parts, path: str, text: str | None) -> None:
    _with(parts[0], path, text)
    assert code_of(*parts) == "SIGNED_TEXT"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("RdCode：1000000000 报关", "RdCode：0100000000 转关"),
        lambda text: text.replace("散装大豆\\n", "散装大豆\\x"),
        lambda text: text.replace("散装大豆\\n", "散装大豆\\"),
        lambda text: text.replace("\n表体第 1 条 Item", ""),
        lambda text: text.replace("共 1 条", "共 2 条"),
        lambda text: text.replace("\n声明：", "\n说明：x\n声明："),
        lambda text: text.replace("\n声明：", "\n备注 Remark：再来一次\n声明："),
        lambda text: text + "\n",
        lambda text: "\n" + text,
        lambda text: "",
    ],
)
def test_a_text_that_says_something_else(parts: Parts, change: Callable[[str], str]) -> None:
    business, sign_info = parts
    text = change(sign_info["signed_text"])
    assert text != sign_info["signed_text"]
    assert code_of(business, {**sign_info, "signed_text": text}) == "SIGNED_TEXT"


@pytest.mark.parametrize(
    "change",
    [
        lambda info: {"signature": base64.b64encode(b"nonsense").decode()},
        lambda info: {"signature": base64.b64encode(bytes(64)).decode()},
        lambda info: {"signature": "!"},
        lambda info: {"certificate": "QUJD"},
        lambda info: {"algorithm": "ECDSA-SHA256"},
        lambda info: {"algorithm": "RSA-SHA256"},
        # A word of the declaration: no fact of the filing, and signed all the same.
        lambda info: {"signed_text": info["signed_text"].replace("真实、", "")},
        lambda info: {"signed_text": info["signed_text"].replace("1000000000 报关", "1000000000 转关")},
    ],
)
def test_a_signature_that_is_none(parts: Parts, change: Callable[[dict[str, str]], dict[str, Any]]) -> None:
    business, sign_info = parts
    assert code_of(business, {**sign_info, **change(sign_info)}) == "SIGNATURE"


@pytest.mark.covers("CARD-08")
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    ("kind", "algorithm"), [(KeyType.SM2, "SM2-with-SM3"), (KeyType.RSA_2048, "RSA-SHA256"), (KeyType.P256, "ECDSA-SHA256")]
)
def test_cards_of_every_kind(parts: Parts, kind: KeyType, algorithm: str, raw: bool, tmp_path: Path) -> None:
    business, sign_info = parts
    card = Authorities(tmp_path).card(kind)
    text = sign_info["signed_text"]
    info = {
        "algorithm": algorithm,
        "certificate": card.as_text,
        "signature": base64.b64encode(card.sign(text.encode(), raw=raw)).decode(),
        "signed_text": text,
    }
    assert code_of(business, info) == ""
    assert code_of(business, {**info, "signature": base64.b64encode(card.sign(b"another", raw=raw)).decode()}) == "SIGNATURE"


@pytest.mark.covers("RLY-06")
def test_over_the_wire(office: Office) -> None:  # noqa: F811
    content = EXAMPLE.read_bytes()
    (message_id,) = read_fields(content, "message_id")
    another = uuid4()
    changed = content.replace(message_id.encode(), str(another).encode())
    office.send(changed.replace("<BindKeyInfo>辽B12345<".encode(), "<BindKeyInfo>辽B99999<".encode()), another)
    (answer,) = until(lambda: office.came("RCV001"), "the refusal")
    assert read_fields(answer, "Result", "Code") == ["REJECTED", "SIGNED_TEXT"]
    assert office.journal() == []
    office.send(content, UUID(message_id))
    assert until(lambda: office.events() == ["STORED"], "the answer")
