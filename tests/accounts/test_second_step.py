"""The second step of logging in (ACC-14): codes, recovery codes, and what goes wrong with them."""

import pytest
from django.test import Client

from accounts.models import LoginAttempt, LoginOutcome
from core.models import AuditEntry
from tests.accounts.factors import code_of, forget_used_codes, give_recovery_codes, give_totp
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.covers("ACC-14")]
SECOND_STEP = "/accounts/2fa/authenticate/"
LIST = "/smartgate/filings/"


def log_in(client, username="operator1", **more):
    return client.post("/accounts/login/", {"username": username, "password": PASSWORD, "captcha_0": "x", "captcha_1": "PASSED", **more})


def test_logging_in_takes_the_second_step(client, operator):
    secret = give_totp(operator)
    response = log_in(client, next=f"{LIST}?status=draft")
    assert response["Location"] == SECOND_STEP
    assert client.get(LIST).status_code == 302, "the password alone opens nothing"
    assert "登录第二步" in client.get(SECOND_STEP).content.decode()
    response = client.post(SECOND_STEP, {"code": code_of(secret)})
    assert response["Location"] == f"{LIST}?status=draft"
    assert client.get(LIST).status_code == 200
    assert list(LoginAttempt.objects.values_list("outcome", flat=True)) == [LoginOutcome.SUCCEEDED]


def test_nobody_gets_to_the_second_step_without_the_first(client, operator):
    give_totp(operator)
    assert client.get(SECOND_STEP)["Location"] == "/accounts/login/"
    assert client.post(SECOND_STEP, {"code": "123456"})["Location"] == "/accounts/login/"


def test_a_code_is_good_once(operator):
    secret = give_totp(operator)
    code = code_of(secret)
    for client, works in ((Client(), True), (Client(), False)):
        log_in(client)
        response = client.post(SECOND_STEP, {"code": code})
        assert (response.status_code == 302) is works
    assert "验证未通过" in response.content.decode()


def test_a_code_typed_slowly_still_works_and_an_old_one_does_not(operator):
    secret = give_totp(operator)
    for steps, works in ((-1, True), (-2, False), (3, False)):
        client = Client()
        log_in(client)
        assert (client.post(SECOND_STEP, {"code": code_of(secret, steps=steps)}).status_code == 302) is works
        forget_used_codes()


def test_a_recovery_code_is_good_once(operator):
    give_totp(operator)
    code, *_rest = give_recovery_codes(operator)
    for client, works in ((Client(), True), (Client(), False)):
        log_in(client)
        response = client.post(SECOND_STEP, {"code": code})
        assert (response.status_code == 302) is works
        forget_used_codes()


def test_wrong_codes_are_noted_and_soon_refused_unseen(client, operator):
    secret = give_totp(operator)
    log_in(client)
    right = code_of(secret)
    wrong = "000000" if right != "000000" else "111111"
    pages = [client.post(SECOND_STEP, {"code": wrong}).content.decode() for _unused in range(6)]
    assert all("验证未通过" in page for page in pages[:5])
    assert "错误次数过多，请 5 分钟后再试" in pages[5]
    assert client.post(SECOND_STEP, {"code": right}).status_code == 200, "the right code comes too late"
    noted = AuditEntry.unscoped.filter(action="accounts.second_factor.use")
    assert noted.count() == 5
    assert all(entry.refused and entry.actor_name == "operator1" and wrong not in str(entry.after) for entry in noted)


def test_cancelling_the_second_step_forgets_the_first(client, operator):
    secret = give_totp(operator)
    log_in(client)
    assert client.post("/accounts/logout/", {"next": "/accounts/login/"})["Location"] == "/accounts/login/"
    assert client.post(SECOND_STEP, {"code": code_of(secret)})["Location"] == "/accounts/login/"
