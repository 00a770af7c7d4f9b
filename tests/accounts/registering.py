"""What the tests of the registration share: what people type, and the way through the steps."""

import re
from typing import Any

from django.test import Client

from notifications.models import Delivery, Way
from tests.factories import credit_code, identity_number

REGISTER = "/accounts/register/"
DONE = "/accounts/register/done/"
MOBILE = "13904110001"


def enterprise_data(number: int = 77, **changes: Any) -> dict[str, Any]:
    return {
        "enterprise_name": "大连新注册国际货运代理有限公司",
        "credit_code": credit_code(number),
        "organisation_code": "",
        "enterprise_types": ["sea_forwarder", "customs_broker"],
        "legal_person_name": "王海",
        "legal_person_id_no": identity_number(1),
        "office_phone": "0411-82732333",
        "office_address": "大连市中山区港湾街1号",
        **changes,
    }


def user_data(**changes: Any) -> dict[str, Any]:
    return {
        "username": "wanghai01",
        "password1": "Quay2026pier",
        "password2": "Quay2026pier",
        "full_name": "王海",
        "id_no": identity_number(2),
        "mobile": MOBILE,
        "sms_code": "",
        "email": "wanghai@example.com",
        **changes,
    }


def services_data(**changes: Any) -> dict[str, Any]:
    return {
        "services": ["goods_declaration", "manifest", "smartgate"],
        "inspection_registration_no": "2100000000",
        "customs_registration_no": "",
        "ic_card_no": "",
        "accept_agreements": "on",
        **changes,
    }


def last_text(mobile: str = MOBILE, way: Way = Way.SMS) -> str:
    """The last text to this number or address; empty when there is none."""
    delivery = Delivery.objects.filter(recipient=mobile, way=way).order_by("pk").last()
    return delivery.body if delivery else ""


def sms_code(client: Client, mobile: str = MOBILE, **fields: Any) -> str:
    """Ask for a code by the page's button; the code that came."""
    client.post(REGISTER, {**user_data(mobile=mobile), **fields, "send_code": "1"})
    found = re.search(r"验证码 ([0-9]{6})", last_text(mobile))
    assert found
    return found.group(1)


def text(response: Any) -> str:
    return response.content.decode()


def to_step_2(client: Client, number: int = 77, **changes: Any) -> None:
    response = client.post(REGISTER, enterprise_data(number, **changes))
    assert response.status_code == 302, text(response)


def to_step_3(client: Client, number: int = 77, **changes: Any) -> None:
    to_step_2(client, number)
    mobile = changes.get("mobile", MOBILE)
    response = client.post(REGISTER, user_data(**{"sms_code": sms_code(client, mobile), **changes}))
    assert response.status_code == 302, text(response)


def register(client: Client, number: int = 77, **changes: Any) -> Any:
    """All steps; `changes` are those of the user."""
    to_step_3(client, number, **changes)
    response = client.post(REGISTER, services_data())
    assert response.status_code == 302, text(response)
    assert response["Location"] == DONE
    return response
