"""Accounts that nobody uses: warned of, frozen, thawed (ACC-12)."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from threading import Barrier, Event
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.contrib.sessions.backends.cached_db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import tasks
from accounts.models import LoginAttempt, SmsCode, User
from accounts.rights import Role
from accounts.services import dormancy
from accounts.services import login as login_services
from accounts.services.users import thaw_account
from core.models import AuditEntry
from notifications.models import Delivery
from tests.accounts.test_login import LIST, LOGIN, log_in
from tests.conftest import make_user

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def used(user: User, days: float, **more: Any) -> User:
    """Last used so many days ago."""
    User.objects.filter(pk=user.pk).update(last_login=NOW - timedelta(days=days), **more)
    user.refresh_from_db()
    return user


def run(*options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("freeze_dormant_accounts", "--json", *options, stdout=out)
    return dict(json.loads(out.getvalue()))


@pytest.mark.covers("ACC-12")
def test_an_account_unused_for_180_days_is_frozen_and_its_session_ends(operator, operator_client, administrator):
    used(operator, 180)
    used(administrator, 100)
    answer = run()
    assert (answer["warned"], answer["frozen"]) == ([], ["operator1"])
    operator.refresh_from_db()
    assert operator.frozen_at is not None
    entry = AuditEntry.unscoped.get()
    assert (entry.action, entry.actor_name, entry.enterprise_id) == ("accounts.user.freeze", "系统", operator.enterprise_id)
    assert "已被冻结" in operator_client.get(operator_client.get(LIST)["Location"]).content.decode()
    assert "已被冻结" in log_in(Client(), "operator1").content.decode()
    assert run()["frozen"] == [], "once"
    assert AuditEntry.unscoped.count() == 1


@pytest.mark.covers("ACC-12")
def test_its_user_is_warned_once_fourteen_days_before_by_sms_and_e_mail(operator):
    used(operator, 166, mobile="13904110002", email="operator@example.com")
    assert run()["warned"] == ["operator1"]
    assert run()["warned"] == []
    assert sorted(Delivery.objects.values_list("way", "recipient")) == [("email", "operator@example.com"), ("sms", "13904110002")]
    assert all("14 天内不登录将被冻结" in delivery.body for delivery in Delivery.objects.all())
    assert AuditEntry.unscoped.get().action == "accounts.user.warn_dormant"


def test_who_has_neither_phone_nor_e_mail_is_noted_as_warned(operator):
    used(operator, 170)
    assert run()["warned"] == ["operator1"]
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("days", "warned_days_ago", "warned", "frozen"),
    [
        (165.9, None, False, False),
        (166, None, True, False),
        (179.9, None, True, False),
        (180, 14, False, True),
        # The job did not run for a while: who was warned late has his fourteen days.
        (185, 13, False, False),
        (400, 14, False, True),
        (400, None, False, True),
    ],
)
def test_days(operator, days, warned_days_ago, warned, frozen):
    used(operator, days, dormancy_warned_at=None if warned_days_ago is None else NOW - timedelta(days=warned_days_ago))
    assert (bool(dormancy.warn_dormant(at=NOW)), bool(dormancy.freeze_dormant(at=NOW))) == (warned, frozen)


def test_who_never_logged_in_counts_from_the_day_the_account_was_made(operator):
    User.objects.update(last_login=None, date_joined=NOW - timedelta(days=181))
    assert run()["frozen"] == ["operator1"]


def test_superusers_are_exempt_and_disabled_accounts_left_alone(staff, operator):
    used(staff, 500)
    used(operator, 500, is_active=False)
    assert run()["frozen"] == []


def test_staff_who_are_no_superusers_are_not_exempt(db):
    used(make_user("clerk", Role.PLATFORM_STAFF, is_staff=True), 200)
    assert run()["frozen"] == ["clerk"]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(operator, administrator):
    used(operator, 200)
    used(administrator, 170, mobile="13904110001")
    answer = run("--dry-run")
    assert (answer["warned"], answer["frozen"], answer["dry_run"]) == (["admin1"], ["operator1"], True)
    assert not AuditEntry.unscoped.exists()
    assert not Delivery.objects.exists()
    assert not User.objects.exclude(frozen_at=None, dormancy_warned_at=None).exists()
    out = StringIO()
    call_command("freeze_dormant_accounts", "--dry-run", stdout=out)
    assert out.getvalue() == "would be warned: 1\n  admin1\nwould be frozen: 1\n  operator1\n"


def test_whatever_breaks_the_warning_and_its_messages_stand_or_fall_together(operator):
    used(operator, 170, mobile="13904110002")
    with mock.patch("core.audit.record", side_effect=RuntimeError("power cut")), pytest.raises(RuntimeError):
        dormancy.warn_dormant()
    operator.refresh_from_db()
    assert operator.dormancy_warned_at is None
    assert not Delivery.objects.exists()


def test_many_are_frozen_batch_by_batch(enterprise, monkeypatch):
    monkeypatch.setattr(dormancy, "_BATCH", 3)
    for number in range(7):
        used(make_user(f"many{number}", Role.OPERATOR, enterprise), 200)
    assert len(run()["frozen"]) == 7


@pytest.mark.covers("ACC-12")
def test_logging_in_takes_the_warning_back(operator):
    used(operator, 170, dormancy_warned_at=NOW)
    log_in(Client(), "operator1")
    operator.refresh_from_db()
    assert operator.dormancy_warned_at is None
    assert run()["frozen"] == []


# -- Races ------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_round", range(5))
def test_a_login_and_the_job_at_once_leave_no_user_who_is_in_and_frozen(operator, _round):
    used(operator, 200)
    barrier = Barrier(2)

    def at_once(job: Any) -> Any:
        barrier.wait()
        try:
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        refused, frozen = pool.map(at_once, [lambda: login_services.admit(user_id=operator.pk), dormancy.freeze_dormant])
    operator.refresh_from_db()
    assert bool(frozen) == bool(refused) == (operator.frozen_at is not None)


@pytest.mark.django_db(transaction=True)
def test_a_login_under_way_wins(operator):
    """The job finds the row held, passes it over, and next time finds it used."""
    used(operator, 200)
    held, go_on = Event(), Event()
    look = login_services.why_closed

    def look_slowly(user: User) -> str:
        held.set()
        go_on.wait(10)
        return look(user)

    def come_in() -> str:
        try:
            return login_services.admit(user_id=operator.pk)
        finally:
            connection.close()

    with mock.patch.object(login_services, "why_closed", look_slowly), ThreadPoolExecutor(1) as pool:
        coming = pool.submit(come_in)
        assert held.wait(10)
        assert dormancy.freeze_dormant() == []
        go_on.set()
        assert coming.result() == ""
    assert dormancy.freeze_dormant() == []
    operator.refresh_from_db()
    assert operator.frozen_at is None


# -- Thawing ----------------------------------------------------------------------------------------


@pytest.mark.covers("ACC-12")
def test_staff_thaw_in_the_admin_and_the_user_has_fourteen_days_to_log_in(operator, staff_client, staff):
    used(operator, 200, frozen_at=NOW)
    response = staff_client.post("/admin/accounts/user/", {"action": "thaw", "_selected_action": [operator.pk]}, follow=True)
    assert "已解冻 1 个账号" in response.content.decode()
    entry = AuditEntry.unscoped.get()
    assert (entry.action, entry.actor_id) == ("accounts.user.thaw", staff.pk)
    assert run()["frozen"] == []
    assert dormancy.freeze_dormant(at=NOW + timedelta(days=15)) == ["operator1"]
    thaw_account(actor=staff, user_id=operator.pk)
    assert log_in(Client(), "operator1").status_code == 302


def test_when_it_was_frozen_is_nothing_to_type(operator, staff_client):
    page = staff_client.get(f"/admin/accounts/user/{operator.pk}/change/").content.decode()
    assert "冻结时间" in page
    assert 'name="frozen_at' not in page


def test_thawing_what_is_not_frozen_changes_nothing(operator, staff):
    assert thaw_account(actor=staff, user_id=operator.pk) is False
    assert not AuditEntry.unscoped.exists()


@pytest.mark.parametrize(("who", "may"), [("administrator", True), ("other_operator", False), ("operator", False)])
def test_an_administrator_thaws_his_own_enterprises_users_only(request, operator, who, may):
    actor = request.getfixturevalue(who)
    colleague = make_user("colleague", Role.OPERATOR, operator.enterprise, frozen_at=NOW)
    if may:
        assert thaw_account(actor=actor, user_id=colleague.pk)
    else:
        with pytest.raises(User.DoesNotExist):
            thaw_account(actor=actor, user_id=colleague.pk)
    colleague.refresh_from_db()
    assert (colleague.frozen_at is None) == may


def test_an_administrator_of_another_enterprise_thaws_nobody_here(operator, other_enterprise):
    User.objects.update(frozen_at=NOW)
    stranger = make_user("stranger", Role.ENTERPRISE_ADMINISTRATOR, other_enterprise)
    with pytest.raises(User.DoesNotExist):
        thaw_account(actor=stranger, user_id=operator.pk)


# -- The daily jobs ---------------------------------------------------------------------------------


@pytest.mark.covers("ACC-12")
def test_the_job_runs_every_day(operator):
    jobs = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {"accounts.freeze_dormant", "accounts.forget_old"} <= jobs
    assert {tasks.freeze_dormant.name, tasks.forget_old.name} <= jobs
    used(operator, 200)
    tasks.freeze_dormant()
    assert User.objects.get(pk=operator.pk).frozen_at is not None


def test_what_has_had_its_time_is_deleted_and_the_rest_stays(operator):
    client = Client()
    log_in(client, "operator1")
    log_in(Client(), "operator1", "Wrong12345")
    attempt = LoginAttempt.objects.earliest("pk")
    LoginAttempt.objects.filter(pk=attempt.pk).update(at=NOW - timedelta(days=366))
    old = SessionStore()
    old.set_expiry(-1)
    old.create()
    SmsCode.objects.create(mobile="13904110002", created_at=NOW - timedelta(days=3), expires_at=NOW - timedelta(days=3))
    assert Session.objects.filter(session_key=old.session_key).exists()
    tasks.forget_old()
    tasks.forget_old()
    assert LoginAttempt.objects.count() == 1
    assert not Session.objects.filter(session_key=old.session_key).exists()
    assert not SmsCode.objects.exists()
    assert client.get(LIST).status_code == 200
    assert client.get(LOGIN).status_code == 302
