"""中央标准版 (ACC-09): the portal against the provider's simulator, as a browser meets both."""

import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import requests
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value, yield_hotp_counters_from_time
from allauth.socialaccount.models import SocialAccount
from django.test import Client
from django.utils import timezone

from accounts import standard_edition
from accounts.models import Enterprise, LoginAttempt, Registration, User
from accounts.rights import ApplicationKey, Role
from core.models import AuditEntry
from notifications.models import Delivery
from simulators.standard_edition.accounts import Account
from simulators.standard_edition.accounts import Enterprise as CentralEnterprise
from simulators.standard_edition.keys import SigningKey
from tests.conftest import PASSWORD
from tests.factories import credit_code
from tests.simulators.standard_edition import CLIENT_ID, SECRET, Browser, Edition, open_to, query, running

pytestmark = pytest.mark.django_db

PORTAL = "http://testserver"
LOGIN, START = "/accounts/login/", "/accounts/standard-edition/"
FIRST, REGISTER, BIND = f"{START}first/", f"{START}first/register/", f"{START}first/bind/"
CALLBACK = "/accounts/oidc/standard_edition/login/callback/"
BACKCHANNEL = f"{START}backchannel-logout/"
LIST = "/smartgate/filings/"
LOCAL_PASSWORD = "Harbour2027"

HOME = CentralEnterprise("大连测试国际货运代理有限公司", credit_code(1), "王测试")
NEW = CentralEnterprise("锦州测试粮食贸易有限公司", credit_code(7), "陈测试")
ACCOUNTS = (
    Account("home_admin", "王管理", "administrator", "13904120001", HOME),
    Account("home_operator", "李操作", "operator", "13904120002", HOME),
    Account("new_admin", "陈管理", "administrator", "13904120003", NEW),
    Account("new_operator", "蒋操作", "operator", "13904120004", NEW),
    Account("new_phone", "沈新机", "operator", "+86 139 0412 0005", NEW, phone_number_verified=False),
    Account("no_phone", "韩无机", "operator", "", NEW),
    Account("wrong_code", "杨错码", "operator", "13904120006", CentralEnterprise("错码有限公司", credit_code(1)[:-1] + "0", "杨")),
    Account("no_company", "朱无企", "operator", "13904120007", CentralEnterprise("", "", "")),
)


@pytest.fixture
def edition(settings: Any) -> Iterator[Edition]:
    with running(PORTAL, accounts=ACCOUNTS) as edition:
        open_to(settings, edition.issuer)
        yield edition


class Person:
    """One browser in front of both: the portal and the standard edition."""

    def __init__(self, edition: Edition) -> None:
        self.here, self.there = Client(), Browser(edition)

    def press(self, target: str = LIST) -> str:
        """中央标准版 on the login page; gives where the portal sends the browser."""
        return str(self.here.post(START, {"next": target})["Location"])

    def sign_on(self, username: str, target: str = LIST) -> Any:
        """To the standard edition, log in there where it asks for it, and back with the code."""
        return self.here.get(self.there.log_in(self.press(target), username))

    def register(self, username: str = "quick001", password: str = LOCAL_PASSWORD, **more: str) -> Any:
        return self.here.post(REGISTER, {"username": username, "password1": password, "password2": password, **more})

    def bind(self, username: str, password: str = PASSWORD, captcha: str = "PASSED") -> Any:
        return self.here.post(BIND, {"username": username, "password": password, "captcha_0": "x", "captcha_1": captcha})

    def notice(self) -> str:
        return str(self.here.get(LOGIN).content.decode())

    @property
    def user_id(self) -> str | None:
        return self.here.session.get("_auth_user_id")


@pytest.fixture
def person(edition: Edition) -> Person:
    return Person(edition)


# -- The first time -------------------------------------------------------------------------------


def test_without_a_standard_edition_there_is_no_button_and_no_page(client):
    assert "中央标准版" not in client.get(LOGIN).content.decode()
    for path in (START, FIRST, REGISTER, BIND, CALLBACK, f"{START}done/", f"{START}signed-out/"):
        assert client.get(path).status_code == 404, path
    assert client.post(BACKCHANNEL).status_code == 404


