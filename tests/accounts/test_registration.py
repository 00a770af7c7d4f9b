"""用户注册 through the pages: four steps, what is kept and what never is, and what bad input gets (ACC-01 to ACC-05)."""

import json
import logging
import re
import time
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import check_password
from django.test import Client
from django.utils import timezone

from accounts import agreements
from accounts.models import Enterprise, Qualification, Registration, ReviewStatus, SmsCode, User
from accounts.rights import Role
from core.fields import decrypt, encrypt
from core.models import AuditEntry
from notifications.models import Delivery, Way
from tests.accounts.registering import (
    DONE,
    MOBILE,
    REGISTER,
    enterprise_data,
    last_text,
    register,
    services_data,
    sms_code,
    text,
    to_step_2,
    to_step_3,
    user_data,
)
from tests.conftest import bind_card, make_enterprise, make_user
from tests.factories import credit_code, identity_number

pytestmark = pytest.mark.django_db


def kept(client):
    """What the session holds of the registration, decrypted."""
    return json.loads(decrypt(client.session["registration"]))


def current_step(client):
    return re.search(r'name="step" value="(\w+)"', text(client.get(REGISTER))).group(1)


# -- The whole way --------------------------------------------------------------------------------


@pytest.mark.covers("ACC-01", "ACC-02", "ACC-03", "ACC-04", "ACC-05")
def test_four_steps_make_an_enterprise_and_its_administrator(client):
    for label in ("企业信息", "用户信息", "业务开通", "注册完成"):
        assert label in text(client.get(REGISTER))
    register(client)
    enterprise = Enterprise.objects.get(credit_code=credit_code(77))
    assert enterprise.organisation_code == credit_code(77)[8:17]
    assert enterprise.enterprise_types == ["sea_forwarder", "customs_broker"]
    assert (enterprise.services, enterprise.applications) == (["goods_declaration", "manifest"], ["smartgate"])
    assert enterprise.legal_person_id_no == identity_number(1)
    assert enterprise.is_active
    assert Qualification.unscoped.get(enterprise=enterprise).inspection_registration_no == "2100000000"
    user = User.objects.get(username="wanghai01")
    assert (user.role, user.enterprise, user.mobile, user.email) == (
        Role.ENTERPRISE_ADMINISTRATOR,
        enterprise,
        MOBILE,
        "wanghai@example.com",
    )
    assert user.check_password("Quay2026pier")
    assert user.first_login_verified_at is None
    registration = Registration.objects.get()
    assert (registration.status, registration.user, registration.enterprise) == (ReviewStatus.APPROVED, user, enterprise)
    assert "wanghai01" in last_text()
    assert "wanghai01" in last_text("wanghai@example.com", Way.EMAIL)
    entry = AuditEntry.unscoped.get(action="accounts.registration.submit")
    assert identity_number(1) not in json.dumps(entry.after)
    assert "您已注册成功" in text(client.get(DONE))
    assert "是否继续注册本公司其他用户" in text(client.get(DONE))


@pytest.mark.covers("ACC-04", "ACC-05")
def test_going_on_registers_an_operator_and_cancelling_ends(client):
    register(client)
    assert client.post(DONE, {"continue": "1"})["Location"] == REGISTER
    page = text(client.get(REGISTER))
    assert 'name="username"' in page
    assert 'name="credit_code"' not in page
    mobile = "13904110002"
    answer = client.post(REGISTER, user_data(username="oper0001", mobile=mobile, sms_code=sms_code(client, mobile), email="o@example.com"))
    assert answer.status_code == 302, text(answer)
    assert client.post(REGISTER, services_data(inspection_registration_no="2100000000"))["Location"] == DONE
    operator = User.objects.get(username="oper0001")
    assert (operator.role, operator.enterprise.credit_code) == (Role.OPERATOR, credit_code(77))
    assert operator.applications == []
    assert operator.open_applications == frozenset()
    assert Registration.objects.get(username="oper0001").applications == ["smartgate"]
    client.post(DONE, {"end": "1"})
    page = text(client.get(DONE))
    assert "恭喜您注册成功！" in page
    assert "0411-82732333" in page
    assert "返回首页" in page
    # The next one starts anew.
    assert current_step(client) == "enterprise"


