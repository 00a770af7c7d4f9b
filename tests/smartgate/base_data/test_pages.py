"""新增, 修改, 删除 of 常用车辆 and 常用提单: rules, scope, trail, two at once."""

from decimal import Decimal

import pytest
from django.db import connection

from accounts.rights import RIGHTS, Right, Role
from core.models import AuditEntry
from smartgate.base_data import services
from smartgate.base_data.models import KnownBill, UsualVehicle
from tests.smartgate.factories import make_bill, make_vehicle
from tests.smartgate.pages import problems_of

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-11")]
VEHICLES, BILLS = "/smartgate/base/vehicles/", "/smartgate/base/bills/"
VEHICLE = {
    "bind_key_type": "VN",
    "bind_key_info": "辽b·12345",
    "vehicle_flow_type": "02",
    "vehicle_weight": "8,600",
    "trailer_weight": "6200.5",
    "container_weight": "",
    "customs_no": "2102-0001",
    "driver_name": "张师傅",
    "driver_mobile": "138 0411 0001",
    "remark": "",
}
BILL = {"bill_no": "cosu 123", "total_weight": "50000", "vessel_name": "新海天", "voyage_no": "0126W", "remark": ""}


def post(client, path, data, **more):
    return client.post(path, {**data, **more, "action": "save"})


def test_a_vehicle_is_stored_as_filings_have_it(operator, operator_client):
    response = post(operator_client, f"{VEHICLES}new/", VEHICLE)
    assert (response.status_code, response["Location"]) == (302, VEHICLES), problems_of(response)
    vehicle = UsualVehicle.unscoped.get()
    assert (vehicle.bind_key_info, vehicle.vehicle_weight, vehicle.container_weight) == ("辽B12345", Decimal("8600"), None)
    assert (vehicle.customs_no, vehicle.driver_mobile, vehicle.enterprise) == ("21020001", "13804110001", operator.enterprise)


def test_a_bill_is_stored_as_filings_have_it(operator_client):
    assert post(operator_client, f"{BILLS}new/", BILL).status_code == 302
    assert (KnownBill.unscoped.get().bill_no, KnownBill.unscoped.get().total_weight) == ("COSU123", Decimal(50_000))


@pytest.mark.parametrize(
    ("path", "data", "text"),
    [
        (VEHICLES, {**VEHICLE, "bind_key_info": "WX8888"}, "勾选表头的“车牌号已核实”"),
        (VEHICLES, {**VEHICLE, "bind_key_info": ""}, "“绑定介质关键信息”必填"),
        (VEHICLES, {**VEHICLE, "driver_mobile": "12345"}, "手机号不正确"),
        (VEHICLES, {**VEHICLE, "customs_no": "A&B"}, "只能含字母、数字"),
        (VEHICLES, {**VEHICLE, "vehicle_weight": "-1"}, "0"),
        (BILLS, {**BILL, "bill_no": "A<B"}, "只能含字母、数字"),
        (BILLS, {**BILL, "total_weight": "0"}, "0.001"),
        (BILLS, {**BILL, "total_weight": ""}, "此项必填"),
        (BILLS, {**BILL, "voyage_no": "01\u200b26W"}, "不可见的控制字符"),
    ],
)
def test_a_broken_rule_is_said_and_nothing_is_stored(operator_client, path, data, text):
    response = post(operator_client, f"{path}new/", data)
    assert any(text in problem for problem in problems_of(response)), problems_of(response)
    assert not UsualVehicle.unscoped.exists()
    assert not KnownBill.unscoped.exists()


def test_the_same_twice_is_told_at_its_field(operator, operator_client, other_operator):
    make_vehicle(other_operator)
    make_vehicle(operator)
    make_bill(operator, bill_no="COSU123")
    for path, data, name in ((VEHICLES, VEHICLE, "bind_key_info"), (BILLS, BILL, "bill_no")):
        response = post(operator_client, f"{path}new/", data)
        assert "已在列表中" in str(response.context["form"][name].errors)
    assert UsualVehicle.unscoped.count() == 2


