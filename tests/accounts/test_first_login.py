"""账号验证, and what else comes before anything opens: every address but the open ones leads there first (ACC-08)."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.urls import Resolver404, resolve
from django.utils import timezone

from accounts import gates
from accounts.models import SmsCode, SmsPurpose, User
from accounts.rights import Role
from core.models import AuditEntry
from notifications.models import Delivery
from tests.accounts.test_login import LIST, log_in
from tests.conftest import PASSWORD, make_user
from tests.routes import routes

pytestmark = pytest.mark.django_db
FIRST = "/accounts/first-login/"
CHANGE = "/accounts/password/change/"
MOBILE = "13904110009"


@pytest.fixture
def newcomer(enterprise) -> User:
    return make_user("newcomer", Role.OPERATOR, enterprise, first_login_verified_at=None, mobile=MOBILE)


@pytest.fixture
def browser(newcomer) -> Client:
    client = Client()
    log_in(client, "newcomer")
    return client


def text(response) -> str:
    return response.content.decode()


def ask_for_code(client: Client, **headers: str) -> str:
    """Press 获取验证码; the code as the SMS has it."""
    assert "验证码已发送" in text(client.post(FIRST, {"send_code": "1", "next": LIST}, headers=headers))
    return re.findall(r"[0-9]{6}", Delivery.objects.filter(recipient=MOBILE).latest("pk").body)[0]


@pytest.mark.covers("ACC-08")
def test_the_code_opens_the_page_that_was_asked_for(client, newcomer):
    asked = client.get(LIST)
    response = log_in(client, "newcomer", next=LIST)
    response = client.get(response["Location"])
    assert response["Location"] == f"{FIRST}?next={LIST}"
    page = text(client.get(response["Location"]))
    for words in ("账号验证", "尊敬的用户，请通过预留的手机号码，验证账户", "手机号码", "139****0009", "获取验证码", "下一步"):
        assert words in page
    assert MOBILE not in page
    response = client.post(FIRST, {"sms_code": ask_for_code(client), "next": LIST})
    assert response["Location"] == LIST
    assert "验证成功" in text(client.get(LIST))
    newcomer.refresh_from_db()
    assert newcomer.first_login_verified_at is not None
    entry = AuditEntry.unscoped.get(action="accounts.user.verify_first_login")
    assert (entry.actor_id, entry.enterprise_id) == (newcomer.pk, newcomer.enterprise_id)
    assert asked.status_code == 302


def test_the_next_login_asks_for_nothing(client, operator):
    assert client.get(log_in(client, "operator1", next=LIST)["Location"]).status_code == 200
    assert client.get(f"{FIRST}?next={LIST}")["Location"] == LIST


@pytest.mark.parametrize("bad", ["wrong", "used", "late", "none", "letters"])
def test_a_code_that_is_no_good_says_what_to_do_and_opens_nothing(browser, newcomer, bad):
    code = ask_for_code(browser)
    match bad:
        case "wrong":
            code = f"{(int(code) + 1) % 10**6:06d}"
        case "used":
            SmsCode.objects.update(used_at=timezone.now())
        case "late":
            SmsCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        case "none":
            SmsCode.objects.all().delete()
        case "letters":
            code = "12ab56"
    response = browser.post(FIRST, {"sms_code": code})
    assert ("6 位数字" if bad == "letters" else "请重新获取验证码") in text(response)
    assert code in text(response), "what was typed stays"
    assert browser.get(LIST)["Location"].startswith(FIRST)


def test_a_code_for_something_else_does_not_verify(browser, newcomer):
    code = ask_for_code(browser)
    SmsCode.objects.update(purpose=SmsPurpose.PASSWORD_RESET)
    assert "请重新获取验证码" in text(browser.post(FIRST, {"sms_code": code}))


def test_the_script_gets_only_the_line_under_the_field(browser, newcomer):
    response = browser.post(FIRST, {"send_code": "1"}, headers={"HX-Request": "true"})
    assert "data-wait-seconds" in text(response)
    assert "<html" not in text(response)
    assert "秒后再" in text(browser.post(FIRST, {"send_code": "1"}))


@pytest.mark.parametrize(("role", "told"), [(Role.OPERATOR, "请联系本企业管理员"), (Role.ENTERPRISE_ADMINISTRATOR, "服务热线")])
def test_who_has_no_phone_is_told_whom_to_ask(enterprise, client, role, told):
    user = make_user("nophone", role, enterprise, first_login_verified_at=None)
    client.force_login(user)
    assert told in text(client.get(FIRST))
    for data in ({"send_code": "1"}, {"sms_code": "123456"}):
        assert told in text(client.post(FIRST, data))
    assert not SmsCode.objects.exists()
    assert client.get(LIST)["Location"].startswith(FIRST)


@pytest.mark.parametrize("role", [Role.CUSTOMS, Role.TERMINAL, Role.CCPIT, Role.PLATFORM_STAFF])
def test_users_of_authorities_are_not_asked(client, role):
    client.force_login(make_user("officer", role, first_login_verified_at=None))
    assert client.get("/").status_code == 200


def test_another_host_is_never_the_page_afterwards(browser, newcomer):
    response = browser.post(FIRST, {"sms_code": ask_for_code(browser), "next": "https://example.com/"})
    assert response["Location"] == "/"


# -- Every address ----------------------------------------------------------------------------------

PARAMETER = re.compile(r"(?<!\?P)<(?:(\w+):)?\w+>")
VALUES = {"int": "1", "uuid": "00000000-0000-0000-0000-000000000000"}


def addresses() -> list[tuple[str, str]]:
    """Every address with the name of its view, which is empty for Django's own last rows of /admin/ (regular expressions)."""
    found = []
    for route in routes():
        path = "/" + PARAMETER.sub(lambda parameter: VALUES.get(parameter[1], "x"), route)
        try:
            found.append((path, resolve(path).view_name))
        except Resolver404:
            found.append((path, ""))
    return found


