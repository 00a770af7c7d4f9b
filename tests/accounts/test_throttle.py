"""Ten wrong passwords: the door closes for the account and for the address, not for its owner's browser, and not for good."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.core import signing
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import known_browsers
from accounts.models import LoginAttempt, LoginOutcome, User
from accounts.services import login as services
from tests.accounts.test_login import LIST, LOGIN, PICTURE, log_in
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
CLOSED = "暂停登录"
WRONG = "用户名或密码不正确"


def text(response: Any) -> str:
    return str(response.content.decode())


def guess(username: str = "operator1", *, times: int, client: Client | None = None, **more: Any) -> str:
    """Type wrong passwords; what the page said in the end."""
    client = client or Client()
    for number in range(times):
        response = client.post(LOGIN, {"username": username, "password": f"Wrong{number}xx", **PICTURE}, **more)
    return text(response)


def pass_time(seconds: int) -> None:
    for attempt in LoginAttempt.objects.all():
        attempt.at -= timedelta(seconds=seconds)
        attempt.save()


@pytest.mark.covers("ACC-07")
@pytest.mark.parametrize("username", ["operator1", "OPERATOR1", "nobody"])
def test_ten_wrong_passwords_close_the_door_for_the_account_whoever_it_is(operator, username):
    assert WRONG in guess(username, times=10)
    said = text(log_in(Client(), username))
    assert CLOSED in said
    assert "请 15 分钟后再试" in said


def test_the_right_password_is_refused_alike_while_the_door_is_closed_and_nothing_is_hashed(operator, monkeypatch):
    guess(times=10)
    monkeypatch.setattr("accounts.services.login.password_is_right", lambda *_: pytest.fail("the password was looked at"))
    right, wrong = log_in(Client(), "operator1"), log_in(Client(), "operator1", "Wrong12345")
    assert [CLOSED in text(response) for response in (right, wrong)] == [True, True]
    assert list(LoginAttempt.objects.filter(outcome=LoginOutcome.THROTTLED).values_list("user", flat=True)) == [operator.pk] * 2


def test_it_opens_by_itself_and_trying_meanwhile_does_not_keep_it_closed(operator, settings):
    guess(times=10)
    pass_time(settings.LOGIN_CLOSED_SECONDS - 60)
    assert "请 1 分钟后再试" in text(log_in(Client(), "operator1"))
    pass_time(61)
    assert log_in(Client(), "operator1").status_code == 302


def test_after_it_opened_ten_more_are_needed(operator, settings):
    guess(times=10)
    pass_time(settings.LOGIN_CLOSED_SECONDS + 1)
    assert WRONG in guess(times=10)
    assert CLOSED in guess(times=1)


def test_nine_wrong_ones_over_a_longer_time_close_nothing(operator, settings):
    guess(times=5)
    pass_time(settings.LOGIN_CLOSED_SECONDS)
    guess(times=5)
    pass_time(2)
    assert log_in(Client(), "operator1").status_code == 302


@pytest.mark.covers("ACC-07")
def test_a_stranger_does_not_lock_the_owner_out_of_his_usual_browser(operator):
    home = Client()
    log_in(home, "operator1")
    home.post("/accounts/logout/")
    guess(times=10)
    assert CLOSED in text(log_in(Client(), "operator1")), "a browser that is not known waits"
    assert log_in(home, "operator1").status_code == 302


def test_the_usual_browser_has_a_count_of_its_own(operator):
    home = Client()
    log_in(home, "operator1")
    home.post("/accounts/logout/")
    assert CLOSED in guess(times=11, client=home)
    assert log_in(Client(), "operator1").status_code == 302, "others do not suffer for it"


def test_a_browser_is_known_for_the_accounts_it_logged_in_to_and_no_other(operator, other_operator):
    client = Client()
    log_in(client, "operator1")
    client.post("/accounts/logout/")
    guess("operator2", times=10)
    assert CLOSED in text(log_in(client, "operator2"))


@pytest.mark.parametrize(
    "forged",
    ["operator1", signing.dumps(["operator1"], salt="another"), "x:y:z"],
    ids=["plain", "signed for another use", "garbled"],
)
def test_nobody_makes_his_browser_known_by_himself(operator, forged):
    guess(times=10)
    client = Client()
    client.cookies[known_browsers.COOKIE] = forged
    assert CLOSED in text(log_in(client, "operator1"))


def test_the_cookie_of_a_known_browser_tells_no_name_and_is_out_of_reach_of_scripts(operator):
    client = Client()
    log_in(client, "operator1")
    cookie = client.cookies[known_browsers.COOKIE]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    (account,) = signing.loads(cookie.value, salt="accounts.known_browsers")
    assert "operator1" not in account
    assert len(account) == 32


def test_the_cookie_stays_small_however_many_accounts_a_browser_has(rf, operator):
    request, jar = rf.get("/"), Client()
    for number in range(30):
        request.COOKIES = {name: morsel.value for name, morsel in jar.cookies.items()}
        response = log_in(Client(), "operator1")
        known_browsers.remember(request, response, f"user{number}")
        jar.cookies.update(response.cookies)
    request.COOKIES = {known_browsers.COOKIE: jar.cookies[known_browsers.COOKIE].value}
    assert len(request.COOKIES[known_browsers.COOKIE]) < 1000
    assert known_browsers.knows(request, "USER29")
    assert not known_browsers.knows(request, "user1")


@pytest.mark.covers("ACC-07")
def test_many_wrong_passwords_close_the_door_for_the_address(operator, other_operator, settings):
    settings.LOGIN_FAILURES_PER_ADDRESS = 12
    home = Client()
    log_in(home, "operator1", REMOTE_ADDR="203.0.113.7")
    home.post("/accounts/logout/")
    for number in range(12):
        guess(f"nobody{number}", times=1, REMOTE_ADDR="203.0.113.7")
    here = Client(REMOTE_ADDR="203.0.113.7")
    assert CLOSED in text(log_in(here, "operator2"))
    assert log_in(Client(REMOTE_ADDR="203.0.113.8"), "operator2").status_code == 302
    home.defaults["REMOTE_ADDR"] = "203.0.113.7"
    assert log_in(home, "operator1").status_code == 302, "a known browser does not suffer for its neighbours"


def test_each_attempt_is_one_row_and_none_of_them_tells_what_was_typed(operator):
    log_in(Client(), "operator1", "Wrong12345")
    log_in(Client(), "MyPassword1", "x")
    log_in(Client(HTTP_USER_AGENT="Browser " * 100), "Operator1")
    rows = list(LoginAttempt.objects.order_by("pk").values())
    assert [(row["outcome"], row["user_id"], row["method"]) for row in rows] == [
        ("failed", operator.pk, "password"),
        ("failed", None, "password"),
        ("succeeded", operator.pk, "password"),
    ]
    assert rows[0]["account"] == rows[2]["account"] != rows[1]["account"]
    assert "mypassword1" not in str(rows).lower()
    assert rows[2]["ip"] == "127.0.0.1"
    assert len(rows[2]["user_agent"]) == 300


def test_a_wrong_picture_code_is_no_attempt(client, operator):
    response = client.post(LOGIN, {"username": "operator1", "password": PASSWORD, "captcha_0": "x", "captcha_1": "abcd"})
    assert "验证码不正确或已过期" in text(response)
    assert not LoginAttempt.objects.exists()


def test_unknown_names_cost_the_same_work_as_wrong_passwords(operator, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        "django.contrib.auth.hashers.MD5PasswordHasher.encode",
        lambda self, password, salt: hashed.append(password) or f"md5${salt}${'0' * 32}",
    )
    log_in(Client(), "operator1", "Wrong12345")
    assert len(hashed) == 1
    log_in(Client(), "nobody", "Wrong12345")
    assert len(hashed) == 2
    assert check_password("x", "md5$salt$" + "0" * 32)


@pytest.mark.django_db(transaction=True)
def test_attempts_at_the_same_moment_all_count(operator, settings):
    """None of them sees a count in which the others are missing."""
    settings.LOGIN_FAILURES_PER_ACCOUNT = 5
    barrier = Barrier(12)

    def attempt(_number: int) -> str:
        barrier.wait()
        try:
            services.check_password(username="operator1", password="Wrong12345", ip="", user_agent="", known_browser=False)
        except services.LoginRefused as refusal:
            return str(refusal.code)
        finally:
            connection.close()
        return "in"

    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(attempt, range(12)))
    assert sorted(outcomes) == ["throttled"] * 7 + ["wrong"] * 5


def test_a_login_that_waits_for_its_second_factor_is_neither_failed_nor_done(operator):
    user, attempt = services.check_password(username="operator1", password=PASSWORD, ip="", user_agent="", known_browser=False)
    assert attempt.outcome == LoginOutcome.PROVEN
    services.record_login(user=user, method="password", attempt_id=attempt.pk, ip="", user_agent="")
    services.record_login(user=user, method="passkey", attempt_id=attempt.pk, ip="", user_agent="")
    assert list(LoginAttempt.objects.order_by("pk").values_list("method", "outcome")) == [
        ("password", "succeeded"),
        ("passkey", "succeeded"),
    ]


def test_old_attempts_are_forgotten_and_others_kept(operator):
    guess(times=2)
    old = LoginAttempt.objects.earliest("pk")
    old.at = timezone.now() - timedelta(days=366)
    old.save()
    assert services.forget_old_attempts() == 1
    assert LoginAttempt.objects.count() == 1


def test_logging_in_again_after_the_session_ended_leads_on(operator):
    client = Client()
    log_in(client, "operator1")
    assert client.get(LIST).status_code == 200
    assert User.objects.get(pk=operator.pk).last_login is not None