def test_whoever_comes_after_the_end_cannot_go_on(client):
    """On a shared computer the one who pressed 取消 has left."""
    register(client)
    client.post(DONE, {"end": "1"})
    assert client.post(DONE, {"continue": "1"})["Location"] == DONE
    assert "不能再从这里注册本公司其他用户" in text(client.get(DONE))
    assert current_step(client) == "enterprise"


def test_another_browser_can_register_no_further_user(client):
    register(client)
    other = Client()
    assert other.post(DONE, {"continue": "1"})["Location"] == REGISTER
    assert current_step(other) == "enterprise"
    other.post(REGISTER, user_data(username="stranger1"))
    assert User.objects.count() == 1


@pytest.mark.parametrize("end", ["late", "closed", "rejected"])
def test_going_on_ends_with_the_day_and_with_the_enterprise(client, end):
    register(client)
    client.post(DONE, {"continue": "1"})
    registration = Registration.objects.get()
    if end == "late":
        registration.submitted_at -= timedelta(hours=25)
        registration.save()
    elif end == "rejected":
        Registration.objects.update(status=ReviewStatus.REJECTED)
    else:
        Enterprise.objects.update(is_active=False)
    mobile = "13904110002"
    client.post(REGISTER, user_data(username="oper0001", mobile=mobile, sms_code=sms_code(client, mobile)))
    answer = client.post(REGISTER, services_data(), follow=True)
    assert "我的操作员" in text(answer)
    assert not User.objects.filter(username="oper0001").exists()


def test_an_operators_numbers_must_be_those_of_the_enterprise(client):
    register(client)
    client.post(DONE, {"continue": "1"})
    mobile = "13904110002"
    client.post(REGISTER, user_data(username="oper0001", mobile=mobile, sms_code=sms_code(client, mobile)))
    answer = client.post(REGISTER, services_data(inspection_registration_no="2100000001"))
    assert "与本企业已登记的号码不一致" in text(answer)
    assert client.post(REGISTER, services_data(customs_registration_no="2102960001"))["Location"] == DONE
    assert Enterprise.objects.get().customs_registration_no == "2102960001"


def test_pressing_the_last_button_twice_registers_once(client):
    to_step_3(client)
    before = client.session["registration"]
    assert client.post(REGISTER, services_data())["Location"] == DONE
    assert client.post(REGISTER, services_data())["Location"] == DONE
    # The second press left before the first was answered: its session is that of before.
    session = client.session
    session["registration"] = before
    session.save()
    assert client.post(REGISTER, services_data())["Location"] == DONE
    assert (Enterprise.objects.count(), User.objects.count(), Registration.objects.count()) == (1, 1, 1)
    assert Delivery.objects.filter(way=Way.EMAIL).count() == 1


def test_who_is_logged_in_is_told_where_to_go(operator_client, administrator):
    assert "已有账号" in text(operator_client.get(REGISTER))
    client = Client()
    client.force_login(administrator)
    assert 'href="/accounts/operators/"' in text(client.get(REGISTER))
    assert "我的操作员" in text(client.post(REGISTER, enterprise_data()))
    assert "我的操作员" in text(client.get(DONE))


# -- Step 1 ---------------------------------------------------------------------------------------


