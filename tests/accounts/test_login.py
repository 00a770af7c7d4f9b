"""Login, logout and session rules, as a browser meets them."""

import re
import time

import pytest
from allauth.account.internal.flows.login import perform_login
from allauth.account.models import Login
from allauth.core.context import request_context
from allauth.usersessions.models import UserSession
from captcha.models import CaptchaStore
from django.contrib.auth import SESSION_KEY, authenticate
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.cached_db import SessionStore
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import LoginAttempt, LoginOutcome, Registration, User
from accounts.rights import RIGHTS, Right, Role, rights_of
from accounts.validators import LettersAndDigitsValidator, NotTheDemoPasswordValidator
from tests.conftest import PASSWORD, make_enterprise, make_user

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"
LIST = "/smartgate/filings/"
#: What a browser sends for the picture code; in tests PASSED is always right.
PICTURE = {"captcha_0": "x", "captcha_1": "PASSED"}


def log_in(client, username, password=PASSWORD, **more):
    return client.post(LOGIN, {"username": username, "password": password, **PICTURE, **more})


@pytest.mark.covers("ACC-07")
def test_the_login_page_has_the_manuals_words_and_ways(client):
    page = client.get(LOGIN).content.decode()
    for words in ("用户名", "密码", "验证码", "换一张", "登录", ">立即注册</a>", ">忘记密码</a>"):
        assert words in page
    assert 'href="/accounts/register/"' in page
    assert 'alt="验证码图片，图中是四个字母"' in page


@pytest.mark.covers("ACC-07")
def test_the_page_after_login_is_the_one_asked_for(client, operator):
    asked = client.get(f"{LIST}?status=draft")
    assert asked.status_code == 302
    response = client.post(asked["Location"], {"username": "operator1", "password": PASSWORD, **PICTURE})
    assert response["Location"] == f"{LIST}?status=draft"


@pytest.mark.covers("ACC-07")
@pytest.mark.parametrize("username", ["operator1", "OPERATOR1", "Operator1"])
def test_the_case_of_the_user_name_does_not_matter(client, operator, username):
    assert log_in(client, username).status_code == 302


def test_another_host_is_never_the_page_after_login(client, operator):
    response = log_in(client, "operator1", next="https://example.com/steal")
    assert response["Location"] == "/"


@pytest.mark.parametrize(("username", "password"), [("operator1", "Wrong12345"), ("nobody", PASSWORD), ("operator1", PASSWORD.lower())])
def test_a_wrong_login_says_the_same_whoever_it_was(client, operator, username, password):
    response = log_in(client, username, password)
    assert response.status_code == 200
    assert "用户名或密码不正确" in response.content.decode()


def test_two_names_that_differ_by_case_only_cannot_exist(operator):
    with pytest.raises(IntegrityError), transaction.atomic():
        make_user("OPERATOR1", Role.CUSTOMS)


@pytest.mark.parametrize("close", ["user", "enterprise"])
def test_a_session_ends_when_its_user_or_enterprise_is_closed(operator, operator_client, close):
    assert operator_client.get(LIST).status_code == 200
    target = operator if close == "user" else operator.enterprise
    target.is_active = False
    target.save()
    turned_away = operator_client.get(LIST)
    assert turned_away["Location"].startswith(LOGIN)
    told = {"user": "您的账号已停用", "enterprise": "您所在的企业已停用"}[close]
    assert told in operator_client.get(turned_away["Location"]).content.decode()
    assert told in log_in(Client(), "operator1").content.decode()


@pytest.mark.parametrize(
    ("key", "setting"), [("session_seen_at", "SESSION_IDLE_SECONDS"), ("session_started_at", "SESSION_ABSOLUTE_SECONDS")]
)
def test_a_session_ends_by_time_and_the_login_page_says_why(operator_client, settings, key, setting):
    operator_client.get(LIST)
    session = operator_client.session
    session[key] = int(time.time()) - getattr(settings, setting) - 1
    session.save()
    response = operator_client.get(LIST)
    assert response["Location"].startswith(LOGIN)
    assert "长时间未操作" in operator_client.get(response["Location"]).content.decode()


def test_a_session_in_use_does_not_end_and_is_not_written_for_every_page(operator_client, django_assert_max_num_queries):
    operator_client.get(LIST)
    session = operator_client.session
    session["session_seen_at"] = int(time.time()) - 100
    session.save()
    operator_client.get(LIST)
    assert time.time() - operator_client.session["session_seen_at"] < 5
    with django_assert_max_num_queries(8) as queries:
        operator_client.get(LIST)
    assert not [query for query in queries.captured_queries if query["sql"].startswith("UPDATE")]


