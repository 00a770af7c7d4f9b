"""Header and body line as the entry page asks for them (`domain.md` §3.1, §3.2). Labels are the manual's; hints say how to enter."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from core.codes import ChoicesSource, CodeSource
from core.forms.fields import CodeField, NumberField, SystemField, TickField, is_ticked
from core.forms.form import EntryForm
from core.identifiers import normalised, normalised_plate
from smartgate.models import (
    BillType,
    BindKeyType,
    BusinessType,
    Filing,
    FilingLine,
    ImportExport,
    ObjectType,
    TransportMode,
    VehicleFlowType,
)
from smartgate.rules import (
    CUSTOMS_DISTRICTS,
    HEADER_NUMBERS,
    HEADER_RULES,
    LINE_NUMBERS,
    LINE_RULES,
    header_problems,
    line_problems,
)

BIND_KEY_TYPES = ChoicesSource(BindKeyType)
BUSINESS_TYPES = ChoicesSource(BusinessType)
TRANSPORT_MODES = ChoicesSource(TransportMode)
IMPORT_EXPORT = ChoicesSource(ImportExport)
VEHICLE_FLOW_TYPES = ChoicesSource(VehicleFlowType)
OBJECT_TYPES = ChoicesSource(ObjectType)
BILL_TYPES = ChoicesSource(BillType)

_PICK = _("按空格键弹出列表，可输入代码、名称或拼音首字母，回车确认")


def _label(model: type[Filing] | type[FilingLine], name: str) -> Any:
    return model._meta.get_field(name).verbose_name  # type: ignore[union-attr]


def _system(name: str) -> SystemField:
    return SystemField(label=_label(Filing, name))


def _code(model: type[Filing] | type[FilingLine], name: str, source: CodeSource, *, required: bool) -> CodeField:
    return CodeField(source, label=_label(model, name), required=required, help_text=_PICK)


def _offered(where: str, by: str, list_id: str) -> forms.TextInput:
    """A text field that offers what fits: the script asks `where`, by the value of the field `by`; without one the browser's list does."""
    return forms.TextInput(attrs={"data-suggest-url": reverse_lazy(where), "data-suggest-by": by, "list": list_id})


def _text(
    model: type[Filing] | type[FilingLine], name: str, hint: Any, *, required: bool = False, widget: forms.Widget | None = None
) -> forms.CharField:
    return forms.CharField(
        widget=widget,
        label=_label(model, name),
        required=required,
        help_text=hint,
        max_length=model._meta.get_field(name).max_length,  # type: ignore[union-attr]
    )


def _weight(model: type[Filing] | type[FilingLine], name: str, *, required: bool) -> NumberField:
    return NumberField(
        label=_label(model, name), required=required, help_text=_("单位为千克，最多 3 位小数"), min_value=0, max_digits=12, decimal_places=3
    )


class FilingPartForm(EntryForm):
    """What header, line and base data have in common: numbers in their stored form, and the values' own rules."""

    numbers: Sequence[str] = ()

    def problems(self, values: Mapping[str, Any]) -> Mapping[str, list[str]]:
        """What is wrong with the values, by field."""
        raise NotImplementedError

    def is_plate(self, name: str) -> bool:
        """Whether the field holds a number plate, as things stand in this form."""
        raise NotImplementedError

    def stored_form(self, name: str, value: str) -> str:
        """A number of the trade as it is kept."""
        return normalised_plate(value) if self.is_plate(name) else normalised(value)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        for name in self.numbers:
            if cleaned.get(name):
                cleaned[name] = self.stored_form(name, cleaned[name])
        for name, texts in self.problems(cleaned).items():
            if name not in self.errors:
                for text in texts:
                    self.add_error(name, text)
        return cleaned


class BindKeyForm(FilingPartForm):
    """A form that names a vehicle by its 绑定介质: type, key, and whether somebody vouches for a plate."""

    numbers: Sequence[str] = HEADER_NUMBERS

    def is_plate(self, name: str) -> bool:
        return bool(self.cleaned_data.get("bind_key_type") == BindKeyType.PLATE)

    def stored_form(self, name: str, value: str) -> str:
        # A barcode is read by a scanner exactly as it is printed.
        return value if self.cleaned_data.get("bind_key_type") == BindKeyType.BARCODE else super().stored_form(name, value)

    def problems(self, values: Mapping[str, Any]) -> Mapping[str, list[str]]:
        return header_problems(values)