@pytest.mark.covers("ACC-01")
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("credit_code", credit_code(77)[:-1] + ("0" if credit_code(77)[-1] != "0" else "1"), "应为 18 位且校验码相符"),
        ("organisation_code", credit_code(78)[8:17], "与统一信用代码不符"),
        ("organisation_code", "123456789", "校验码"),
        ("legal_person_id_no", "210202198002300015", "出生日期真实"),
        ("office_phone", "1234", "电话号码"),
        ("office_phone", "没有电话", "电话号码"),
        ("enterprise_types", [], "此项必填"),
        ("enterprise_types", ["pirate"], "pirate"),
        ("enterprise_name", "   ", "此项必填"),
        ("enterprise_name", "大" * 201, "200"),
    ],
)
def test_wrong_enterprise_details_are_told_and_nothing_typed_is_lost(client, field, value, message):
    answer = client.post(REGISTER, enterprise_data(**{field: value}))
    page = text(answer)
    assert answer.status_code == 200
    assert message in page
    assert f'href="#id_{field}' in page
    assert "大连市中山区港湾街1号" in page
    assert 'value="customs_broker" id="id_enterprise_types_14" checked' in page or field == "enterprise_types"
    assert current_step(client) == "enterprise"
    assert "大连市中山区港湾街1号" in text(client.get(REGISTER))


@pytest.mark.covers("ACC-01")
@pytest.mark.parametrize("typed", ["{}", "{}-{}", " {} "])
def test_the_organisation_code_follows_from_the_credit_code(client, typed):
    code = credit_code(77)[8:17]
    typed = typed.format(code[:8], code[8]) if "-" in typed else typed.format(code)
    to_step_2(client, organisation_code=typed, credit_code=credit_code(77).lower())
    client.post(REGISTER, user_data(wizard_goto_step="enterprise"))
    assert f'value="{code}"' in text(client.get(REGISTER))


@pytest.mark.parametrize("phone", ["0411-82732333", "(0411) 8273 2333 转 801", "400-668-5666", "13904110001"])
def test_office_phones_are_taken_as_people_write_them(client, phone):
    assert client.post(REGISTER, enterprise_data(office_phone=phone)).status_code == 302


@pytest.mark.covers("ACC-05")
def test_a_registered_code_leads_to_its_administrator(client):
    make_enterprise(77, "已注册公司")
    page = text(client.post(REGISTER, enterprise_data()))
    assert "该企业已注册" in page
    assert "联系本企业管理员" in page
    assert "已注册公司" not in page


# -- Step 2 ---------------------------------------------------------------------------------------


@pytest.mark.covers("ACC-02")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"username": "short"}, "6 至 18 位"),
        ({"username": "with_underscore"}, "6 至 18 位"),
        ({"username": "ｗａｎｇｈａｉ１"}, "6 至 18 位"),
        ({"password1": "password123", "password2": "password123"}, "常见"),
        ({"password1": "abc12", "password2": "abc12"}, "8"),
        ({"password1": "onlyletters", "password2": "onlyletters"}, "字母和数字"),
        ({"password1": "wanghai01", "password2": "wanghai01"}, "相似"),
        ({"password1": "a1" * 33, "password2": "a1" * 33}, "64"),
        ({"password2": "Quay2026pieR"}, "不一致"),
        ({"password1": "", "password2": ""}, "此项必填"),
        ({"id_no": "210202209912310010"}, "身份证号不正确"),
        ({"id_no": identity_number(1)[:-1] + "A"}, "身份证号不正确"),
        ({"mobile": "12345678901"}, "手机号不正确"),
        ({"email": "nobody"}, "邮"),
        ({"sms_code": ""}, "获取验证码"),
        ({"sms_code": "12345"}, "6 位数字"),
    ],
)
def test_wrong_user_details_are_told_and_nothing_typed_is_lost(client, changes, message):
    to_step_2(client)
    answer = client.post(REGISTER, user_data(**{"sms_code": "000000", "full_name": "李测试", **changes}))
    assert answer.status_code == 200
    assert message in text(answer)
    assert "李测试" in text(answer)
    assert current_step(client) == "user"