def test_every_address_is_tried():
    assert [path for path, name in addresses() if not name and not re.search(r"[\^(?]", path)] == []


@pytest.mark.covers("ACC-08")
@pytest.mark.parametrize("gate", [FIRST, CHANGE])
@pytest.mark.parametrize("method", ["get", "post"])
def test_before_it_is_passed_no_address_opens_but_the_open_ones(enterprise, client, gate, method):
    user = make_user("someone", Role.OPERATOR, enterprise, mobile=MOBILE)
    user.first_login_verified_at = None if gate == FIRST else timezone.now()
    user.must_change_password = gate == CHANGE
    user.save()
    client.force_login(user)
    standing = next(each for each in gates.GATES if each.url_name == resolve(gate).view_name)
    opened = []
    for path, name in addresses():
        if not name or gates.lets_pass(standing, name):
            continue
        response = getattr(client, method)(path)
        if response.status_code != 302 or urlsplit(response["Location"]).path != gate:
            opened.append(f"{path}: {response.status_code}")
    assert opened == []


@pytest.mark.parametrize("gate", [FIRST, CHANGE])
def test_a_request_of_the_script_leaves_the_page_for_the_gate(newcomer, client, gate):
    if gate == CHANGE:
        User.objects.update(first_login_verified_at=timezone.now(), must_change_password=True)
    client.force_login(newcomer)
    response = client.get(LIST, headers={"HX-Request": "true"})
    assert response["HX-Redirect"] == f"{gate}?next={LIST}"


def test_one_can_log_out_before_the_gate(browser):
    assert browser.post("/accounts/logout/").status_code == 302
    assert browser.get(LIST)["Location"].startswith("/accounts/login/")


def test_the_gates_are_passed_one_after_the_other(newcomer, browser):
    User.objects.update(must_change_password=True)
    browser.post(FIRST, {"sms_code": ask_for_code(browser), "next": LIST})
    assert browser.get(LIST)["Location"] == f"{CHANGE}?next={LIST}"
    page = text(browser.get(f"{CHANGE}?next={LIST}"))
    assert "您的密码由他人设置" in page
    new = {"old_password": PASSWORD, "new_password1": "Lighthouse77", "new_password2": "Lighthouse77", "next": LIST}
    assert browser.post(CHANGE, new)["Location"] == LIST
    assert browser.get(LIST).status_code == 200