@pytest.mark.covers("ACC-09")
def test_quick_registration_of_a_new_enterprise_and_straight_in_the_second_time(edition, person):
    page = person.here.get(f"{LOGIN}?next={LIST}").content.decode()
    assert "中央标准版" in page
    assert f'value="{LIST}"' in page
    assert person.sign_on("new_admin")["Location"] == FIRST
    first = person.here.get(FIRST).content.decode()
    for text in ("首次登录设置", "快速注册", "绑定本地已有账户", "下一步", NEW.name, NEW.credit_code):
        assert text in first
    assert person.here.post(FIRST, {"choice": "register"})["Location"] == REGISTER
    page = person.here.get(REGISTER).content.decode()
    assert "中央账号信息" in page
    assert "地方账户信息" in page
    answer = person.register()
    page = person.here.get(answer["Location"]).content.decode()
    assert "快速注册成功" in page
    assert f'href="{LIST}"' in page
    assert "继续访问" in page
    assert person.here.get(LIST).status_code == 200

    user = User.objects.get(username="quick001")
    assert (user.role, user.full_name, user.mobile) == (Role.ENTERPRISE_ADMINISTRATOR, "陈管理", "13904120003")
    assert user.first_login_verified_at is not None
    assert user.check_password(LOCAL_PASSWORD)
    assert set(user.enterprise.applications) == set(ApplicationKey.values)
    assert (user.enterprise.name, user.enterprise.organisation_code) == (NEW.name, NEW.credit_code[8:17])
    assert user.enterprise.legal_person_name == "陈测试"
    assert Registration.objects.get(user=user).status == "approved"
    assert AuditEntry.unscoped.filter(action="accounts.single_sign_on.register").count() == 1
    assert Delivery.objects.count() == 1
    # What is kept for good names the central account, and nothing more.
    assert SocialAccount.objects.get(user=user).extra_data == {"username": "new_admin"}

    again = Person(edition)
    answer = again.sign_on("new_admin")
    assert answer["Location"] == LIST
    assert again.user_id == str(user.pk)
    assert [(attempt.method, attempt.outcome) for attempt in LoginAttempt.objects.all()] == [("single_sign_on", "succeeded")] * 2


@pytest.mark.covers("ACC-09")
def test_already_signed_in_there_means_no_login_page_here(edition, person):
    person.sign_on("new_admin")
    person.register()
    person.here = Client()
    # The link on the standard edition's own page (OpenID Connect Core §4).
    link = f"{START}?iss={edition.issuer}&target_link_uri={PORTAL}{LIST}"
    elsewhere = person.here.get(link)["Location"]
    assert elsewhere.startswith(f"{edition.issuer}/authorize?")
    back = person.there.get(elsewhere)
    assert back.headers["Location"].startswith(f"{PORTAL}{CALLBACK}?code=")
    assert person.here.get(back.headers["Location"])["Location"] == f"{PORTAL}{LIST}"
    assert person.here.get(LIST).status_code == 200
    # Logged in here already: straight to the page.
    assert person.here.get(link)["Location"] == f"{PORTAL}{LIST}"


@pytest.mark.parametrize("target", ["https://example.com/steal", "//example.com", "/\\example.com", "javascript:alert(1)"])
def test_another_host_is_never_the_page_after_login(edition, person, target):
    person.sign_on("new_admin", target=target)
    location = person.register()["Location"]
    assert query(location) == {"next": "/"}
    for path in (location, f"{START}done/?next={target}"):
        assert '<a class="btn btn-primary" href="/">继续访问</a>' in person.here.get(path).content.decode()
    assert Client().get(START, {"iss": "https://elsewhere.example", "next": LIST}).status_code == 400


@pytest.mark.covers("ACC-09")
@pytest.mark.parametrize("username", ["home_operator", "home_admin"])
def test_who_joins_a_registered_enterprise_is_an_operator_without_applications(edition, person, administrator, username):
    administrator.enterprise.applications = [ApplicationKey.SMARTGATE]
    administrator.enterprise.save()
    person.sign_on(username)
    person.register()
    user = User.objects.get(username="quick001")
    assert (user.role, user.enterprise, user.applications) == (Role.OPERATOR, administrator.enterprise, [])
    administrator.enterprise.refresh_from_db()
    assert administrator.enterprise.applications == [ApplicationKey.SMARTGATE]
    assert person.here.get(LIST).status_code == 403


