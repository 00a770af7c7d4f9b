"""Own data: what is grey, what may be changed, how a phone number is changed; the menu that leads there (ACC-10)."""

import re
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from accounts.models import User
from accounts.rights import Role
from portal.menu import MENU, page_choices
from tests.accounts.pages import ID_NO, client_of, errors_of, field_values, sms_to, trail, tree_of
from tests.conftest import PASSWORD, make_user

pytestmark = pytest.mark.django_db

PROFILE, MOBILE_PAGE = "/accounts/profile/", "/accounts/profile/mobile/"
OLD, NEW = "13904117701", "13904117702"


def texts(response: Any) -> str:
    return str(tree_of(response).text_content())


def menu_of(response: Any) -> dict[str, list[str]]:
    """The groups of the left menu with their entries."""
    groups = tree_of(response).xpath("//nav[@id='menu']/ul/li[ul]")
    return {
        group.xpath("./span")[0].text_content().strip(): [entry.text_content().strip() for entry in group.xpath("./ul/li/a")]
        for group in groups
    }


@pytest.mark.covers("ACC-10")
def test_the_menu_has_the_manuals_entries_for_each(administrator, operator, staff):
    # What the portal has beyond the manual comes after the manual's own entries.
    manuals = ["企业管理员信息", "我的操作员", "我的IC卡", "我的资质", "我的应用权限"]
    assert menu_of(client_of(administrator).get(PROFILE))["管理员账号信息管理"][:5] == manuals
    operators = menu_of(client_of(operator).get(PROFILE))["操作员账号信息管理"]
    assert operators[:4] == ["企业操作员信息", "我的IC卡", "我的资质", "我的应用权限"]
    assert "我的操作员" not in operators
    of_staff = menu_of(client_of(staff).get(PROFILE))
    assert list(of_staff) == ["账号信息"]
    assert of_staff["账号信息"][0] == "用户信息"
    assert not {"我的操作员", "我的IC卡", "我的资质", "我的应用权限"} & set(of_staff["账号信息"])


@pytest.mark.covers("ACC-10")
def test_the_user_name_leads_to_ones_own_data(operator_client):
    tree = tree_of(operator_client.get("/"))
    (name,) = tree.xpath("//header//a[contains(@class,'user-menu-link')]")
    assert name.get("href") == PROFILE
    assert name.text_content().strip() == "operator1"


def test_the_account_group_is_no_tile_and_announcements_can_open_its_pages(operator_client, operator):
    page = texts(operator_client.get("/"))
    assert "操作员账号信息管理" not in page
    choices = dict(page_choices())
    assert choices["smartgate:new"] == "智能卡口散杂货 · 新增"
    assert choices["accounts:qualifications"] == "账号信息 · 我的资质"
    assert len(choices) == sum(len(group.items) for group in MENU)
    User.objects.filter(pk=operator.pk).update(applications=[])
    assert "您的账号还没有开通业务" in texts(operator_client.get("/"))


@pytest.mark.covers("ACC-10")
def test_an_administrator_brings_his_enterprises_data_up_to_date(administrator, enterprise):
    administrator.id_no = ID_NO
    administrator.save()
    client = client_of(administrator)
    page = client.get(PROFILE)
    assert "企业管理员信息" in texts(page)
    assert "210***********425X" in texts(page)
    assert ID_NO not in page.content.decode()
    sent = field_values(page) | {
        "enterprise_types": ["trader", "customs_broker"],
        "legal_person_name": "法人甲",
        "office_phone": "0411-82732333",
        "office_address": "大连市中山区2号",
        "email": "admin@example.com",
        # Not asked for, and not taken.
        "credit_code": "912102002026000204",
        "enterprise_name": "改名公司",
        "username": "other",
        "role": "platform_staff",
    }
    assert client.post(PROFILE, sent).url == PROFILE
    before = enterprise.name, enterprise.credit_code
    enterprise.refresh_from_db()
    assert (enterprise.name, enterprise.credit_code) == before
    assert enterprise.enterprise_types == ["trader", "customs_broker"]
    assert (enterprise.legal_person_name, enterprise.office_phone, enterprise.office_address) == (
        "法人甲",
        "0411-82732333",
        "大连市中山区2号",
    )
    (entry,) = trail("accounts.enterprise.edit")
    assert entry.before == {"enterprise_types": [], "legal_person_name": "", "office_phone": "", "office_address": ""}
    assert entry.after["legal_person_name"] == "法人甲"
    (entry,) = trail("accounts.user.edit")
    assert (entry.before, entry.after) == ({"email": ""}, {"email": "admin@example.com"})
    administrator.refresh_from_db()
    assert (administrator.username, administrator.role) == ("admin1", Role.ENTERPRISE_ADMINISTRATOR)
    assert client.post(PROFILE, field_values(client.get(PROFILE))).url == PROFILE
    assert len(trail("accounts.enterprise.edit")) == 1