@pytest.mark.covers("ACC-02")
@pytest.mark.parametrize("how", ["wrong", "late", "used", "of_another_phone"])
def test_a_code_that_is_wrong_late_used_or_another_phones_does_not_do(client, how):
    to_step_2(client)
    code = sms_code(client)
    data = user_data(sms_code=code)
    if how == "wrong":
        data["sms_code"] = f"{(int(code) + 1) % 10**6:06d}"
    elif how == "late":
        SmsCode.objects.update(expires_at=timezone.now())
    elif how == "used":
        SmsCode.objects.update(used_at=timezone.now())
    else:
        data["mobile"] = "13904119999"
    page = text(client.post(REGISTER, data))
    assert "验证码不正确或已失效" in page
    assert "已填写，不改请留空" in page
    assert current_step(client) == "user"


@pytest.mark.covers("ACC-02")
def test_a_verified_phone_is_not_verified_again_and_another_one_is(client):
    to_step_2(client)
    make_user("wanghai01", Role.CUSTOMS)
    assert "该用户名已被使用" in text(client.post(REGISTER, user_data(sms_code=sms_code(client))))
    # The code is used up; the phone counts as verified, but only that one.
    assert "请点击“获取验证码”" in text(client.post(REGISTER, user_data(username="free0001", mobile="13904110009")))
    assert client.post(REGISTER, user_data(username="free0001", password1="", password2="")).status_code == 302
    assert current_step(client) == "services"


def test_a_name_in_another_case_is_taken_and_nobody_is_told_without_a_phone(client):
    make_user("wanghai01", Role.CUSTOMS)
    to_step_2(client)
    for code in ("", "000000"):
        assert "该用户名已被使用" not in text(client.post(REGISTER, user_data(username="WangHai01", sms_code=code)))
    assert "该用户名已被使用" in text(client.post(REGISTER, user_data(username="WangHai01", sms_code=sms_code(client))))


def test_taken_names_are_told_a_few_times_only(client):
    make_user("wanghai01", Role.CUSTOMS)
    to_step_2(client)
    code = sms_code(client)
    for _number in range(9):
        assert "该用户名已被使用" in text(client.post(REGISTER, user_data(sms_code=code)))
    assert "请重新获取验证码后再试" in text(client.post(REGISTER, user_data()))
    for name in ("wanghai01", "freename1"):
        page = text(client.post(REGISTER, user_data(username=name)))
        assert "请点击“获取验证码”" in page
        assert "该用户名已被使用" not in page


def test_a_phone_that_others_gave_is_taken_like_any_other(client):
    make_user("someone1", Role.CUSTOMS, mobile=MOBILE)
    register(client)
    assert User.objects.filter(mobile=MOBILE).count() == 2


def test_asking_for_a_code_keeps_the_page_as_it_is(client):
    to_step_2(client)
    answer = client.post(REGISTER, user_data(send_code="1"))
    page = text(answer)
    assert "验证码已发送" in page
    assert "wanghai@example.com" in page
    assert "已填写，不改请留空" in page
    assert "entry-errors" not in page
    assert "wanghai@example.com" in text(client.get(REGISTER))
    part = client.post(REGISTER, user_data(send_code="1"), headers={"HX-Request": "true"})
    assert "秒后再" in text(part)
    assert "<form" not in text(part)


def test_no_code_goes_to_what_is_no_phone(client):
    to_step_2(client)
    assert "手机号不正确" in text(client.post(REGISTER, user_data(mobile="123", send_code="1")))
    assert not Delivery.objects.exists()


@pytest.mark.covers("ACC-02")
def test_neither_password_nor_code_is_ever_kept_as_typed(client, caplog):
    caplog.set_level(logging.DEBUG)
    to_step_2(client)
    code = sms_code(client)
    client.post(REGISTER, user_data(sms_code="000000"))
    client.post(REGISTER, user_data(sms_code=code, wizard_goto_step="enterprise"))
    client.post(REGISTER, enterprise_data())
    client.post(REGISTER, user_data(sms_code=code))
    held = kept(client)
    assert check_password("Quay2026pier", held["data"]["extra_data"]["password"])
    everything = json.dumps(held) + json.dumps(dict(client.session.items()))
    for secret in ("Quay2026pier", code):
        assert secret not in everything
        assert secret not in caplog.text
    # Identity numbers are not for who reads the table of sessions.
    assert identity_number(1) in json.dumps(held)
    assert identity_number(1) not in json.dumps(dict(client.session.items()))
    client.post(REGISTER, services_data())
    assert "Quay2026pier" not in json.dumps(list(AuditEntry.unscoped.values("before", "after")))
    assert "Quay2026pier" not in caplog.text


