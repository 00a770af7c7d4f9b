"""Every rule of `domain.md` §3.1 and §3.2 with a value that breaks it, posted as a browser does, and the text a user then reads."""

import pytest

from smartgate.models import BusinessType, Filing, ObjectType
from tests.smartgate.factories import CONTAINER_LINE, HEADER, LINE, make_filing
from tests.smartgate.pages import NEW, SYSTEM_FIELDS, entry_post, problems_of

pytestmark = pytest.mark.django_db
EMPTY = {"lines": [{**CONTAINER_LINE, "business_type": BusinessType.EMPTY_CONTAINER, "container_no_2": "CSQU3054383"}]}


def with_line(**changed):
    return {"lines": [{**LINE, **changed}]}


def with_header(**changed):
    return {"header": changed}


REQUIRED = "此项必填。"
BROKEN = {
    # header: required
    **{
        f"{name} missing": (with_header(**{name: ""}), REQUIRED)
        for name in HEADER
        if name not in ("vehicle_flow_type", "remark", "bind_key_info")
    },
    "bind_key_info missing": (with_header(bind_key_info=""), "“绑定介质关键信息”必填"),
    # header: codes
    "customs_code unknown": (with_header(customs_code="9999"), "代码“9999”不在关区代码表中"),
    "bind_key_type unknown": (with_header(bind_key_type="XX"), "代码“XX”不在绑定介质类型表中"),
    "business_type unknown": (with_header(business_type="1111111111"), "代码“1111111111”不在业务类型表中"),
    "transport_mode of another gate": (with_header(transport_mode="3"), "代码“3”不在运输方式表中"),
    "ie_flag unknown": (with_header(ie_flag="X"), "代码“X”不在进出口标志表中"),
    "vehicle_flow_type unknown": (with_header(vehicle_flow_type="05"), "代码“05”不在过卡车辆类型表中"),
    # header: formats
    "plate with the letter O": (with_header(bind_key_info="辽BO2345"), "车牌号“辽BO2345”不正确"),
    "plate too short": (with_header(bind_key_info="辽B1234"), "车牌号“辽B1234”不正确"),
    "IC card number too short": (with_header(bind_key_type="IC", bind_key_info="12345"), "IC 卡号“12345”不正确"),
    "electronic plate with blanks and signs": (with_header(bind_key_type="VE", bind_key_info="A#1"), "电子车牌号“A#1”不正确"),
    "barcode too short": (with_header(bind_key_type="BC", bind_key_info="ab"), "条形码“ab”不正确"),
    "key info too long": (with_header(bind_key_type="BC", bind_key_info="a" * 65), "64"),
    **{
        f"{name} {what}": (with_header(**{name: value}), text)
        for name in ("vehicle_weight", "trailer_weight", "container_weight")
        for what, value, text in [
            ("negative", "-1", "0"),
            ("not a number", "很重", "请输入数字，如 6200.5"),
            ("with four decimals", "1.0001", "3"),
            ("too large", "1234567890", "不超过 9 位"),
            ("infinite", "Infinity", "请输入数字"),
        ]
    },
    "weight with a decimal comma": (with_header(vehicle_weight="8600,5"), "请输入数字，如 6200.5"),
    "weight as a programmer writes it": (with_header(vehicle_weight="1e3"), "请输入数字"),
    "weight with an underscore": (with_header(vehicle_weight="1_000"), "请输入数字"),
    "remark too long": (with_header(remark="备" * 1001), "1000"),
    "vessel name of nothing but a zero-width blank": (with_line(vessel_name="\u200b"), "不可见的控制字符"),
    "voyage number with a zero-width blank": (with_line(voyage_no="01\u200b26W"), "不可见的控制字符"),
    "plate with a dot too many": (with_header(bind_key_type="IC", bind_key_info="2100.012345678"), "IC 卡号“2100.012345678”不正确"),
    "seal with a dot": (with_line(seal_no_1="A.1"), "安全智能锁号“A.1”不正确"),
    "remark with a control character": (with_header(remark="散装\x0b大豆"), "控制字符"),
    # body: required, codes
    "object_type missing": (with_line(object_type=""), REQUIRED),
    "object_type unknown": (with_line(object_type="Z"), "代码“Z”不在绑定对象类型表中"),
    "direction unknown": (with_line(direction="Z"), "代码“Z”不在进出方向表中"),
    "voyage_no missing": (with_line(voyage_no=""), REQUIRED),
    "voyage_no too long": (with_line(voyage_no="1" * 33), "32"),
    "line business_type missing": (with_line(business_type=""), REQUIRED),
    "bill_type unknown": (with_line(bill_type="3"), "代码“3”不在提单类型表中"),
    # body: conditional
    **{
        f"object_id missing for {kind.label}": (with_line(object_type=kind, object_id=""), "绑定对象ID必填（仅出口的提单可以不填）")
        for kind in ObjectType
    },
    "vessel_name missing by water": (with_line(vessel_name=""), "运输方式为水路时，船名必填"),
    "bill_type missing for a bill": (with_line(bill_type=""), "绑定对象类型为提单时，提单类型必填"),
    "pickup_weight missing for a bill": (with_line(pickup_weight=""), "绑定对象类型为提单时，本次提货重量必填"),
    "pickup_weight negative": (with_line(pickup_weight="-1"), "0"),
    "container_no_1 missing for an empty container": (
        {"lines": [{**EMPTY["lines"][0], "container_no_1": ""}]},
        "业务类型为空箱时，集装箱号1和集装箱号2必填",
    ),
    "container_no_2 missing for an empty container": (
        {"lines": [{**EMPTY["lines"][0], "container_no_2": ""}]},
        "业务类型为空箱时，集装箱号1和集装箱号2必填",
    ),
    # body: formats
    "object_id no container": (with_line(object_type="C", object_id="ZIMU1234567"), "集装箱号“ZIMU1234567”不正确"),
    "object_id no plate": (with_line(object_type="VN", object_id="辽B1"), "车牌号“辽B1”不正确"),
    "object_id with forbidden signs": (with_line(object_id="A&B<C>"), "绑定对象ID“A&B<C>”不正确"),
    "container_no_1 check digit": (with_line(container_no_1="CSQU3054384"), "集装箱号“CSQU3054384”不正确"),
    "container_no_2 check digit": (with_line(container_no_2="CSQU3054384"), "集装箱号“CSQU3054384”不正确"),
    "four seals": (with_line(seal_no_1="A1|A2|A3|A4"), "最多 3 个"),
    "an empty seal": (with_line(seal_no_2="A1||A2"), "安全智能锁号“A1||A2”不正确"),
    "line remark too long": (with_line(remark="备" * 1001), "1000"),
}