def test_a_phone_that_the_standard_edition_has_not_verified_is_verified_here(edition, person):
    person.sign_on("new_phone")
    person.register()
    user = User.objects.get(username="quick001")
    assert (user.mobile, user.first_login_verified_at) == ("13904120005", None)


@pytest.mark.parametrize(("username", "missing"), [("no_phone", "手机号"), ("wrong_code", "统一社会信用代码"), ("no_company", "企业名称")])
def test_claims_that_are_missing_or_wrong_are_told(edition, person, username, missing):
    assert person.sign_on(username)["Location"].startswith(LOGIN)
    assert missing in person.notice()
    assert person.here.get(FIRST)["Location"] == LOGIN
    assert not Enterprise.objects.exists()


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"username": "short"}, "6 至 18 位"),
        ({"username": "with-hyphen"}, "6 至 18 位"),
        ({"username": "用户名用户名"}, "6 至 18 位"),
        ({"username": "x" * 19}, "18"),
        ({"password1": "Password1", "password2": "Password1"}, "密码"),
        ({"password1": "lettersonly", "password2": "lettersonly"}, "字母和数字"),
        ({"password1": "Ab1", "password2": "Ab1"}, "8"),
        ({"password2": "Other12345"}, "两次"),
        ({"username": "", "password1": "", "password2": ""}, "此项必填"),
    ],
)
def test_the_local_account_follows_the_rules_of_the_registration(edition, person, values, text):
    person.sign_on("new_admin")
    answer = person.here.post(REGISTER, {"username": "quick001", "password1": LOCAL_PASSWORD, "password2": LOCAL_PASSWORD, **values})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert text in page
    assert values.get("username", "quick001") in page
    assert LOCAL_PASSWORD not in page
    assert not User.objects.exists()


def test_a_user_name_that_somebody_has_is_told(edition, person, operator):
    person.sign_on("new_admin")
    page = person.register(operator.username.upper()).content.decode()
    assert "该用户名已被使用" in page
    assert not Enterprise.objects.filter(credit_code=NEW.credit_code).exists()


def test_no_choice_is_told(edition, person):
    person.sign_on("new_admin")
    page = person.here.post(FIRST, {}).content.decode()
    assert '<a href="#id_choice">设置方式：请选择“快速注册”或“绑定本地已有账户”。</a>' in page
    assert 'id="id_choice"' in page
    assert person.here.post(FIRST, {"choice": "other"}).status_code == 200
    assert person.here.post(FIRST, {"choice": "bind"})["Location"] == BIND


@pytest.mark.covers("ACC-06")
def test_a_quick_registration_waits_for_the_staff_where_all_do(edition, person, settings):
    settings.REGISTRATION_REVIEW = "manual"
    person.sign_on("new_admin")
    assert person.register()["Location"] == LOGIN
    assert "审核" in person.notice()
    user = User.objects.get(username="quick001")
    assert not user.is_active
    assert not user.enterprise.is_active
    assert Registration.objects.get(user=user).status == "pending"
    assert person.user_id is None
    # A colleague who comes meanwhile is told, and nothing is made of him.
    colleague = Person(edition)
    colleague.sign_on("new_operator")
    assert "审核" in colleague.register("quick002").content.decode()
    assert User.objects.count() == 1


def test_a_closed_enterprise_takes_nobody(edition, person, enterprise):
    enterprise.is_active = False
    enterprise.save()
    person.sign_on("home_operator")
    assert "停用" in person.register().content.decode()
    assert not User.objects.exists()


def test_first_settings_that_were_made_in_another_window_are_told(edition, person):
    other = Person(edition)
    person.sign_on("new_admin")
    other.sign_on("new_admin")
    other.register("quick001")
    assert "已完成首次登录设置" in person.register("quick002").content.decode()
    assert User.objects.count() == 1


# -- Binding --------------------------------------------------------------------------------------