# -- Step 3 ---------------------------------------------------------------------------------------


@pytest.mark.covers("ACC-03")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"services": []}, "请至少选择一项业务"),
        ({"services": ["goods_declaration", "free_lunch"]}, "free_lunch"),
        ({"inspection_registration_no": ""}, "至少一项"),
        ({"inspection_registration_no": "21"}, "应为 10 位数字"),
        ({"customs_registration_no": "ABC"}, "海关注册编码"),
        ({"ic_card_no": "12345"}, "应为 13 位"),
    ],
)
def test_wrong_services_are_told(client, changes, message):
    to_step_3(client)
    answer = client.post(REGISTER, services_data(**changes))
    assert answer.status_code == 200
    assert message in text(answer)
    assert not Enterprise.objects.exists()


@pytest.mark.covers("ACC-03")
def test_the_agreements_must_be_accepted(client):
    to_step_3(client)
    data = services_data()
    del data["accept_agreements"]
    page = text(client.post(REGISTER, data))
    assert "请阅读两份协议" in page
    assert not Enterprise.objects.exists()


@pytest.mark.covers("ACC-03")
def test_without_goods_declaration_its_numbers_are_not_kept(client):
    to_step_3(client)
    client.post(REGISTER, services_data(services=["manifest"], inspection_registration_no="nonsense", ic_card_no="x"))
    registration = Registration.objects.get()
    assert (registration.inspection_registration_no, registration.ic_card_no) == ("", "")


@pytest.mark.covers("ACC-03")
def test_one_of_the_two_numbers_is_enough_and_they_go_where_they_belong(client):
    to_step_3(client)
    client.post(
        REGISTER, services_data(inspection_registration_no="", customs_registration_no="２１０２９６０００１", ic_card_no="8950202110101")
    )
    assert Enterprise.objects.get().customs_registration_no == "2102960001"
    assert Registration.objects.get().ic_card_no == "8950202110101"
    assert User.objects.get().ic_card_no == "", "said is not proved: a card is bound by the card (CARD-03)"


def test_nobody_is_kept_from_his_card_by_a_stranger_who_names_it(client):
    bind_card(make_user("cardowner", Role.OPERATOR, make_enterprise(991, "大连持卡测试有限公司")), "8950202110101")
    to_step_3(client)
    assert client.post(REGISTER, services_data(ic_card_no="8950202110101")).status_code == 302


@pytest.mark.covers("ACC-03")
def test_what_was_shown_is_what_is_accepted(client, monkeypatch):
    to_step_3(client)
    shown = agreements.newest()
    page = text(client.get(REGISTER))
    for kind, version in shown.items():
        assert f'href="/accounts/agreements/{kind}/{version}/"' in page
    monkeypatch.setattr(agreements, "newest", lambda: dict.fromkeys(shown, "2030-01"))
    client.post(REGISTER, services_data())
    accepted = Registration.objects.get().agreements
    assert [(one["agreement"], one["version"]) for one in accepted] == list(shown.items())
    assert all(re.fullmatch("[0-9a-f]{64}", one["sha256"]) and one["accepted_at"] for one in accepted)


