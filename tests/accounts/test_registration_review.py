"""审核 of registrations by platform staff, in /admin/ (ACC-06)."""

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import Enterprise, Qualification, Registration, ReviewStatus, User
from accounts.rights import Role
from accounts.services.registration import CONTINUE_FOR, may_continue
from core.models import AuditEntry
from notifications.models import Way
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
from tests.conftest import make_user
from tests.factories import identity_number

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/registration/"


def page_of(registration):
    return f"{LIST}{registration.pk}/change/"


@pytest.fixture(autouse=True)
def _manual(settings):
    settings.REGISTRATION_REVIEW = "manual"


@pytest.fixture
def waiting(client, db):
    """A registration that waits for the staff."""
    register(client)
    return Registration.objects.get()


def register_operator(client, username="oper0001", mobile="13904110002"):
    client.post(DONE, {"continue": "1"})
    client.post(REGISTER, user_data(username=username, mobile=mobile, sms_code=sms_code(client, mobile), email="o@example.com"))
    assert client.post(REGISTER, services_data())["Location"] == DONE
    return Registration.objects.get(username=username)


@pytest.mark.covers("ACC-06")
def test_with_review_nobody_logs_in_before_it(client, waiting):
    user = User.objects.get()
    assert (waiting.status, user.is_active, user.enterprise.is_active) == (ReviewStatus.PENDING, False, False)
    assert authenticate(username="wanghai01", password="Quay2026pier") is None
    login = {"username": "wanghai01", "password": "Quay2026pier", "captcha_0": "x", "captcha_1": "PASSED"}
    assert "待审核" in text(Client().post("/accounts/login/", login))
    assert "审核后将以短信和邮件通知" in last_text()
    assert "等待平台审核" in text(client.get(DONE))
    client.post(DONE, {"end": "1"})
    page = text(client.get(DONE))
    assert "等待平台审核" in page
    assert "现在您可以登录" not in page


@pytest.mark.covers("ACC-06")
def test_approving_opens_the_account_and_tells_the_applicant(staff, staff_client, waiting):
    page = text(staff_client.get(page_of(waiting)))
    assert "审核通过" in page
    assert identity_number(1) not in page
    assert identity_number(2) not in page
    assert f"210{'*' * 11}{identity_number(1)[-4:]}" in page
    assert staff_client.post(page_of(waiting), {"decide": "approve"})["Location"] == LIST
    waiting.refresh_from_db()
    assert (waiting.status, waiting.reviewed_by) == (ReviewStatus.APPROVED, staff)
    assert authenticate(username="wanghai01", password="Quay2026pier") == User.objects.get(username="wanghai01")
    assert "已审核通过" in last_text()
    assert "已审核通过" in last_text("wanghai@example.com", Way.EMAIL)
    entry = AuditEntry.unscoped.get(action="accounts.registration.approve")
    assert (entry.actor_id, entry.before, entry.after) == (staff.pk, {"status": "pending"}, {"status": "approved"})


@pytest.mark.covers("ACC-06")
def test_rejecting_needs_a_reason_and_gives_code_and_name_free(client, staff_client, waiting):
    page = text(staff_client.post(page_of(waiting), {"decide": "reject", "reason": "  "}))
    assert "请填写审核不通过的原因" in page
    assert Registration.objects.get().status == ReviewStatus.PENDING
    assert staff_client.post(page_of(waiting), {"decide": "reject", "reason": "营业执照已注销"})["Location"] == LIST
    waiting.refresh_from_db()
    assert (waiting.status, waiting.reason, waiting.user, waiting.enterprise) == (ReviewStatus.REJECTED, "营业执照已注销", None, None)
    assert not Enterprise.objects.exists()
    assert not Qualification.unscoped.exists()
    assert not User.objects.filter(username="wanghai01").exists()
    assert "营业执照已注销" in last_text()
    assert "营业执照已注销" in last_text("wanghai@example.com", Way.EMAIL)
    assert not may_continue(waiting.pk)
    assert "waiting" not in text(staff_client.get(page_of(waiting)))
    again = Client()
    to_step_2(again)
    mobile = "13904110009"
    assert again.post(REGISTER, user_data(mobile=mobile, sms_code=sms_code(again, mobile))).status_code == 302
    assert again.post(REGISTER, services_data())["Location"] == DONE
    assert Registration.objects.count() == 2


@pytest.mark.covers("ACC-06")
@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_the_operators_of_a_waiting_enterprise_belong_to_its_decision(client, staff_client, waiting, decision):
    operator = register_operator(client)
    assert (operator.status, operator.user.is_active) == (ReviewStatus.PENDING, False)
    page = text(staff_client.post(page_of(operator), {"decide": decision, "reason": "资料不全"}))
    assert "一并审核" in page
    staff_client.post(page_of(waiting), {"decide": decision, "reason": "资料不全"})
    operator.refresh_from_db()
    assert operator.status == (ReviewStatus.APPROVED if decision == "approve" else ReviewStatus.REJECTED)
    assert User.objects.filter(username="oper0001", is_active=True).exists() == (decision == "approve")
    assert ("已审核通过" if decision == "approve" else "资料不全") in last_text("13904110002")
    assert AuditEntry.unscoped.filter(action=f"accounts.registration.{decision}", refused=False).count() == 2