@pytest.mark.covers("ACC-09")
def test_binding_an_existing_account(edition, person, operator):
    person.sign_on("home_operator")
    assert "绑定本地已有账户" in person.here.get(BIND).content.decode()
    assert person.bind("OPERATOR1")["Location"] == LIST
    assert person.user_id == str(operator.pk)
    entry = AuditEntry.unscoped.get(action="accounts.single_sign_on.bind")
    assert (entry.actor_name, entry.after) == ("operator1", {"central_account": "home_operator"})
    again = Person(edition)
    assert again.sign_on("home_operator")["Location"] == LIST
    assert again.user_id == str(operator.pk)


def test_who_is_bound_is_told(edition, person, operator):
    """Whoever has stolen the password does not bind an account of his own unseen."""
    User.objects.filter(pk=operator.pk).update(mobile="13904120009", email="operator1@example.com")
    person.sign_on("home_operator")
    person.bind("operator1")
    texts = [delivery.body for delivery in Delivery.objects.filter(recipient__in=["13904120009", "operator1@example.com"])]
    assert len([text for text in texts if "operator1 已绑定中央标准版账号" in text]) == 2


def test_an_account_of_another_enterprise_is_not_bound(edition, person, other_operator, staff):
    person.sign_on("home_operator")
    assert "不属于中央账号所在的企业" in person.bind("operator2").content.decode()
    assert "不属于中央账号所在的企业" in person.bind("staff1").content.decode()
    assert AuditEntry.unscoped.filter(action="accounts.single_sign_on.bind", refused=True).count() == 2
    assert not SocialAccount.objects.exists()
    assert person.user_id is None


def test_an_account_that_is_bound_is_not_bound_to_another(edition, person, operator):
    person.sign_on("home_operator")
    person.bind("operator1")
    other = Person(edition)
    other.sign_on("home_admin")
    assert "已绑定其他中央标准版账号" in other.bind("operator1").content.decode()
    assert other.user_id is None


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (("operator1", "Wrong12345", "PASSED"), "用户名或密码不正确"),
        (("nobody", PASSWORD, "PASSED"), "用户名或密码不正确"),
        (("operator1", PASSWORD, "WRONG"), "验证码不正确"),
        (("", "", "PASSED"), "此项必填"),
    ],
)
def test_binding_needs_the_right_password_and_the_picture_code(edition, person, operator, typed, text):
    person.sign_on("home_operator")
    page = person.bind(*typed).content.decode()
    assert text in page
    assert typed[0] in page
    assert not SocialAccount.objects.exists()


def test_a_central_account_that_moved_to_another_enterprise_does_not_log_in_any_more(edition, person, operator):
    person.sign_on("home_operator")
    person.bind("operator1")
    moved = Account("home_operator", "李操作", "operator", "13904120002", NEW)
    edition.provider.accounts["home_operator"] = moved
    again = Person(edition)
    assert again.sign_on("home_operator")["Location"].startswith(LOGIN)
    assert "另一企业" in again.notice()
    assert again.user_id is None


@pytest.mark.parametrize("path", [FIRST, REGISTER, BIND])
def test_nobody_comes_to_the_first_settings_without_the_standard_edition(edition, client, path):
    assert client.get(path)["Location"] == LOGIN
    assert "请重新点击“中央标准版”登录" in client.get(LOGIN).content.decode()
    assert client.post(path, {"username": "quick001"})["Location"] == LOGIN


# -- What goes wrong on the way --------------------------------------------------------------------


def test_cancelling_over_there_comes_back_with_a_word(edition, person):
    login = person.there.get(person.press())
    back = person.there.send(login, action="cancel").headers["Location"]
    assert query(back)["error"] == "access_denied"
    assert person.here.get(back)["Location"] == f"{LOGIN}?next={LIST}"
    assert "已取消" in person.notice()


def test_a_state_that_is_not_ours_is_refused(edition, person):
    back = person.there.log_in(person.press(), "new_admin")
    for state in ("", "x" * 16):
        assert person.here.get(CALLBACK, {**query(back), "state": state})["Location"] == LOGIN
        assert "没有完成" in person.notice()
    # Another browser's state is none of this one's.
    assert Client().get(back)["Location"] == LOGIN


