"""A binding with 中央标准版 (ACC-09): it comes about with the end of the login, shows in 登录安全, and ends there."""

from collections.abc import Iterator
from typing import Any

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from accounts import standard_edition
from accounts.models import LoginAttempt, User
from accounts.services import single_sign_on
from core.models import AuditEntry
from notifications.models import Delivery
from tests.accounts.factors import code_of, give_totp, prove_again
from tests.accounts.test_single_sign_on import ACCOUNTS, HOME, LIST, LOGIN, PORTAL, Person
from tests.accounts.test_single_sign_on_races import account
from tests.conftest import PASSWORD
from tests.simulators.standard_edition import Edition, open_to, running
from tests.smartgate.test_races import at_once

pytestmark = [pytest.mark.django_db, pytest.mark.covers("ACC-09")]
SECURITY = "/accounts/security/"
UNBIND = f"{SECURITY}standard-edition/"
AGAIN = "/accounts/reauthenticate/"
SECOND_STEP = "/accounts/2fa/authenticate/"


@pytest.fixture
def edition(settings: Any) -> Iterator[Edition]:
    with running(PORTAL, accounts=ACCOUNTS) as edition:
        open_to(settings, edition.issuer)
        yield edition


@pytest.fixture
def person(edition: Edition) -> Person:
    return Person(edition)


def bound(user: User) -> None:
    """`user` has the central account central1, of his own enterprise."""
    single_sign_on.bind(account=account(1, HOME.credit_code), user=user)


def entries(action: str) -> list[AuditEntry]:
    return list(AuditEntry.unscoped.filter(action=f"accounts.single_sign_on.{action}").order_by("pk"))


def told() -> set[str]:
    """Who was told that the binding is gone."""
    return {delivery.recipient for delivery in Delivery.objects.all() if "operator1 已解除与中央标准版账号的绑定" in delivery.body}


# -- It comes about at the end of the login ---------------------------------------------------------


def test_the_password_alone_attaches_nothing(edition, person, operator):
    """Whoever has stolen a password, but not the second factor, does not get his central account in."""
    secret = give_totp(operator)
    person.sign_on("home_operator")
    assert person.bind("operator1")["Location"] == SECOND_STEP
    assert not SocialAccount.objects.exists()
    assert entries("bind") == []
    assert not Delivery.objects.exists()
    # He gives up: still nothing, and the central account comes for the first time again.
    person.here.post("/accounts/logout/", {"next": LOGIN})
    assert person.here.post(SECOND_STEP, {"code": code_of(secret)})["Location"] == LOGIN
    assert not SocialAccount.objects.exists()
    assert person.sign_on("home_operator")["Location"] == "/accounts/standard-edition/first/"


def test_the_second_factor_completes_the_binding(edition, person, operator):
    secret = give_totp(operator)
    person.sign_on("home_operator")
    person.bind("operator1")
    assert person.here.post(SECOND_STEP, {"code": "000000"}).status_code == 200
    assert not SocialAccount.objects.exists()
    assert person.here.post(SECOND_STEP, {"code": code_of(secret)})["Location"] == LIST
    assert person.user_id == str(operator.pk)
    assert SocialAccount.objects.get().user == operator
    [entry] = entries("bind")
    assert (entry.actor_name, entry.after, entry.refused) == ("operator1", {"central_account": "home_operator"}, False)
    assert person.here.session[standard_edition.KEPT]["id_token"]
    assert [one.outcome for one in LoginAttempt.objects.all()] == ["succeeded"], "one login, one row"


def test_an_account_that_is_closed_is_not_bound(edition, person, operator):
    operator.is_active = False
    operator.save()
    person.sign_on("home_operator")
    person.bind("operator1")
    assert person.user_id is None
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("who", ["local", "central"])
def test_what_was_bound_meanwhile_in_another_window_is_told_after_the_login(edition, person, operator, administrator, who):
    secret = give_totp(operator)
    person.sign_on("home_operator")
    person.bind("operator1")
    if who == "local":
        bound(operator)
    else:
        other = Person(edition)
        other.sign_on("home_operator")
        other.bind("admin1")
    assert SocialAccount.objects.count() == 1
    answer = person.here.post(SECOND_STEP, {"code": code_of(secret)}, follow=True)
    assert ("已绑定其他中央标准版账号" if who == "local" else "已完成首次登录设置") in answer.content.decode()
    assert SocialAccount.objects.count() == 1
    assert [entry.refused for entry in entries("bind")] == [False, True]
    # He is in, by his password and his factor; a logout at the standard edition is none of this session's business.
    assert person.user_id == str(operator.pk)
    assert standard_edition.KEPT not in person.here.session


def test_a_central_account_that_somebody_has_is_refused_before_the_second_factor(edition, person, operator, administrator):
    give_totp(operator)
    person.sign_on("home_operator")
    other = Person(edition)
    other.sign_on("home_operator")
    other.bind("admin1")
    assert "已完成首次登录设置" in person.bind("operator1").content.decode()
    assert person.user_id is None


# -- 登录安全 ---------------------------------------------------------------------------------------


def test_the_page_shows_what_is_bound(edition, operator_client, operator):
    page = operator_client.get(SECURITY).content.decode()
    assert "未绑定" in page
    assert UNBIND not in page
    bound(operator)
    page = operator_client.get(SECURITY).content.decode()
    assert "已绑定" in page
    assert "central1" in page
    assert "绑定时间" in page
    assert f'href="{UNBIND}"' in page