def test_an_operator_of_an_approved_enterprise_is_decided_on_by_himself(client, staff_client, waiting):
    staff_client.post(page_of(waiting), {"decide": "approve"})
    operator = register_operator(client)
    assert operator.status == ReviewStatus.PENDING
    staff_client.post(page_of(operator), {"decide": "reject", "reason": "非本企业人员"})
    assert not User.objects.filter(username="oper0001").exists()
    assert Enterprise.objects.get().is_active


@pytest.mark.covers("ACC-06")
def test_the_second_reviewer_is_told(staff_client, waiting):
    staff_client.post(page_of(waiting), {"decide": "approve"})
    page = text(staff_client.post(page_of(waiting), {"decide": "reject", "reason": "晚了一步"}))
    assert "当前状态为“审核通过”" in page
    assert Registration.objects.get().status == ReviewStatus.APPROVED
    refused = AuditEntry.unscoped.get(action="accounts.registration.reject")
    assert refused.refused


@pytest.mark.parametrize("used", ["user", "enterprise"])
def test_what_was_opened_by_hand_meanwhile_is_not_deleted(staff_client, waiting, used):
    if used == "user":
        User.objects.filter(username="wanghai01").update(is_active=True)
    else:
        Enterprise.objects.update(is_active=True)
    page = text(staff_client.post(page_of(waiting), {"decide": "reject", "reason": "x"}))
    assert "不能再按审核不通过处理" in page
    assert Enterprise.objects.exists()
    assert User.objects.filter(username="wanghai01").exists()


@pytest.mark.covers("ACC-06")
def test_several_are_approved_from_the_list(client, staff_client, waiting):
    register_operator(client)
    chosen = list(Registration.objects.values_list("pk", flat=True))
    answer = staff_client.post(LIST, {"action": "approve_chosen", "_selected_action": chosen}, follow=True)
    assert "已审核通过 1 份" in text(answer)
    assert set(Registration.objects.values_list("status", flat=True)) == {ReviewStatus.APPROVED}


def test_the_list_is_filtered_by_status(staff_client, waiting):
    assert "wanghai01" in text(staff_client.get(f"{LIST}?status__exact=pending"))
    assert "wanghai01" not in text(staff_client.get(f"{LIST}?status__exact=approved"))


def test_who_may_only_look_decides_nothing(waiting):
    clerk = make_user("clerk001", Role.PLATFORM_STAFF, is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_registration"))
    client = Client()
    client.force_login(clerk)
    page = text(client.get(page_of(waiting)))
    assert "wanghai01" in page
    assert 'name="decide"' not in page
    assert client.post(page_of(waiting), {"decide": "approve"}).status_code == 403
    assert client.get(page_of(waiting).replace(str(waiting.pk), "999999")).status_code == 302


def test_a_button_that_is_none_decides_nothing(staff_client, waiting):
    assert "请点击" in text(staff_client.post(page_of(waiting), {"decide": "perhaps"}))
    assert Registration.objects.get().status == ReviewStatus.PENDING


def test_an_enterprise_that_waits_is_registered_for_everybody_else(waiting):
    other = Client()
    assert "该企业已注册" in text(other.post(REGISTER, enterprise_data()))


def test_the_day_for_further_users_counts_from_the_registration(waiting):
    assert may_continue(waiting.pk, at=waiting.submitted_at + CONTINUE_FOR)
    assert not may_continue(waiting.pk, at=waiting.submitted_at + CONTINUE_FOR * 1.01)
    assert not may_continue(0)


def test_the_phone_of_the_first_user_is_not_verified_for_the_next(client, waiting):
    client.post(DONE, {"continue": "1"})
    assert client.post(REGISTER, user_data(username="oper0001", mobile=MOBILE)).status_code == 200
    assert "Quay2026pier" not in str(client.session.items())


def test_steps_of_an_operator_are_kept_apart(client, waiting):
    client.post(DONE, {"continue": "1"})
    page = text(client.get(REGISTER))
    assert "wanghai01" not in page
    assert client.post(REGISTER, {"restart": "1"})["Location"] == DONE
    assert "是否继续注册" in text(client.get(DONE))


def test_three_users_one_after_the_other(client, waiting):
    register_operator(client, "oper0001", "13904110002")
    register_operator(client, "oper0002", "13904110003")
    assert User.objects.filter(enterprise=waiting.enterprise).count() == 3
    to_step_3(Client(), 78, username="elsewhere", mobile="13904110004")