def test_what_is_wrong_is_said_and_nothing_typed_is_lost(administrator):
    client = client_of(administrator)
    refused = client.post(PROFILE, field_values(client.get(PROFILE)) | {"email": "nobody", "office_address": "某处"})
    assert "邮箱格式不正确" in errors_of(refused)
    assert "此项必填" in errors_of(refused)
    kept = field_values(refused)
    assert (kept["email"], kept["office_address"]) == ("nobody", "某处")
    assert not trail("accounts.enterprise.edit")


def test_two_administrators_do_not_overwrite_each_other_unseen(administrator, enterprise):
    other = make_user("admin2", Role.ENTERPRISE_ADMINISTRATOR, enterprise)
    first, second = client_of(administrator), client_of(other)
    enterprise_data = {"enterprise_types": "trader", "legal_person_name": "甲", "office_phone": "82730001", "office_address": "一"}
    data = enterprise_data | {"email": "a@example.com"}
    before = field_values(second.get(PROFILE))
    first.post(PROFILE, field_values(first.get(PROFILE)) | data)
    refused = second.post(PROFILE, before | data | {"office_address": "二"})
    assert "已被他人修改" in errors_of(refused)
    other.refresh_from_db()
    assert other.email == ""
    assert second.post(PROFILE, field_values(refused)).url == PROFILE
    enterprise.refresh_from_db()
    assert enterprise.office_address == "二"


@pytest.mark.covers("ACC-10")
def test_an_operator_changes_his_address_and_nothing_of_the_enterprise(operator, operator_client, enterprise):
    page = operator_client.get(PROFILE)
    assert "企业操作员信息" in texts(page)
    assert set(tree_of(page).xpath("//main//form//input[not(@type='hidden')]/@name")) == {"email"}
    operator_client.post(PROFILE, {"email": "o@example.com", "office_address": "别处", "legal_person_name": "别人"})
    operator.refresh_from_db()
    enterprise.refresh_from_db()
    assert operator.email == "o@example.com"
    assert enterprise.office_address == ""


@pytest.mark.parametrize("role", [Role.TERMINAL, Role.CUSTOMS, Role.CCPIT, Role.PLATFORM_STAFF])
def test_users_without_an_enterprise_have_their_own_data_only(db, role):
    client = client_of(make_user("outsider1", role))
    page = client.get(PROFILE)
    assert "用户信息" in texts(page)
    assert "统一社会信用代码" not in texts(page)
    assert client.post(PROFILE, {"email": ""}).url == PROFILE


def code_sent_to(mobile: str) -> str:
    found = re.search(r"验证码 ([0-9]{6})", sms_to(mobile)[-1])
    assert found
    return found[1]