def test_logging_in_changes_the_session_key(client, operator):
    client.get(LOGIN)
    before = client.session.session_key
    log_in(client, "operator1")
    assert client.session.session_key != before


def test_logout_is_a_post(operator_client):
    assert operator_client.get("/accounts/logout/").status_code == 405
    assert operator_client.post("/accounts/logout/").status_code == 302
    assert operator_client.get(LIST).status_code == 302


@pytest.mark.covers("OPS-01")
def test_the_demo_password_opens_nothing_outside_the_demo(client, enterprise, settings):
    user = User.objects.create_user(
        "carried_over", password=settings.DEMO_PASSWORD, full_name="x", role=Role.OPERATOR, enterprise=enterprise
    )
    assert "用户名或密码不正确" in log_in(client, user.username, settings.DEMO_PASSWORD).content.decode()
    settings.DEMO_MODE = True
    assert log_in(client, user.username, settings.DEMO_PASSWORD).status_code == 302


def test_the_demo_password_can_be_nobodys_outside_the_demo(settings):
    with pytest.raises(ValidationError, match="公开密码"):
        NotTheDemoPasswordValidator().validate(settings.DEMO_PASSWORD)
    settings.DEMO_MODE = True
    assert NotTheDemoPasswordValidator().validate(settings.DEMO_PASSWORD) is None


@pytest.mark.parametrize("password", ["lettersonly", "1234567890", "!!!!!!!!"])
def test_a_password_has_letters_and_digits(password):
    with pytest.raises(ValidationError, match="字母和数字"):
        LettersAndDigitsValidator().validate(password)


@pytest.mark.covers("ACC-13")
@pytest.mark.parametrize("role", Role)
def test_rights_are_those_of_the_table(role, client):
    enterprise = make_enterprise(3, "x") if role in ("operator", "enterprise_administrator") else None
    user = make_user("someone", role, enterprise)
    client.force_login(user)
    assert {right for right in Right if user.has_right(right)} == RIGHTS[role]
    assert (client.get(LIST).status_code == 200) == (Right.SMARTGATE_VIEW in RIGHTS[role])


def test_an_unknown_role_has_no_rights():
    assert rights_of("president") == frozenset()


def test_an_enterprise_role_without_an_enterprise_cannot_exist(db):
    with pytest.raises(IntegrityError), transaction.atomic():
        make_user("lost", Role.OPERATOR)


def test_authenticate_without_a_request_works_for_commands(operator):
    assert authenticate(username="operator1", password=PASSWORD) == operator


# -- The picture code -------------------------------------------------------------------------------


def picture_of(response):
    """The picture code's key that a page carries."""
    (key,) = re.findall(r'name="captcha_0" value="([0-9a-f]+)"', response.content.decode())
    return key


@pytest.mark.covers("ACC-07")
def test_the_code_in_the_picture_lets_in_whatever_its_case_and_only_once(client, operator):
    key = picture_of(client.get(LOGIN))
    assert client.get(f"/captcha/image/{key}/")["Content-Type"] == "image/png"
    code = CaptchaStore.objects.get(hashkey=key).response.upper()
    wrong = client.post(LOGIN, {"username": "operator1", "password": "Wrong12345", "captcha_0": key, "captcha_1": code})
    assert "用户名或密码不正确" in wrong.content.decode()
    again = client.post(LOGIN, {"username": "operator1", "password": PASSWORD, "captcha_0": key, "captcha_1": code})
    assert "验证码不正确或已过期" in again.content.decode()
    key = picture_of(again)
    code = CaptchaStore.objects.get(hashkey=key).response
    assert client.post(LOGIN, {"username": "operator1", "password": PASSWORD, "captcha_0": key, "captcha_1": code}).status_code == 302


def test_the_picture_code_may_be_sent_under_its_own_name(client, operator):
    assert client.post(LOGIN, {"username": "operator1", "password": PASSWORD, "captcha": "PASSED"}).status_code == 302


@pytest.mark.parametrize("sent", [{}, {"captcha_0": "x", "captcha_1": ""}, {"captcha": ""}])
def test_a_missing_picture_code_is_asked_for_and_the_user_name_stays(client, operator, sent):
    page = client.post(LOGIN, {"username": "operator1", "password": PASSWORD, **sent}).content.decode()
    assert "此项必填" in page
    assert 'value="operator1"' in page
    assert PASSWORD not in page


def test_passed_is_no_code_outside_of_the_test_mode(client, operator, monkeypatch):
    monkeypatch.setattr("captcha.conf.settings.CAPTCHA_TEST_MODE", False)
    assert "验证码不正确或已过期" in log_in(client, "operator1").content.decode()


