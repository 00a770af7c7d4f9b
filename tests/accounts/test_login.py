"""Login, logout and session rules, as a browser meets them."""

import time

import pytest
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.models import User
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