@pytest.mark.covers("ACC-10")
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_phone_is_changed_by_a_code_to_the_new_number_and_the_old_one_is_told(operator, operator_client, headers):
    User.objects.filter(pk=operator.pk).update(mobile=OLD)
    answer = operator_client.post(MOBILE_PAGE, {"mobile": "１３９ 0411 7702", "send_code": "1", "sms_code": ""}, headers=headers)
    assert "验证码已发送" in texts(answer)
    assert "此项必填" not in texts(answer)
    if not headers:
        assert field_values(answer)["mobile"] == NEW
    code = code_sent_to(NEW)
    assert operator_client.post(MOBILE_PAGE, {"mobile": NEW, "sms_code": code, "password": PASSWORD}).url == PROFILE
    operator.refresh_from_db()
    assert operator.mobile == NEW
    assert "139****7702" in sms_to(OLD)[-1]
    (entry,) = trail("accounts.user.change_mobile")
    assert (entry.before, entry.after) == ({"mobile": "139****7701"}, {"mobile": "139****7702"})
    refused = operator_client.post(MOBILE_PAGE, {"mobile": OLD, "sms_code": code, "password": PASSWORD})
    assert "验证码不正确或已失效" in errors_of(refused)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"mobile": "12", "sms_code": "123456"}, "手机号不正确"),
        ({"mobile": NEW, "sms_code": "12"}, "6 位数字"),
        ({"mobile": NEW, "sms_code": "123456"}, "验证码不正确或已失效"),
        ({"mobile": OLD, "sms_code": "123456"}, "无需更换"),
    ],
)
def test_a_wrong_code_or_number_changes_nothing(operator, operator_client, sent, told):
    User.objects.filter(pk=operator.pk).update(mobile=OLD)
    refused = operator_client.post(MOBILE_PAGE, {"password": PASSWORD} | sent)
    assert told in errors_of(refused)
    assert field_values(refused)["mobile"] == sent["mobile"]
    operator.refresh_from_db()
    assert operator.mobile == OLD


def test_a_code_for_something_else_changes_no_phone(operator, operator_client):
    from accounts.codes import send_code
    from accounts.models import SmsPurpose

    send_code(purpose=SmsPurpose.FIRST_LOGIN, mobile=NEW, ip="")
    sent = {"mobile": NEW, "sms_code": code_sent_to(NEW), "password": PASSWORD}
    assert "验证码不正确" in errors_of(operator_client.post(MOBILE_PAGE, sent))


def test_whoever_finds_a_session_open_does_not_get_the_account_by_a_phone_of_his(operator, operator_client):
    """The phone opens 忘记密码; five guesses of the password a minute, and a wrong one uses up no code."""
    User.objects.filter(pk=operator.pk).update(mobile=OLD)
    operator_client.post(MOBILE_PAGE, {"mobile": NEW, "send_code": "1"})
    sent = {"mobile": NEW, "sms_code": code_sent_to(NEW)}
    assert "此项必填" in errors_of(operator_client.post(MOBILE_PAGE, sent))
    for _guess in range(5):
        assert "登录密码不正确" in errors_of(operator_client.post(MOBILE_PAGE, sent | {"password": "Guess12345"}))
    assert "尝试过于频繁" in errors_of(operator_client.post(MOBILE_PAGE, sent | {"password": PASSWORD}))
    operator.refresh_from_db()
    assert operator.mobile == OLD
    cache.clear()
    assert operator_client.post(MOBILE_PAGE, sent | {"password": PASSWORD}).url == PROFILE


def test_a_wrong_number_gets_no_code(operator_client):
    answer = operator_client.post(MOBILE_PAGE, {"mobile": "12", "send_code": "1"})
    assert "手机号不正确" in texts(answer)
    assert field_values(answer)["mobile"] == "12"


def test_every_icon_of_the_menu_is_on_the_list():
    listed = set((settings.BASE_DIR / "static/portal/icons.txt").read_text(encoding="utf-8").split())
    assert {group.icon for group in MENU} | {item.icon for group in MENU for item in group.items} <= listed


def test_a_frozen_user_opens_nothing(operator, operator_client):
    User.objects.filter(pk=operator.pk).update(frozen_at=timezone.now())
    assert operator_client.get(PROFILE).status_code in (302, 403)