def plate_verified_field() -> TickField:
    """车牌号已核实: the way round for plates whose form the program does not know (docs/adr/0105)."""
    return TickField(
        label=_("车牌号已核实（挂车、跨境等特殊车牌）"),
        help_text=_("仅用于系统不认识的号牌：与行驶证核对无误后勾选，勾选会留痕，申报时再次提示"),
    )


class FilingForm(BindKeyForm):
    """表头. Grey fields come from the stored filing or from the user's enterprise, never from the browser."""

    data_center_no = _system("data_center_no")
    trip_no = _system("trip_no")
    customs_code = _code(Filing, "customs_code", CUSTOMS_DISTRICTS, required=True)
    status = _system("status")
    entered_at = _system("entered_at")
    credit_code = _system("credit_code")
    organisation_code = _system("organisation_code")
    operator = _system("operator")
    bind_key_type = _code(Filing, "bind_key_type", BIND_KEY_TYPES, required=True)
    bind_key_info = _text(
        Filing,
        "bind_key_info",
        _("先选绑定介质类型；车牌号如 辽B12345，新能源 8 位，挂车以“挂”结尾；按 ↓ 选常用车辆"),
        widget=_offered("smartgate:vehicle_lookup", "bind_key_type", "usual-vehicles"),
    )
    plate_verified = plate_verified_field()
    business_type = _code(Filing, "business_type", BUSINESS_TYPES, required=True)
    transport_mode = _code(Filing, "transport_mode", TRANSPORT_MODES, required=True)
    ie_flag = _code(Filing, "ie_flag", IMPORT_EXPORT, required=True)
    vehicle_flow_type = _code(Filing, "vehicle_flow_type", VEHICLE_FLOW_TYPES, required=False)
    vehicle_weight = _weight(Filing, "vehicle_weight", required=True)
    trailer_weight = _weight(Filing, "trailer_weight", required=True)
    container_weight = _weight(Filing, "container_weight", required=True)
    remark = _text(Filing, "remark", _("选填，最多 1000 个字符；回车转到表体"))
    lock_version = forms.IntegerField(label=_("单据版本"), required=False, widget=forms.HiddenInput)
    #: Marks one new filing: sent twice (an answer lost on the way, a second click) it still makes one.
    entry_token = forms.UUIDField(label=_("录入页标记"), required=False, widget=forms.HiddenInput)

    rules = HEADER_RULES
    wide = ("remark",)


class FilingLineForm(FilingPartForm):
    """表体: one object that the vehicle carries."""

    direction = _code(FilingLine, "direction", IMPORT_EXPORT, required=False)
    object_type = _code(FilingLine, "object_type", OBJECT_TYPES, required=True)
    object_id = _text(
        FilingLine,
        "object_id",
        _("集装箱号、提单号、转关单号、车辆海关编号或车牌；出口提单可不填；提单可按 ↓ 选常用提单"),
        widget=_offered("smartgate:bill_lookup", "object_type", "known-bills"),
    )
    vessel_name = _text(FilingLine, "vessel_name", _("运输方式为水路时必填，公路、航空时不可填写"))
    voyage_no = _text(FilingLine, "voyage_no", _("水路填航次号，公路填货物运输批次号"), required=True)
    business_type = _code(FilingLine, "business_type", BUSINESS_TYPES, required=True)
    bill_type = _code(FilingLine, "bill_type", BILL_TYPES, required=False)
    pickup_weight = _weight(FilingLine, "pickup_weight", required=False)
    container_no_1 = _text(FilingLine, "container_no_1", _("业务类型为空箱时必填；4 位字母加 7 位数字，如 CSQU3054383"))
    container_no_2 = _text(FilingLine, "container_no_2", _("业务类型为空箱时必填；4 位字母加 7 位数字，如 CSQU3054383"))
    seal_no_1 = _text(FilingLine, "seal_no_1", _("集装箱号1 的电子关锁号，最多 3 个，以“|”分隔"))
    seal_no_2 = _text(FilingLine, "seal_no_2", _("集装箱号2 的电子关锁号，最多 3 个，以“|”分隔"))
    remark = _text(FilingLine, "remark", _("选填，最多 1000 个字符；回车保存本行"))

    rules = LINE_RULES
    numbers = LINE_NUMBERS

    def is_plate(self, name: str) -> bool:
        return name == "object_id" and bool(self.cleaned_data.get("object_type") == ObjectType.VEHICLE_PLATE)

    def problems(self, values: Mapping[str, Any]) -> Mapping[str, list[str]]:
        vouched = self.header is not None and is_ticked(self.header.rule_values.get("plate_verified"))
        return line_problems(values, plate_verified=vouched)