def test_a_change_is_audited_with_what_changed_and_the_driver_masked(operator, operator_client):
    vehicle = make_vehicle(operator, driver_name="李师傅", driver_mobile="13904110009")
    url = f"{VEHICLES}{vehicle.pk}/edit/"
    assert post(operator_client, url, VEHICLE, lock_version=vehicle.lock_version).status_code == 302
    entry = AuditEntry.unscoped.get(action="smartgate.vehicle.edit")
    assert entry.before["driver_mobile"] == "139****0009"
    assert entry.after["driver_mobile"] == "138****0001"
    assert (entry.before["driver_name"], entry.after["driver_name"]) == ("李**", "张**")
    assert "vehicle_weight" not in entry.after
    post(operator_client, url, VEHICLE, lock_version=0)
    assert AuditEntry.unscoped.filter(action="smartgate.vehicle.edit").count() == 1, "nothing changed, nothing to tell"
    operator_client.post(f"{VEHICLES}{vehicle.pk}/delete/")
    told = str([(one.before, one.after) for one in AuditEntry.unscoped.filter(action__startswith="smartgate.vehicle")])
    assert "smartgate.vehicle.delete" in AuditEntry.unscoped.values_list("action", flat=True)
    assert not UsualVehicle.unscoped.exists()
    for secret in ("张师傅", "李师傅", "13804110001", "13904110009"):
        assert secret not in told


def test_the_database_does_not_hold_a_driver_in_the_clear(operator):
    make_vehicle(operator, driver_name="张师傅", driver_mobile="13804110001")
    with connection.cursor() as cursor:
        cursor.execute("SELECT driver_name || driver_mobile FROM smartgate_usualvehicle")
        (stored,) = cursor.fetchone()
    assert "张" not in stored
    assert "13804110001" not in stored
    vehicle = UsualVehicle.objects.for_user(operator).get()
    assert (vehicle.driver_name, vehicle.driver_mobile) == ("张师傅", "13804110001")


def test_the_second_of_two_editors_is_told_and_decides(operator, operator_client):
    bill = make_bill(operator, bill_no="COSU123")
    url = f"{BILLS}{bill.pk}/edit/"
    post(operator_client, url, {**BILL, "remark": "先"}, lock_version=1)
    response = post(operator_client, url, {**BILL, "remark": "后"}, lock_version=1)
    assert any("已被修改" in problem for problem in problems_of(response))
    assert response.context["form"]["lock_version"].value() == "2"
    assert KnownBill.unscoped.get().remark == "先"
    post(operator_client, url, {**BILL, "remark": "后"}, lock_version=2)
    assert KnownBill.unscoped.get().remark == "后"


@pytest.mark.parametrize("rest", ["edit/", "delete/"])
@pytest.mark.parametrize(("path", "make"), [(VEHICLES, make_vehicle), (BILLS, make_bill)])
def test_a_strangers_record_is_not_there(operator, other_client, path, make, rest):
    record = make(operator)
    assert post(other_client, f"{path}{record.pk}/{rest}", {**VEHICLE, **BILL}, lock_version=1).status_code == 404
    record.refresh_from_db()
    assert record.lock_version == 1
    assert "COSU" not in other_client.get(path).content.decode()


def test_services_know_whose_it_is(operator, other_operator, staff):
    vehicle, bill = make_vehicle(operator), make_bill(operator)
    with pytest.raises(UsualVehicle.DoesNotExist):
        services.delete_vehicle(actor=other_operator, vehicle_id=vehicle.pk)
    with pytest.raises(KnownBill.DoesNotExist):
        services.save_bill(actor=other_operator, entry=services.BillEntry(bill_no="X", total_weight=Decimal(1)), bill_id=bill.pk)
    with pytest.raises(services.ActionRefused):
        make_vehicle(staff)


def test_who_may_only_look_is_offered_nothing_else(operator, operator_client, monkeypatch):
    make_vehicle(operator)
    monkeypatch.setitem(RIGHTS, Role.OPERATOR, RIGHTS[Role.OPERATOR] - {Right.SMARTGATE_EDIT})
    page = operator_client.get(VEHICLES).content.decode()
    assert "辽B12345" in page
    assert "/new/" not in page.split("<main")[1]
    assert "/edit/" not in page
    assert operator_client.post(f"{VEHICLES}{UsualVehicle.unscoped.get().pk}/delete/").status_code == 403
