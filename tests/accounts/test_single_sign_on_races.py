"""Two at once at the first settings (ACC-09), on real PostgreSQL with real transactions."""

from collections.abc import Callable
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount

from accounts.models import Enterprise, Registration, User
from accounts.rights import Role
from accounts.services import single_sign_on
from accounts.standard_edition import CentralAccount
from core.models import AuditEntry
from tests.factories import credit_code
from tests.smartgate.test_races import at_once, refusals

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.covers("ACC-09")]


def account(number: int = 1, code: str = "") -> CentralAccount:
    return CentralAccount(
        sub=f"sub-{number}",
        username=f"central{number}",
        full_name="陈管理",
        mobile=f"1390412{number:04d}",
        is_mobile_verified=True,
        email="",
        enterprise_name="锦州测试粮食贸易有限公司",
        credit_code=code or credit_code(1),
        legal_person_name="陈测试",
    )


def registering(who: CentralAccount, username: str) -> Callable[[], Any]:
    return lambda: single_sign_on.register(account=who, username=username, password="Harbour2027", ip="127.0.0.1")


def test_one_central_account_registers_once():
    results = at_once(*[registering(account(), f"quick00{number}") for number in range(4)])
    assert refusals(results) == 3
    assert "已完成首次登录设置" in str(next(result for result in results if isinstance(result, Exception)))
    assert User.objects.count() == SocialAccount.objects.count() == Registration.objects.count() == Enterprise.objects.count() == 1
    assert AuditEntry.unscoped.count() == 1


def test_one_user_name_is_given_once():
    results = at_once(registering(account(1, credit_code(1)), "quick001"), registering(account(2, credit_code(2)), "QUICK001"))
    [refusal] = [result for result in results if isinstance(result, Exception)]
    assert refusal.field == "username"
    # Nothing half done: no enterprise without its user.
    assert Enterprise.objects.count() == User.objects.count() == 1


def test_two_of_a_new_enterprise_make_one_administrator():
    results = at_once(registering(account(1), "quick001"), registering(account(2), "quick002"))
    assert refusals(results) == 0
    assert Enterprise.objects.count() == 1
    assert sorted(User.objects.values_list("role", flat=True)) == [Role.ENTERPRISE_ADMINISTRATOR, Role.OPERATOR]


def test_two_central_accounts_do_not_bind_one_local_account(operator):
    results = at_once(*[lambda number=number: single_sign_on.bind(account=account(number), user=operator) for number in range(3)])
    assert refusals(results) == 2
    assert SocialAccount.objects.count() == 1


def test_one_central_account_does_not_bind_two_local_accounts(operator, administrator):
    results = at_once(*[lambda user=user: single_sign_on.bind(account=account(), user=user) for user in (operator, administrator)])
    assert refusals(results) == 1
    assert SocialAccount.objects.count() == 1