def test_another_picture_without_a_script_is_a_page_that_keeps_name_and_way(client, operator):
    first = picture_of(client.get(f"{LOGIN}?next={LIST}"))
    response = client.post(f"{LOGIN}?next={LIST}", {"username": "operator1", "password": "x", "new_picture": "1", "next": LIST})
    page = response.content.decode()
    assert picture_of(response) != first
    assert 'value="operator1"' in page
    assert f'name="next" value="{LIST}"' in page
    assert "entry-errors" not in page


def test_another_picture_with_the_script_is_only_the_picture(client):
    response = client.post(LOGIN, {"new_picture": "1"}, headers={"HX-Request": "true"})
    assert picture_of(response)
    assert "<html" not in response.content.decode()


# -- Accounts that may not be used ------------------------------------------------------------------


def closed_account(operator, why):
    """The operator's account, closed for a reason; what he is told of it."""
    match why:
        case "pending" | "rejected":
            operator.is_active = False
            Registration.objects.create(
                user=operator,
                role=operator.role,
                credit_code=operator.enterprise.credit_code,
                username=operator.username,
                status=why,
                reason="统一社会信用代码与营业执照不符",
                submitted_at=timezone.now(),
            )
        case "frozen":
            operator.frozen_at = timezone.now()
        case "disabled":
            operator.is_active = False
        case "enterprise":
            operator.enterprise.is_active = False
            operator.enterprise.save()
    operator.save()
    return {
        "pending": "待审核",
        "rejected": "统一社会信用代码与营业执照不符",
        "frozen": "请联系本企业管理员解冻",
        "disabled": "您的账号已停用",
        "enterprise": "您所在的企业已停用",
    }[why]


REASONS = ["pending", "rejected", "frozen", "disabled", "enterprise"]


@pytest.mark.covers("ACC-07")
@pytest.mark.parametrize("why", REASONS)
def test_who_knows_the_password_is_told_why_the_account_is_closed_and_nobody_else(client, operator, why):
    told = closed_account(operator, why)
    wrong = log_in(client, "operator1", "Wrong12345").content.decode()
    assert told not in wrong
    assert "用户名或密码不正确" in wrong
    assert told in log_in(client, "operator1").content.decode()
    assert client.get(LIST).status_code == 302
    assert LoginAttempt.objects.latest("pk").outcome == LoginOutcome.CLOSED
    assert User.objects.get(pk=operator.pk).last_login is None


@pytest.mark.covers("ACC-12")
def test_a_session_of_an_account_that_is_frozen_or_deleted_ends_and_the_login_page_says_why(operator, operator_client):
    told = closed_account(operator, "frozen")
    response = operator_client.get(LIST)
    assert told in operator_client.get(response["Location"]).content.decode()
    assert told not in operator_client.get(LOGIN).content.decode(), "it is said once"


def test_a_session_ends_for_the_script_too_by_leaving_the_page(operator, operator_client):
    closed_account(operator, "disabled")
    response = operator_client.get(LIST, headers={"HX-Request": "true"})
    assert response["HX-Redirect"].startswith(LOGIN)


@pytest.mark.parametrize("why", REASONS)
def test_whatever_the_method_a_closed_account_does_not_get_in(rf, operator, why):
    """As single sign-on and passkeys come in: past the form, through django-allauth."""
    told = closed_account(operator, why)
    request = rf.get("/")
    request.session, request.user = SessionStore(), AnonymousUser()
    with request_context(request):
        response = perform_login(request, Login(user=User.objects.get(pk=operator.pk)))
    assert response["Location"] == LOGIN
    assert told in request.session["login_notice"]
    assert SESSION_KEY not in request.session
    assert LoginAttempt.objects.get().outcome == LoginOutcome.CLOSED


def test_who_is_closed_between_password_and_session_does_not_get_in(client, operator, monkeypatch):
    """The last look is under a lock, after the second factor."""
    monkeypatch.setattr("accounts.services.login.why_closed", lambda user: "" if user.last_login is None and not closed else "关闭了")
    closed = []
    monkeypatch.setattr("accounts.adapters.why_closed", lambda user: (closed.append(user) and "") or "")
    response = log_in(client, "operator1")
    assert response["Location"] == LOGIN
    assert "关闭了" in client.get(LOGIN).content.decode()
    assert client.get(LIST).status_code == 302


def test_a_page_of_the_session_list_is_there_for_each_login(client, operator):
    log_in(client, "operator1")
    assert UserSession.objects.filter(user=operator).count() == 1


def test_no_message_beside_the_page_that_opens(client, operator):
    assert "Successfully" not in client.get(log_in(client, "operator1")["Location"]).content.decode()