def test_a_code_is_good_once(edition, person):
    back = person.there.log_in(person.press(), "new_admin")
    assert person.here.get(back)["Location"] == FIRST
    assert person.here.get(back)["Location"] == LOGIN
    # With a state of its own, too: the standard edition gives nothing for it any more.
    fresh = query(person.press())["state"]
    assert person.here.get(CALLBACK, {"code": query(back)["code"], "state": fresh})["Location"].startswith(LOGIN)
    assert "没有完成" in person.notice()


def test_a_code_of_somebody_else_is_refused(edition, person):
    """Login CSRF: the code was given to another browser's login; its PKCE verifier and nonce are not this one's."""
    theirs = query(Person(edition).there.log_in(Person(edition).press(), "new_admin"))
    mine = query(person.press())["state"]
    assert person.here.get(CALLBACK, {"code": theirs["code"], "state": mine})["Location"].startswith(LOGIN)
    assert person.here.get(FIRST)["Location"] == LOGIN


OTHER_KEY = SigningKey.new()


def tampered(edition: Edition, **changes: Any) -> Any:
    """The provider, whose id_tokens say something else (None: nothing) under its own signature."""
    sign = edition.provider.key.sign

    def other(claims: dict[str, Any], **kwargs: Any) -> str:
        return sign({name: value for name, value in {**claims, **changes}.items() if value is not None}, **kwargs)

    return mock.patch.object(edition.provider.key, "sign", other)


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"iss": "https://elsewhere.example"},
        {"aud": "another-client"},
        {"aud": [CLIENT_ID, "another-client"]},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"iat": None},
        {"sub": "somebody-else"},
        {"sub": ""},
        {"sub": None},
        {"at_hash": "x" * 22},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_right_is_refused(edition, person, changes):
    with tampered(edition, **changes):
        assert person.sign_on("new_admin")["Location"] == f"{LOGIN}?next={LIST}"
    assert "没有完成" in person.notice()
    assert person.here.get(FIRST)["Location"] == LOGIN


def test_an_id_token_signed_by_another_key_is_refused(edition, person):
    with mock.patch.object(edition.provider.key, "sign", OTHER_KEY.sign):
        assert person.sign_on("new_admin")["Location"].startswith(LOGIN)
    # Also under the name of the right key.
    forger = SigningKey(OTHER_KEY._key)
    forger.kid = edition.provider.key.kid
    with mock.patch.object(edition.provider.key, "sign", forger.sign):
        assert person.sign_on("new_admin")["Location"].startswith(LOGIN)
    assert person.here.get(FIRST)["Location"] == LOGIN


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_an_id_token_without_a_real_signature_is_refused(edition, person, algorithm):
    import jwt

    def sign(claims: dict[str, Any], **_kwargs: Any) -> str:
        key = SECRET.ljust(32, "0") if algorithm == "HS256" else None
        return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": edition.provider.key.kid})

    with mock.patch.object(edition.provider.key, "sign", sign):
        assert person.sign_on("new_admin")["Location"].startswith(LOGIN)
    assert person.here.get(FIRST)["Location"] == LOGIN


@pytest.mark.parametrize(
    "changes",
    [{"issuer": "https://elsewhere.example"}, {"token_endpoint": None}, {"jwks_uri": 7}, {"authorization_endpoint": None}],
    ids=str,
)
def test_a_discovery_document_that_is_not_right_is_refused(edition, person, changes):
    wrong = {**edition.provider.configuration(), **changes}
    with mock.patch.object(edition.provider, "configuration", return_value=wrong):
        assert person.press() == f"{LOGIN}?next={LIST}"
    assert "没有完成" in person.notice()