@pytest.mark.covers("SGW-01", "PRT-04")
@pytest.mark.parametrize(("changes", "text"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_rule_is_said_and_nothing_is_stored(operator_client, changes, text):
    response = operator_client.post(NEW, entry_post("save", **changes))
    assert response.status_code == 200
    assert any(text in problem for problem in problems_of(response)), problems_of(response)
    assert not Filing.unscoped.exists()


GOOD = {
    "by water": {},
    "new energy plate": with_header(bind_key_info="辽BD12345"),
    "trailer": with_header(bind_key_info="辽B1234挂"),
    "plate typed as people write it": with_header(bind_key_info="辽b·12345"),
    "electronic plate": with_header(bind_key_type="VE", bind_key_info="E20034120"),
    "IC card": with_header(bind_key_type="IC", bind_key_info="2100012345678"),
    "barcode": with_header(bind_key_type="BC", bind_key_info="Abc-0001"),
    "full-width digits": with_header(vehicle_weight="８６００．５"),
    "thousands parted by a comma": with_header(vehicle_weight="18,600.5"),
    "no flow type, no remark": with_header(vehicle_flow_type="", remark=""),
    "bill without number, exporting": {**with_header(ie_flag="E"), **with_line(object_id="")},
    "no vessel by road": {**with_header(transport_mode="4"), **with_line(vessel_name="")},
    "no vessel by air": {**with_header(transport_mode="5"), **with_line(vessel_name="")},
    "container": {"lines": [CONTAINER_LINE]},
    "empty containers": EMPTY,
    "three seals": with_line(seal_no_1="A1|A2|A3"),
    "bill number with a dot": with_line(object_id="COSU123.45"),
    "transit document": with_line(object_type="T", object_id="ZG20260001", bill_type="", pickup_weight=""),
    "vehicle customs number": with_line(object_type="VC", object_id="2102000000001", bill_type="", pickup_weight=""),
    "vehicle plate": with_line(object_type="VN", object_id="辽B54321", bill_type="", pickup_weight=""),
    "remark of 1000": with_header(remark="备" * 1000),
    **{f"business type {kind.label}": with_header(business_type=kind) for kind in BusinessType},
}


@pytest.mark.covers("SGW-01", "SGW-02")
@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD.keys())
def test_a_filing_that_keeps_the_rules_is_stored(operator_client, changes):
    response = operator_client.post(NEW, entry_post("save", **changes))
    assert response.status_code == 302, problems_of(response)
    assert Filing.unscoped.get().lines.count() == 1


FORGED_LINES = {
    "vessel by road": ({"header": {"transport_mode": "4"}, "lines": [{**LINE, "vessel_name": "伪造"}]}, "vessel_name", ""),
    "vessel by air": ({"header": {"transport_mode": "5"}, "lines": [{**LINE, "vessel_name": "伪造"}]}, "vessel_name", ""),
    **{
        f"{name} of {kind}": ({"lines": [{**LINE, "object_type": kind, "object_id": number, name: value}]}, name, empty)
        for kind, number in [("C", "CSQU3054383"), ("T", "ZG1"), ("VC", "21020"), ("VN", "辽B54321")]
        for name, value, empty in [("bill_type", "1", ""), ("pickup_weight", "99", None)]
    },
    "wrong value in a grey field": (
        {"lines": [{**LINE, "object_type": "C", "object_id": "CSQU3054383", "bill_type": "9", "pickup_weight": "x"}]},
        "bill_type",
        "",
    ),
}


@pytest.mark.covers("SGW-01", "PRT-04")
@pytest.mark.parametrize(("changes", "name", "empty"), FORGED_LINES.values(), ids=FORGED_LINES.keys())
def test_a_forged_grey_field_of_a_line_is_ignored(operator_client, changes, name, empty):
    response = operator_client.post(NEW, entry_post("save", **changes))
    assert response.status_code == 302, problems_of(response)
    assert getattr(Filing.unscoped.get().lines.get(), name) == empty


@pytest.mark.covers("SGW-01", "PRT-04")
@pytest.mark.parametrize("name", SYSTEM_FIELDS)
def test_a_forged_system_field_is_ignored(operator, operator_client, name):
    honest = make_filing(operator, bind_key_info="辽B00001")
    forged = {"data_center_no": "9" * 18, "trip_no": "9" * 32, "status": "stored", "entered_at": "1999-01-01"}
    response = operator_client.post(NEW, entry_post("save", **{name: forged.get(name, "X" * 9)}))
    assert response.status_code == 302
    filing = Filing.unscoped.latest("id")
    assert filing.status == "draft"
    assert getattr(filing, name) not in (forged.get(name), "X" * 9)
    assert (filing.credit_code, filing.operator) == (honest.credit_code, honest.operator)
