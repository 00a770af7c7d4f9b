"""The text that a declarant's card signs, and the part of the message that carries it (docs/protocol/signed-text.md, docs/adr/0084).

People read it before they sign it, and customs compares it with the business element: each fact on a line of its own, under the label
of the page and the name of the wire, its value as the wire has it.
"""

import base64
import unicodedata
from collections.abc import Iterator, Sequence

from django.db import models
from django.utils.translation import override

from accounts.signatures.cards import Verified
from core.codes import CodeSource
from relay.envelope import SignInfo
from smartgate import rules
from smartgate.messages import HEADER_FIELDS, LINE_FIELDS, wire_text
from smartgate.models import Filing, FilingLine, Function

TITLE = "智能卡口散杂货申报单"
#: What is asked of customs, and how the text ends with the signer's word for it.
FUNCTIONS = {
    Function.ADD: ("新增申报", "声明：本人已核对以上全部内容，确认真实、准确、完整，以本人的卡签名向海关申报，并对申报内容承担法律责任。"),
    Function.MOD: (
        "变更申报",
        "声明：本人已核对变更后的以上全部内容，确认真实、准确、完整，以本人的卡签名向海关申请变更该票单据，并对申报内容承担法律责任。",
    ),
    Function.DEL: ("删单申报", "声明：本人已核对以上拟删除的单据，以本人的卡签名向海关申请删除该票单据，并承担法律责任。"),
}
_TABLES: dict[str, CodeSource] = {"customs_code": rules.CUSTOMS_DISTRICTS}
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
#: Unicode categories of what ends a line or cannot be seen, the way it could turn the text around among them.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def filing_text(
    filing: Filing, lines: Sequence[FilingLine], version: int, function: Function = Function.ADD, *, base: int | None = None
) -> str:
    """What is signed to declare, change or void the filing with these lines as its `version`; `base` is the version that is changed or
    voided. The same contents give the same text, others another one.

    Values stand as `filing_element` writes them; those that it leaves out are left out here.
    """
    # Labels are what is signed, whatever language a page should once be shown in.
    with override("zh-hans"):
        return "\n".join(_facts(filing, lines, version, function, base))


def _facts(filing: Filing, lines: Sequence[FilingLine], version: int, function: Function, base: int | None) -> Iterator[str]:
    name, declaration = FUNCTIONS[function]
    yield TITLE
    yield f"业务功能 Function：{function.value} {name}"
    yield f"申报版本 Version：{version}"
    if base is not None:
        yield f"针对版本 BaseVersion：{base}"
    yield "表头信息 Head"
    yield from _values(filing, HEADER_FIELDS)
    yield f"表体信息 List：共 {len(lines)} 条"
    for number, line in enumerate(lines, start=1):
        yield f"表体第 {number} 条 Item"
        yield from _values(line, LINE_FIELDS)
    yield declaration


def _values(record: Filing | FilingLine, fields: Sequence[tuple[str, str]]) -> Iterator[str]:
    for wire_name, name in fields:
        field: models.Field[object, object] = record._meta.get_field(name)  # type: ignore[assignment]
        text = wire_text(getattr(record, name))
        if text:
            unit = f"（{field.help_text}）" if isinstance(field, models.DecimalField) else ""
            yield f"{field.verbose_name}{unit} {wire_name}：{_shown(field, text)}"


def _shown(field: "models.Field[object, object]", text: str) -> str:
    """A value as the text has it: a code with its name behind a blank, everything else alone."""
    if field.name in _TABLES:
        option = _TABLES[field.name].get(text)
        name = option.name if option else ""
    elif field.choices:
        name = str(dict(field.flatchoices).get(text, ""))
    else:
        return escaped(text)
    # A code ends at the first blank: one that has a blank must not pass for a shorter one with a name.
    return f"{escaped(text).replace(' ', _by_number(' '))} {escaped(name)}".rstrip(" ")


def escaped(text: str) -> str:
    """The text on one line, every character of it to be seen: nobody can write another field's line into a value."""
    return "".join(_ESCAPES.get(char) or (_by_number(char) if unicodedata.category(char) in _UNSEEN else char) for char in text)


def _by_number(char: str) -> str:
    return f"\\u{ord(char):04X}" if ord(char) < 0x10000 else f"\\U{ord(char):08X}"


def sign_info(verified: Verified) -> SignInfo:
    """SignInfo of a message whose signer signed a text."""
    return SignInfo(
        algorithm=str(verified.algorithm),
        certificate=base64.b64encode(verified.certificate.der).decode(),
        signature=base64.b64encode(verified.signature).decode(),
        signed_text=verified.data.decode(),
    )