def test_without_a_standard_edition_only_a_binding_shows(settings, operator_client, operator):
    assert settings.STANDARD_EDITION_ISSUER == ""
    assert "中央标准版" not in operator_client.get(SECURITY).content.decode()
    bound(operator)
    assert "central1" in operator_client.get(SECURITY).content.decode()
    prove_again(operator_client)
    operator_client.post(UNBIND)
    operator_client.get(SECURITY)
    assert "中央标准版" not in operator_client.get(SECURITY).content.decode(), "also after the message is gone"
    assert not SocialAccount.objects.exists()


def test_who_can_never_be_bound_is_not_offered_it(edition, staff_client, settings):
    settings.STAFF_SECOND_FACTOR_REQUIRED = False
    assert "中央标准版" not in staff_client.get(SECURITY).content.decode()


def test_unbinding_asks_for_the_password_then_asks_once_more(edition, person, operator):
    User.objects.filter(pk=operator.pk).update(mobile="13904120009", email="operator1@example.com")
    person.sign_on("home_operator")
    person.bind("operator1")
    assert person.here.get(UNBIND)["Location"].startswith(f"{AGAIN}?next=")
    assert SocialAccount.objects.exists()
    assert prove_again(person.here, UNBIND)["Location"] == UNBIND
    assert "中央标准版账号 home_operator 不能再登录本账户" in person.here.get(UNBIND).content.decode()
    assert SocialAccount.objects.exists(), "the question changes nothing"

    page = person.here.post(UNBIND, follow=True).content.decode()
    assert "已解除绑定" in page
    assert "未绑定" in page
    assert not SocialAccount.objects.exists()
    [entry] = entries("unbind")
    assert (entry.actor_name, entry.before, entry.refused) == ("operator1", {"central_account": "home_operator"}, False)
    assert entry.enterprise_id == operator.enterprise_id
    assert told() == {"13904120009", "operator1@example.com"}
    # Who asked is still in; the central account comes for the first time.
    assert person.here.get(LIST).status_code == 200
    assert Person(edition).sign_on("home_operator")["Location"] == "/accounts/standard-edition/first/"


def test_the_answer_waits_for_the_password_when_that_was_asked_long_ago(edition, operator_client, operator):
    bound(operator)
    assert operator_client.post(UNBIND)["Location"].startswith(AGAIN)
    assert operator_client.post(AGAIN, {"password": "Wrong12345"}).status_code == 200
    assert SocialAccount.objects.exists()
    prove_again(operator_client, UNBIND)
    assert not SocialAccount.objects.exists()


def test_unbinding_twice_changes_nothing_more(edition, operator_client, operator):
    User.objects.filter(pk=operator.pk).update(mobile="13904120009")
    bound(operator)
    prove_again(operator_client)
    operator_client.post(UNBIND)
    many = Delivery.objects.count()
    assert told() == {"13904120009"}
    for answer in (operator_client.post(UNBIND, follow=True), operator_client.get(UNBIND, follow=True)):
        assert "您的账号没有绑定中央标准版账号。" in answer.content.decode()
    assert len(entries("unbind")) == 1
    assert Delivery.objects.count() == many


def test_unbinding_ends_the_sessions_that_came_from_the_central_account(
    edition, operator_client, operator, django_capture_on_commit_callbacks
):
    """A thief's, when the user finds an account there that is not his."""
    thief = Person(edition)
    thief.sign_on("home_operator")
    thief.bind("operator1")
    by_password = Client()
    by_password.post(LOGIN, {"username": "operator1", "password": PASSWORD, "captcha_0": "x", "captcha_1": "PASSED"})
    assert thief.here.get(LIST).status_code == 200
    prove_again(operator_client)
    with django_capture_on_commit_callbacks(execute=True):
        operator_client.post(UNBIND)
    assert by_password.get(LIST).status_code == 200
    assert thief.here.get(LIST).status_code == 302
    assert operator_client.get(LIST).status_code == 200
    assert AuditEntry.unscoped.filter(action="accounts.session.end_others").count() == 1


def test_who_has_no_password_keeps_his_binding(edition, person, operator):
    person.sign_on("home_operator")
    person.bind("operator1")
    operator.set_unusable_password()
    operator.save()
    person.here = Client()
    person.sign_on("home_operator")
    page = person.here.get(UNBIND).content.decode()
    assert "未设置登录密码" in page
    assert "忘记密码" in page
    assert '<form method="post">' not in page
    assert "未设置登录密码" in person.here.post(UNBIND, follow=True).content.decode()
    assert SocialAccount.objects.exists()
    assert [entry.refused for entry in entries("unbind")] == [True]
    assert told() == set()


def test_nobody_ends_the_binding_of_somebody_else(edition, operator, administrator):
    bound(operator)
    client = Client()
    client.force_login(administrator)
    prove_again(client)
    assert "没有绑定" in client.post(UNBIND, follow=True).content.decode()
    assert SocialAccount.objects.get().user == operator


@pytest.mark.django_db(transaction=True)
def test_a_binding_ends_once(operator):
    bound(operator)
    results = at_once(*[lambda: single_sign_on.unbind(user=operator, session_key=None) for _unused in range(3)])
    assert sorted(results) == [False, False, True]
    assert len(entries("unbind")) == 1