@pytest.mark.covers("ACC-09")
def test_a_standard_edition_that_is_down_is_told(settings, client, operator):
    open_to(settings, "http://127.0.0.1:9")
    answer = client.post(START, {"next": LIST})
    assert answer["Location"] == f"{LOGIN}?next={LIST}"
    assert "中央标准版暂时无法访问，请稍后再试，或使用本地账号登录。" in client.get(LOGIN).content.decode()


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"issuer": 1}', b""])
def test_a_standard_edition_that_answers_nonsense_is_told(settings, client, edition, answer):
    from flask import Response

    with mock.patch("simulators.standard_edition.app.jsonify", side_effect=lambda *_a, **_k: Response(answer)):
        assert client.post(START, {"next": LIST})["Location"].startswith(LOGIN)
    assert "中央标准版" in client.get(LOGIN).content.decode()


def test_the_standard_edition_breaks_off_halfway(edition, person):
    back = person.there.log_in(person.press(), "new_admin")
    for name in ("exchange", "userinfo"):
        with mock.patch.object(edition.provider, name, side_effect=RuntimeError("power cut")):
            assert person.here.get(back)["Location"].startswith(LOGIN)
        back = person.there.log_in(person.press(), "new_admin")
    assert person.here.get(back)["Location"] == FIRST


# -- Accounts that may not be used -----------------------------------------------------------------


@pytest.mark.parametrize("close", ["user", "enterprise", "frozen"])
def test_a_closed_account_does_not_come_in_by_the_standard_edition(edition, person, operator, close):
    person.sign_on("home_operator")
    person.bind("operator1")
    person.here = Client()
    if close == "frozen":
        operator.frozen_at = timezone.now()
        operator.save()
    else:
        target = operator if close == "user" else operator.enterprise
        target.is_active = False
        target.save()
    assert person.sign_on("home_operator")["Location"].startswith(LOGIN)
    assert person.user_id is None
    assert ("冻结" if close == "frozen" else "停用") in person.notice()


# -- Logging out ----------------------------------------------------------------------------------


@pytest.mark.covers("ACC-09")
def test_logging_out_here_logs_out_there(edition, person, operator):
    person.sign_on("home_operator")
    person.bind("operator1")
    away = person.here.post("/accounts/logout/")["Location"]
    assert away.startswith(f"{edition.issuer}/logout?")
    assert person.user_id is None
    back = person.there.get(away).headers["Location"]
    assert back.startswith(f"{PORTAL}{START}signed-out/?state=")
    assert person.here.get(back)["Location"] == LOGIN
    assert "您已退出本平台和中央标准版。" in person.notice()
    # Over there a login page again.
    assert not person.there.get(person.press()).is_redirect
    assert len(edition.told) == 1


def test_coming_back_from_a_logout_that_was_none_says_nothing(edition, client):
    assert client.get(f"{START}signed-out/?state=x")["Location"] == LOGIN
    assert "您已退出" not in client.get(LOGIN).content.decode()


def test_logging_out_works_when_the_standard_edition_is_down(edition, person, operator, settings):
    person.sign_on("home_operator")
    person.bind("operator1")
    open_to(settings, "http://127.0.0.1:9")
    assert person.here.post("/accounts/logout/")["Location"] == LOGIN
    assert person.user_id is None
    assert "未能一并退出" in person.notice()


def test_a_login_by_password_goes_nowhere_else_when_it_ends(edition, operator_client):
    assert operator_client.post("/accounts/logout/")["Location"] == LOGIN


@pytest.mark.covers("ACC-09")
def test_logging_out_there_ends_the_session_here(edition, person, operator):
    person.sign_on("home_operator")
    person.bind("operator1")
    by_password = Client()
    by_password.force_login(operator)
    elsewhere = Person(edition)
    elsewhere.sign_on("home_operator")
    start = person.there.get(f"{edition.issuer}/")
    person.there.send(start)
    url, token = edition.told[-1]
    assert url == f"{PORTAL}{BACKCHANNEL}"
    assert Client(enforce_csrf_checks=True).post(BACKCHANNEL, {"logout_token": token}).status_code == 200
    assert person.here.get(LIST).status_code == 302
    assert by_password.get(LIST).status_code == 200
    assert elsewhere.here.get(LIST).status_code == 200
    assert AuditEntry.unscoped.filter(action="accounts.single_sign_on.sign_off").count() == 1
    # Once.
    assert Client().post(BACKCHANNEL, {"logout_token": token}).status_code == 400


