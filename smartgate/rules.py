"""The rules of a filing's fields (`domain.md` §3.1 to §3.3, M4 §3.1.1), once for pages, messages and declaring.

Conditional rules (required, grey) are data that the page shows and the server keeps; what a value must look like is checked by
`header_problems` and `line_problems`. `filing_errors` asks everything once more of what is stored, before it goes to customs.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import identifiers
from core.forms.rules import HEADER, Rule, evaluate
from core.text import validate_plain_text
from reference.sources import TableSource
from smartgate.models import BindKeyType, BusinessType, Filing, FilingLine, ImportExport, ObjectType, TransportMode

CUSTOMS_DISTRICTS = TableSource("customs")

_NOT_A_BILL = {kind.value for kind in ObjectType if kind is not ObjectType.BILL}

HEADER_RULES: Sequence[Rule] = (
    Rule("bind_key_info", grey_when={"bind_key_type": {""}}, required_when={"bind_key_type": set(BindKeyType.values)}),
)
LINE_RULES: Sequence[Rule] = (
    Rule(
        "object_id",
        required_when=[
            {"object_type": _NOT_A_BILL},
            {"object_type": {ObjectType.BILL.value}, f"{HEADER}ie_flag": {ImportExport.IMPORT.value}},
        ],
        message=gettext_lazy("绑定对象ID必填（仅出口的提单可以不填）。"),
    ),
    Rule(
        "vessel_name",
        required_when={f"{HEADER}transport_mode": {TransportMode.WATER.value}},
        grey_when={f"{HEADER}transport_mode": {TransportMode.ROAD.value, TransportMode.AIR.value}},
        message=gettext_lazy("运输方式为水路时，船名必填。"),
    ),
    Rule(
        "bill_type",
        required_when={"object_type": {ObjectType.BILL.value}},
        grey_when={"object_type": _NOT_A_BILL},
        message=gettext_lazy("绑定对象类型为提单时，提单类型必填。"),
    ),
    Rule(
        "pickup_weight",
        required_when={"object_type": {ObjectType.BILL.value}},
        grey_when={"object_type": _NOT_A_BILL},
        message=gettext_lazy("绑定对象类型为提单时，本次提货重量必填。"),
    ),
    *(
        Rule(
            name,
            required_when={"business_type": {BusinessType.EMPTY_CONTAINER.value}},
            message=gettext_lazy("业务类型为空箱时，集装箱号1和集装箱号2必填。"),
        )
        for name in ("container_no_1", "container_no_2")
    ),
)

HEADER_REQUIRED = (
    "customs_code",
    "bind_key_type",
    "bind_key_info",
    "business_type",
    "transport_mode",
    "ie_flag",
    "vehicle_weight",
    "trailer_weight",
    "container_weight",
)
LINE_REQUIRED = ("object_type", "voyage_no", "business_type")
_CODES = {"bind_key_type", "business_type", "transport_mode", "ie_flag", "vehicle_flow_type", "direction", "object_type", "bill_type"}

#: Fields whose value is a number of the trade: stored in upper case, half-width, without blanks.
HEADER_NUMBERS = ("bind_key_info",)
LINE_NUMBERS = ("object_id", "container_no_1", "container_no_2", "seal_no_1", "seal_no_2")

SEALS_AT_MOST = 3
_SEAL = re.compile(r"[0-9A-Z\-]{1,32}")

Validator = Callable[[str], None]


def validate_electronic_plate(value: str) -> None:
    """电子车牌号: 4 to 64 letters, digits or hyphens (the tag's own number; its form is not published)."""
    if not re.fullmatch(r"[0-9A-Z\-]{4,64}", value):
        raise ValidationError(
            _("电子车牌号“%(value)s”不正确：应为 4 至 64 位字母、数字或“-”。"), params={"value": value}, code="electronic_plate"
        )


def validate_barcode(value: str) -> None:
    """条形码: 4 to 64 characters that Code 128 can print."""
    if not re.fullmatch(r"[!-~]{4,64}", value):
        raise ValidationError(_("条形码“%(value)s”不正确：应为 4 至 64 位字母、数字或英文符号。"), params={"value": value}, code="barcode")


def validate_document_number(value: str) -> None:
    """转关单号, 提单号, 车辆海关编号: up to 64 letters, digits and the signs that carriers use in them."""
    if not re.fullmatch(r"[0-9A-Z\-./*_()+]{1,64}", value):
        raise ValidationError(
            _("绑定对象ID“%(value)s”不正确：只能含字母、数字和 - . / * _ ( ) +。"), params={"value": value}, code="document_number"
        )


def validate_seals(value: str) -> None:
    """安全智能锁号: up to three, parted by `|` (M4 §3.1.1.2)."""
    seals = value.split("|")
    if len(seals) > SEALS_AT_MOST:
        raise ValidationError(
            _("安全智能锁号最多 3 个，以“|”分隔；当前有 %(count)s 个。"), params={"count": len(seals)}, code="too_many_seals"
        )
    if not all(_SEAL.fullmatch(seal) for seal in seals):
        raise ValidationError(
            _("安全智能锁号“%(value)s”不正确：每个 1 至 32 位字母、数字或“-”，以“|”分隔。"), params={"value": value}, code="seal"
        )


def _validate_plate(value: str) -> None:
    """A plate of a known form; of another one the user reads how to pass."""
    try:
        identifiers.validate_plate(value)
    except ValidationError as error:
        if _problem(identifiers.validate_verified_plate, value):
            raise
        way = _("挂车、跨境等特殊车牌请与行驶证核对，无误后勾选表头的“车牌号已核实”再保存。")
        raise ValidationError("".join([*error.messages, way]), code="plate") from None


def is_unusual_plate(value: str) -> bool:
    """Whether the program does not know the form of a plate: it goes only with 车牌号已核实."""
    try:
        identifiers.validate_plate(value)
    except ValidationError:
        return True
    return False


BIND_KEY_VALIDATORS: Mapping[str, Validator] = {
    BindKeyType.PLATE: _validate_plate,
    BindKeyType.ELECTRONIC_PLATE: validate_electronic_plate,
    BindKeyType.IC_CARD: identifiers.validate_ic_card_no,
    BindKeyType.BARCODE: validate_barcode,
}
OBJECT_VALIDATORS: Mapping[str, Validator] = {
    ObjectType.CONTAINER: identifiers.validate_container_no,
    ObjectType.BILL: validate_document_number,
    ObjectType.TRANSIT_DOCUMENT: validate_document_number,
    ObjectType.VEHICLE_CUSTOMS_NO: validate_document_number,
    ObjectType.VEHICLE_PLATE: _validate_plate,
}


def _vouched(validate: Validator | None, *, is_verified: bool) -> Validator | None:
    """What is asked of a value that somebody vouches for, when it is a plate."""
    return identifiers.validate_verified_plate if is_verified and validate is _validate_plate else validate


def _problem(validate: Validator | None, value: str) -> list[str]:
    if not value or validate is None:
        return []
    try:
        validate(value)
    except ValidationError as error:
        return list(error.messages)
    return []


def header_problems(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is wrong with the header's values, by field; values that are missing are not looked at."""
    validate = _vouched(BIND_KEY_VALIDATORS.get(values.get("bind_key_type") or ""), is_verified=bool(values.get("plate_verified")))
    problems = {
        "bind_key_info": _problem(validate, values.get("bind_key_info") or ""),
        "remark": _problem(validate_plain_text, values.get("remark") or ""),
    }
    return {name: texts for name, texts in problems.items() if texts}


def line_problems(values: Mapping[str, Any], *, plate_verified: bool = False) -> dict[str, list[str]]:
    """What is wrong with a body line's values, by field; values that are missing are not looked at. `plate_verified` is the header's."""

    def of(name: str, validate: Validator | None) -> list[str]:
        return _problem(validate, values.get(name) or "")

    problems = {
        "object_id": of("object_id", _vouched(OBJECT_VALIDATORS.get(values.get("object_type") or ""), is_verified=plate_verified)),
        "vessel_name": of("vessel_name", validate_plain_text),
        "voyage_no": of("voyage_no", validate_plain_text),
        "container_no_1": of("container_no_1", identifiers.validate_container_no),
        "container_no_2": of("container_no_2", identifiers.validate_container_no),
        "seal_no_1": of("seal_no_1", validate_seals),
        "seal_no_2": of("seal_no_2", validate_seals),
        "remark": of("remark", validate_plain_text),
    }
    return {name: texts for name, texts in problems.items() if texts}


def _texts(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    return {prefix + name: "" if value is None else str(value) for name, value in values.items()}


def _without_grey(values: dict[str, Any], rules: Sequence[Rule], context: Mapping[str, str]) -> dict[str, Any]:
    states = evaluate(rules, {**_texts(values), **context})
    empty = {name: None if name == "pickup_weight" else "" for name, state in states.items() if state.is_grey}
    return {**values, **empty}


def without_grey_header(values: dict[str, Any]) -> dict[str, Any]:
    """The header's values with grey fields emptied: whatever a browser sent, customs gets none of it (`domain.md` §3.3)."""
    return _without_grey(values, HEADER_RULES, {})


def without_grey_line(values: dict[str, Any], header: Mapping[str, Any]) -> dict[str, Any]:
    """A body line's values with grey fields emptied."""
    return _without_grey(values, LINE_RULES, _texts(header, HEADER))


def _missing(record: Filing | FilingLine, required: Sequence[str], rules: Sequence[Rule], values: Mapping[str, str]) -> list[str]:
    by_rule = [name for name, state in evaluate(rules, values).items() if state.is_required]
    names = dict.fromkeys([*required, *by_rule])
    return [
        _("%(field)s必填。") % {"field": record._meta.get_field(name).verbose_name}  # type: ignore[union-attr]
        for name in names
        if not values.get(name)
    ]


def filing_errors(filing: Filing, lines: Sequence[FilingLine]) -> list[str]:
    """Everything that keeps a stored filing from being declared, each with where it is; empty when nothing does.

    The page has asked most of this already; between 暂存 and 申报 code tables and rules can have changed.
    """
    header = {name: getattr(filing, name) for name in (*HEADER_REQUIRED, "vehicle_flow_type", "plate_verified", "remark")}
    errors = _missing(filing, HEADER_REQUIRED, HEADER_RULES, _texts(header))
    errors += [text for texts in header_problems(header).values() for text in texts]
    errors += _unknown_codes(filing, [*HEADER_REQUIRED, "vehicle_flow_type"])
    if filing.customs_code and CUSTOMS_DISTRICTS.get(filing.customs_code) is None:
        errors.append(_("关区代码“%(code)s”不在有效的关区代码表中，请重新选择。") % {"code": filing.customs_code})
    if not lines:
        errors.append(_("表体至少需要一条记录，请先新增表体信息再申报。"))
    context = _texts(header, HEADER)
    for line in lines:
        values = {field.name: getattr(line, field.name) for field in line._meta.concrete_fields if not field.is_relation}
        found = _missing(line, LINE_REQUIRED, LINE_RULES, {**_texts(values), **context})
        found += [text for texts in line_problems(values, plate_verified=filing.plate_verified).values() for text in texts]
        found += _unknown_codes(line, [name for name in values if name in _CODES])
        errors += [_("表体第 %(number)s 行：%(text)s") % {"number": line.line_no, "text": text} for text in found]
    return errors


def _unknown_codes(record: Filing | FilingLine, names: Sequence[str]) -> list[str]:
    """Stored codes that are none of their field's choices; only data that did not come through the page can have them."""
    errors = []
    for name in names:
        value = getattr(record, name)
        field = record._meta.get_field(name)
        choices = dict(field.flatchoices)  # type: ignore[union-attr]
        if name in _CODES and value and value not in choices:
            errors.append(_("%(field)s“%(value)s”不在代码表中。") % {"field": field.verbose_name, "value": value})  # type: ignore[union-attr]
    return errors
