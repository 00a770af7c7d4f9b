"""Code, number and system fields, and the rules as a form applies them."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from core.codes import ChoicesSource
from core.forms.fields import CodeField, NumberField
from tests.core.forms.example import BindKey, Districts, HeaderForm, LineForm

HEADER: dict[str, Any] = {
    "customs_code": "0908",
    "bind_key_type": "VN",
    "bind_key_info": "辽B12345",
    "business_type": "1000000000",
    "transport_mode": "2",
    "ie_flag": "E",
    "vehicle_weight": "9000",
}
LINE: dict[str, Any] = {"object_type": "C", "object_id": "CSQU3054383", "voyage_no": "026W", "business_type": "1000000000"}


@pytest.mark.parametrize("typed", ["0908", " 0908 ", "连大窑湾", "0908 连大窑湾"])
def test_a_code_is_taken_as_people_write_it(typed: str) -> None:
    assert CodeField(Districts(), label="关区代码").clean(typed) == "0908"


@pytest.mark.parametrize("typed", ["vn", "VN", "车牌号", "VN 车牌号"])
def test_letters_of_a_code_may_be_small(typed: str) -> None:
    assert CodeField(ChoicesSource(BindKey), label="绑定介质类型").clean(typed) == "VN"


@pytest.mark.parametrize("typed", ["9999", "0908 大连海关", "大连", "<script>"])
def test_what_is_in_no_table_is_refused_by_name(typed: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CodeField(Districts(), label="关区代码").clean(typed)
    assert caught.value.messages == [f"代码“{typed}”不在关区代码表中，请从列表中选择。"]


def test_a_short_table_is_a_select_and_a_long_one_a_text_field() -> None:
    form = HeaderForm(initial={"customs_code": "0908", "bind_key_type": "VN"})
    short, long = str(form["bind_key_type"]), str(form["customs_code"])
    assert '<option value="VN" selected data-initials="cph">VN 车牌号</option>' in short
    assert 'value="0908 连大窑湾"' in long
    assert 'data-lookup-url="/lookup/"' in long
    assert 'data-code="0908"' in long


def test_a_refused_code_stays_in_its_select() -> None:
    form = HeaderForm({"bind_key_type": "ZZ"})
    assert '<option value="ZZ" selected>ZZ</option>' in str(form["bind_key_type"])


def test_numbers_may_carry_thousands_and_blanks() -> None:
    assert NumberField(label="重量").clean(" 12,500.5 ") == Decimal("12500.5")


def test_forged_system_fields_are_ignored() -> None:
    form = HeaderForm({**HEADER, "data_center_no": "666", "status": "已办结"}, initial={"data_center_no": "1", "status": "暂存"})
    assert form.is_valid(), form.errors
    assert "data_center_no" not in form.cleaned_data
    assert "status" not in form.cleaned_data
    assert form["data_center_no"].value() == "1"


def test_forged_grey_fields_are_emptied() -> None:
    header = HeaderForm({**HEADER, "transport_mode": "4"})
    line = LineForm({**LINE, "vessel_name": "forged", "bill_type": "9", "pickup_weight": "1"}, header=header)
    assert line.is_valid(), line.errors
    assert (line.cleaned_data["vessel_name"], line.cleaned_data["bill_type"], line.cleaned_data["pickup_weight"]) == ("", "", None)


def test_a_required_field_that_is_grey_is_not_asked_for() -> None:
    form = HeaderForm({**HEADER, "bind_key_type": "", "bind_key_info": "辽B12345"})
    assert set(form.errors) == {"bind_key_type"}
    assert form.cleaned_data["bind_key_info"] == ""
    assert form["bind_key_info"].value() == "辽B12345"


def test_a_missing_value_says_what_makes_it_required() -> None:
    line = LineForm({**LINE, "object_id": "", "business_type": "空箱"}, header=HeaderForm(HEADER))
    assert line.errors == {
        "object_id": ["绑定对象类型为“C 集装箱”时，“绑定对象ID”必填。"],
        "vessel_name": ["运输方式为“2 水路”时，“船名”必填。"],
        "container_no_1": ["业务类型为空箱时，请填写集装箱号。"],
    }


def test_conditions_of_two_fields_are_named_together() -> None:
    line = LineForm(
        {**LINE, "object_type": "B", "object_id": "", "vessel_name": "远洋", "bill_type": "1", "pickup_weight": "1"},
        header=HeaderForm({**HEADER, "ie_flag": "I"}),
    )
    assert line.errors == {"object_id": ["绑定对象类型为“B 提单”，且进出口标志为“I 进口”时，“绑定对象ID”必填。"]}


@pytest.mark.parametrize(("flag", "is_valid"), [("E", True), ("I", False)])
def test_a_bill_needs_its_number_only_when_importing(flag: str, is_valid: bool) -> None:
    bill = {**LINE, "object_type": "B", "object_id": "", "vessel_name": "远洋", "bill_type": "1", "pickup_weight": "800"}
    assert LineForm(bill, header=HeaderForm({**HEADER, "ie_flag": flag})).is_valid() is is_valid


def test_names_work_in_conditions_where_codes_do() -> None:
    line = LineForm({**LINE, "vessel_name": ""}, header=HeaderForm({**HEADER, "transport_mode": "公路"}))
    assert line.is_valid(), line.errors