@pytest.mark.covers("ACC-03")
@pytest.mark.parametrize(
    ("kind", "words"), [("service", "3.3.4 如用户注册的免费网络服务的账号"), ("port_logistics", "实行严格的身份认证管理")]
)
def test_the_agreements_can_be_read_by_everybody(client, kind, words):
    page = text(client.get(f"/accounts/agreements/{kind}/"))
    assert words in page
    version = agreements.newest()[kind]
    assert words in text(client.get(f"/accounts/agreements/{kind}/{version}/"))
    for path in (f"{kind}/1999-01", "nothing", f"{kind}/..", f"{kind}/__init__"):
        assert client.get(f"/accounts/agreements/{path}/").status_code == 404


# -- From step to step ----------------------------------------------------------------------------


@pytest.mark.covers("ACC-01", "ACC-02", "ACC-03")
def test_going_back_keeps_what_was_typed(client):
    to_step_3(client)
    client.post(REGISTER, services_data(wizard_goto_step="user", customs_registration_no="2102960001"))
    page = text(client.get(REGISTER))
    assert 'value="wanghai01"' in page
    assert "已填写，不改请留空" in page
    assert "Quay2026pier" not in page
    client.post(REGISTER, user_data(wizard_goto_step="enterprise", full_name="改名中"))
    assert 'value="大连新注册国际货运代理有限公司"' in text(client.get(REGISTER))
    assert client.post(REGISTER, enterprise_data()).status_code == 302
    assert 'value="改名中"' in text(client.get(REGISTER))
    assert client.post(REGISTER, user_data(password1="", password2="")).status_code == 302
    page = text(client.get(REGISTER))
    assert 'value="2102960001"' in page
    assert 'value="manifest" id="id_services_1_2" checked' in page or re.search(r'value="manifest"[^>]* checked', page)
    assert client.post(REGISTER, services_data())["Location"] == DONE
    assert User.objects.get().check_password("Quay2026pier")


@pytest.mark.parametrize("step", ["user", "services"])
def test_a_step_before_its_turn_leads_to_the_first_that_is_missing(client, step):
    if step == "services":
        to_step_2(client)
        answer = client.post(REGISTER, services_data(), follow=True)
        assert "请先填写并提交“用户信息”" in text(answer)
        assert 'name="username"' in text(answer)
        to = "user"
    else:
        answer = client.post(REGISTER, user_data(), follow=True)
        assert "请先填写并提交“企业信息”" in text(answer)
        to = "enterprise"
    assert current_step(client) == to
    assert not User.objects.exists()
    assert not Delivery.objects.exists()


def test_no_code_is_sent_before_the_first_step_is_done(client):
    client.post(REGISTER, user_data(send_code="1"))
    assert not Delivery.objects.exists()


def test_an_interrupted_registration_is_taken_up_within_a_day_and_not_later(client):
    to_step_3(client)
    assert client.session.get_expiry_age() > 24 * 3600
    assert not client.session.get_expire_at_browser_close()
    assert current_step(client) == "services"
    held = kept(client)
    held["touched_at"] = int(time.time()) - 24 * 3600 - 1
    session = client.session
    session["registration"] = encrypt(json.dumps(held))
    session.save()
    page = text(client.get(REGISTER))
    assert "已超过 24 小时" in page
    assert 'name="credit_code"' in page
    assert "大连新注册" not in page
    assert "已超过 24 小时" in text(client.post(REGISTER, services_data(), follow=True))
    assert not User.objects.exists()


def test_giving_up_leaves_nothing_behind(client):
    to_step_3(client)
    client.post(REGISTER, {"restart": "1"})
    assert "registration" not in client.session
    assert current_step(client) == "enterprise"


def test_looking_leaves_nothing_behind(client):
    client.get(REGISTER)
    assert "portal_session" not in client.cookies


def test_who_logs_in_has_an_ordinary_session(client, operator):
    to_step_3(client)
    client.force_login(operator)
    assert "registration" not in client.session
    assert client.session.get_expire_at_browser_close()


def test_a_session_written_with_keys_that_are_gone_starts_anew(client, settings):
    to_step_3(client)
    settings.FIELD_KEYS = ["another-key-altogether"]
    assert current_step(client) == "enterprise"