@pytest.mark.covers("ACC-09")
def test_logging_out_there_ends_a_session_that_went_on_under_a_new_password(edition, person, operator):
    person.sign_on("home_operator")
    person.bind("operator1")
    new = {"old_password": PASSWORD, "new_password1": LOCAL_PASSWORD, "new_password2": LOCAL_PASSWORD}
    assert person.here.post("/accounts/password/change/", new).status_code == 302
    assert person.here.get(LIST).status_code == 200
    assert Client().post(BACKCHANNEL, {"logout_token": logout_token(edition)}).status_code == 200
    assert person.here.get(LIST).status_code == 302


def logout_token(edition: Edition, **changes: Any) -> str:
    client = edition.provider.clients[CLIENT_ID]
    session = next(iter(edition.provider._sessions.values()))
    with tampered(edition, **changes):
        return edition.provider.logout_token(client, session)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another"},
        {"exp": 1_700_000_000},
        {"events": None},
        {"events": {}},
        {"events": {"http://schemas.openid.net/event/other": {}}},
        {"events": [1]},
        {"nonce": "x"},
        {"jti": None},
        {"iat": None},
        {"sub": None, "sid": None},
    ],
    ids=str,
)
def test_a_logout_token_that_is_not_right_ends_nothing(edition, person, operator, changes):
    person.sign_on("home_operator")
    person.bind("operator1")
    assert Client().post(BACKCHANNEL, {"logout_token": logout_token(edition, **changes)}).status_code == 400
    assert person.here.get(LIST).status_code == 200


def test_a_logout_token_names_a_login_or_an_account(edition, person, operator):
    person.sign_on("home_operator")
    person.bind("operator1")
    token = logout_token(edition, sub=None)
    assert Client().post(BACKCHANNEL, {"logout_token": token}).status_code == 200
    assert person.here.get(LIST).status_code == 302
    person.sign_on("home_operator")
    assert person.here.get(LIST).status_code == 200
    assert Client().post(BACKCHANNEL, {"logout_token": logout_token(edition, sid=None)}).status_code == 200
    assert person.here.get(LIST).status_code == 302


def test_a_logout_token_by_another_hand_ends_nothing(edition, person, operator):
    person.sign_on("home_operator")
    person.bind("operator1")
    client = edition.provider.clients[CLIENT_ID]
    session = next(iter(edition.provider._sessions.values()))
    with mock.patch.object(edition.provider, "key", OTHER_KEY):
        token = edition.provider.logout_token(client, session)
    id_token = person.here.session[standard_edition.KEPT]["id_token"]
    for wrong in (token, id_token, "", "x", "a.b.c"):
        assert Client().post(BACKCHANNEL, {"logout_token": wrong}).status_code == 400
    assert person.here.get(LIST).status_code == 200
    token = logout_token(edition)
    with mock.patch("accounts.standard_edition.Adapter.jwks", side_effect=requests.ConnectTimeout):
        assert Client().post(BACKCHANNEL, {"logout_token": token}).status_code == 503
    assert Client().post(BACKCHANNEL, {"logout_token": token}).status_code == 200


def test_the_id_token_never_leaves_the_server(edition, person, operator):
    person.sign_on("home_operator")
    page = person.bind("operator1")
    token = person.here.session[standard_edition.KEPT]["id_token"]
    assert token not in person.here.get(LIST).content.decode()
    assert token not in str(page.cookies)
    assert token not in json.dumps(list(AuditEntry.unscoped.values("before", "after")))


@pytest.mark.covers("ACC-14")
def test_a_second_factor_is_asked_for_here_too(edition, person, operator):
    person.sign_on("home_operator")
    person.bind("operator1")
    secret = generate_totp_secret()
    TOTP.activate(operator, secret)
    again = Person(edition)
    assert again.sign_on("home_operator")["Location"].startswith("/accounts/2fa/authenticate/")
    assert again.user_id is None
    code = format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))
    answer = again.here.post("/accounts/2fa/authenticate/", {"code": code})
    assert answer["Location"] == LIST
    assert again.user_id == str(operator.pk)
    # What the logout needs came through the second step.
    assert again.here.session[standard_edition.KEPT]["id_token"]
