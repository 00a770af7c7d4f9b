"""常用车辆 and 常用提单 as their pages ask for them; by the rules of a filing's fields."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from core.forms.fields import CodeField, NumberField
from core.identifiers import normalised, validate_mobile
from core.text import validate_plain_text
from smartgate.base_data.models import KnownBill, UsualVehicle
from smartgate.forms import BIND_KEY_TYPES, VEHICLE_FLOW_TYPES, BindKeyForm, FilingPartForm, plate_verified_field
from smartgate.rules import HEADER_RULES, validate_document_number

_PICK = _("按空格键弹出列表，可输入代码、名称或拼音首字母，回车确认")


def _label(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name).verbose_name  # type: ignore[union-attr]


def _text(model: type[models.Model], name: str, hint: Any, *, required: bool = False, max_length: int | None = None) -> forms.CharField:
    longest = max_length or model._meta.get_field(name).max_length  # type: ignore[union-attr]
    return forms.CharField(label=_label(model, name), required=required, help_text=hint, max_length=longest)


def _weight(model: type[models.Model], name: str, *, required: bool = False, least: Decimal = Decimal(0)) -> NumberField:
    return NumberField(
        label=_label(model, name),
        required=required,
        help_text=_("单位为千克，最多 3 位小数"),
        min_value=least,
        max_digits=12,
        decimal_places=3,
    )


def _problem(validate: Any, value: str) -> list[str]:
    if not value:
        return []
    try:
        validate(value)
    except ValidationError as error:
        return list(error.messages)
    return []


class VehicleForm(BindKeyForm):
    """常用车辆."""

    bind_key_type = CodeField(BIND_KEY_TYPES, label=_label(UsualVehicle, "bind_key_type"), help_text=_PICK)
    bind_key_info = _text(UsualVehicle, "bind_key_info", _("先选绑定介质类型；车牌号如 辽B12345，新能源 8 位，挂车以“挂”结尾"))
    plate_verified = plate_verified_field()
    vehicle_flow_type = CodeField(VEHICLE_FLOW_TYPES, label=_label(UsualVehicle, "vehicle_flow_type"), required=False, help_text=_PICK)
    vehicle_weight = _weight(UsualVehicle, "vehicle_weight")
    trailer_weight = _weight(UsualVehicle, "trailer_weight")
    container_weight = _weight(UsualVehicle, "container_weight")
    customs_no = _text(UsualVehicle, "customs_no", _("海关登记的车辆编号，没有可不填"))
    driver_name = _text(UsualVehicle, "driver_name", _("加密保存，列表中只显示姓"), max_length=50)
    driver_mobile = _text(UsualVehicle, "driver_mobile", _("11 位手机号，加密保存，列表中只显示前 3 位和后 4 位"), max_length=20)
    remark = _text(UsualVehicle, "remark", _("选填，最多 200 个字符"))
    lock_version = forms.IntegerField(label=_("记录版本"), required=False, widget=forms.HiddenInput)

    rules = HEADER_RULES
    wide = ("remark",)
    numbers: Sequence[str] = ("bind_key_info", "customs_no", "driver_mobile")

    def is_plate(self, name: str) -> bool:
        return name == "bind_key_info" and super().is_plate(name)

    def stored_form(self, name: str, value: str) -> str:
        return super().stored_form(name, value) if name == "bind_key_info" else normalised(value).replace("-", "")

    def problems(self, values: Mapping[str, Any]) -> Mapping[str, list[str]]:
        own = {
            "customs_no": _problem(validate_document_number, values.get("customs_no") or ""),
            "driver_name": _problem(validate_plain_text, values.get("driver_name") or ""),
            "driver_mobile": _problem(validate_mobile, values.get("driver_mobile") or ""),
        }
        return {**super().problems(values), **{name: texts for name, texts in own.items() if texts}}


class BillForm(FilingPartForm):
    """常用提单."""

    bill_no = _text(KnownBill, "bill_no", _("与申报单表体“绑定对象ID”中的提单号一致"), required=True)
    total_weight = _weight(KnownBill, "total_weight", required=True, least=Decimal("0.001"))
    vessel_name = _text(KnownBill, "vessel_name", _("选填，选用该提单时带入表体"))
    voyage_no = _text(KnownBill, "voyage_no", _("选填，选用该提单时带入表体"))
    remark = _text(KnownBill, "remark", _("选填，最多 200 个字符"))
    lock_version = forms.IntegerField(label=_("记录版本"), required=False, widget=forms.HiddenInput)

    wide = ("remark",)
    numbers = ("bill_no",)

    def is_plate(self, name: str) -> bool:
        return False

    def problems(self, values: Mapping[str, Any]) -> Mapping[str, list[str]]:
        found = {name: _problem(validate_plain_text, values.get(name) or "") for name in ("vessel_name", "voyage_no", "remark")}
        found["bill_no"] = _problem(validate_document_number, values.get("bill_no") or "")
        return {name: texts for name, texts in found.items() if texts}
