"""Second factors (ACC-14): setting up, logging in with them, removing them, and staff who must have one."""

import re

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.gates import GATES
from accounts.services import second_factor
from core.models import AuditEntry
from core.workflow import ActionRefused
from notifications.models import Delivery
from tests.accounts.factors import code_of, forget_used_codes, give_recovery_codes, give_totp, prove_again
from tests.conftest import make_user
from tests.routes import address, routes

pytestmark = [pytest.mark.django_db, pytest.mark.covers("ACC-14")]
SECURITY = "/accounts/security/"
ACTIVATE = "/accounts/2fa/totp/activate/"
DEACTIVATE = "/accounts/2fa/totp/deactivate/"
CODES = "/accounts/2fa/recovery-codes/"
LIST = "/smartgate/filings/"


@pytest.fixture
def told(operator):
    """The operator can be told."""
    operator.mobile, operator.email = "13904110001", "operator1@example.com"
    operator.save()
    return operator


def secret_on(page):
    return "".join(re.findall(r"<code>([A-Z2-7]{4})</code>", page.content.decode()))


def entries(action):
    return AuditEntry.unscoped.filter(action=action)


def set_up_totp(client):
    """Through the pages; gives the secret."""
    prove_again(client)
    secret = secret_on(client.get(ACTIVATE))
    response = client.post(ACTIVATE, {"code": code_of(secret)})
    assert response["Location"] == CODES
    forget_used_codes()
    return secret


# -- Setting up -----------------------------------------------------------------------------------


def test_setting_up_asks_for_the_password_again(operator_client):
    response = operator_client.get(ACTIVATE)
    assert response["Location"] == f"/accounts/reauthenticate/?next={ACTIVATE.replace('/', '%2F')}"
    wrong = operator_client.post(response["Location"], {"password": "Wrong12345"})
    assert "密码不正确" in wrong.content.decode()
    assert prove_again(operator_client, ACTIVATE)["Location"] == ACTIVATE
    assert operator_client.get(ACTIVATE).status_code == 200


def test_a_totp_is_set_up_with_its_first_code_and_gives_recovery_codes(operator_client, told, django_capture_on_commit_callbacks):
    prove_again(operator_client)
    page = operator_client.get(ACTIVATE)
    secret = secret_on(page)
    assert len(secret) == 32
    assert "data:image/svg+xml;base64," in page.content.decode()
    wrong = operator_client.post(ACTIVATE, {"code": "000000" if code_of(secret) != "000000" else "111111"})
    assert "验证未通过" in wrong.content.decode()
    assert secret_on(wrong) == secret, "a wrong code must not change the secret that the phone has already"
    # Full-width digits and a blank in the middle are what people and their input methods type.
    code = code_of(secret)
    typed = f"{code[:3]} {code[3:]}".translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    with django_capture_on_commit_callbacks(execute=True):
        assert operator_client.post(ACTIVATE, {"code": typed})["Location"] == CODES
    codes = re.findall(r"<code>(\d{8})</code>", operator_client.get(CODES).content.decode())
    assert len(set(codes)) == 10
    page = operator_client.get(SECURITY).content.decode()
    assert "已启用" in page
    assert "剩余 10 个" in page
    assert [entry.after for entry in entries("accounts.second_factor.add")] == [{"factor": "totp"}]
    assert {delivery.way: delivery.recipient for delivery in Delivery.objects.all()} == {"sms": told.mobile, "email": told.email}
    assert all("动态口令" in delivery.body for delivery in Delivery.objects.all())


def test_no_secret_lies_open_in_the_database_or_the_trail(operator_client, operator):
    secret = set_up_totp(operator_client)
    codes = re.findall(r"<code>(\d{8})</code>", operator_client.get(CODES).content.decode())
    kept = str(list(Authenticator.objects.values("data"))) + str(list(AuditEntry.unscoped.values("before", "after", "reason")))
    assert codes
    assert not [text for text in (secret, *codes) if text in kept]
    totp = Authenticator.objects.get(type="totp")
    assert totp.wrap().validate_code(code_of(secret))


def test_a_second_totp_is_refused(operator_client, operator):
    set_up_totp(operator_client)
    assert operator_client.get(ACTIVATE)["Location"] == DEACTIVATE
    with pytest.raises(ActionRefused, match="已经设置"), second_factor.adding(operator, second_factor.TOTP):
        pytest.fail("must not be reached")


def test_recovery_codes_are_downloaded_as_a_text_file(operator_client):
    set_up_totp(operator_client)
    shown = re.findall(r"<code>(\d{8})</code>", operator_client.get(CODES).content.decode())
    file = operator_client.get(f"{CODES}download/")
    assert file["Content-Disposition"] == 'attachment; filename="recovery-codes.txt"'
    assert "no-store" in file["Cache-Control"]
    assert re.findall(r"^\d{8}$", file.content.decode(), re.MULTILINE) == shown


def test_new_recovery_codes_void_the_old_ones(operator_client, told):
    set_up_totp(operator_client)
    old = re.findall(r"<code>(\d{8})</code>", operator_client.get(CODES).content.decode())
    assert "10 个未使用的恢复代码全部失效" in operator_client.get(f"{CODES}generate/").content.decode()
    assert operator_client.post(f"{CODES}generate/")["Location"] == CODES
    new = re.findall(r"<code>(\d{8})</code>", operator_client.get(CODES).content.decode())
    assert not set(old) & set(new)
    assert entries("accounts.second_factor.renew_codes").count() == 1
    assert Delivery.objects.filter(way="sms").count() == 2


def test_recovery_codes_need_a_factor_to_stand_in_for(operator_client):
    prove_again(operator_client)
    assert operator_client.get(CODES).status_code == 404
    assert "请先设置动态口令或通行密钥" in operator_client.post(f"{CODES}generate/").content.decode()


# -- Passkeys that are none -----------------------------------------------------------------------


@pytest.mark.parametrize("credential", ["", "{}", '{"id": "x"}', "no json", "[1]", '{"response": {"userHandle": "MQ"}}'])
def test_a_passkey_that_is_none_opens_nothing(client, operator, credential):
    client.get("/accounts/2fa/webauthn/login/", headers={"Accept": "application/json"})
    response = client.post("/accounts/2fa/webauthn/login/", {"credential": credential})
    assert response["Location"] == "/accounts/login/"
    assert client.get(LIST).status_code == 302


@pytest.mark.parametrize("credential", ["", "{}", '{"id": "x"}', "no json", "[1]", '{"id": "QQ", "rawId": "QQ", "response": {}}'])
def test_a_passkey_that_is_none_is_not_added(operator_client, credential):
    prove_again(operator_client)
    operator_client.get("/accounts/2fa/webauthn/add/")
    response = operator_client.post("/accounts/2fa/webauthn/add/", {"name": "手机", "credential": credential})
    assert response.status_code == 200
    assert not Authenticator.objects.exists()


# -- Removing -------------------------------------------------------------------------------------


def test_removing_asks_first_and_takes_the_recovery_codes_along(operator_client, told):
    set_up_totp(operator_client)
    assert "确认停用？" in operator_client.get(DEACTIVATE).content.decode()
    assert Authenticator.objects.count() == 2
    assert operator_client.post(DEACTIVATE)["Location"] == SECURITY
    assert not Authenticator.objects.exists()
    assert [entry.before for entry in entries("accounts.second_factor.remove")] == [{"factor": "totp"}]
    assert ["已停用" in delivery.body for delivery in Delivery.objects.filter(way="sms").order_by("pk")] == [False, True]


def test_a_strangers_passkey_is_not_there(operator_client, other_operator):
    passkey = Authenticator.objects.create(user=other_operator, type="webauthn", data={"name": "手机", "credential": {}})
    prove_again(operator_client)
    for way in ("edit", "remove"):
        url = f"/accounts/2fa/webauthn/keys/{passkey.pk}/{way}/"
        assert operator_client.get(url).status_code == 404
        assert operator_client.post(url, {"name": "x"}).status_code == 404


def test_a_passkey_is_renamed_and_removed(operator_client, operator):
    passkey = Authenticator.objects.create(user=operator, type="webauthn", data={"name": "手机", "credential": {}})
    prove_again(operator_client)
    url = f"/accounts/2fa/webauthn/keys/{passkey.pk}/"
    assert "此项必填" in operator_client.post(f"{url}edit/", {"name": ""}).content.decode()
    assert operator_client.post(f"{url}edit/", {"name": "办公电脑"})["Location"] == SECURITY
    assert "办公电脑" in operator_client.get(f"{url}remove/").content.decode()
    assert operator_client.post(f"{url}remove/")["Location"] == SECURITY
    assert not Authenticator.objects.exists()
    assert entries("accounts.second_factor.rename").get().after == {"name": "办公电脑"}
    assert entries("accounts.second_factor.remove").get().before == {"factor": "webauthn", "name": "办公电脑"}


# -- Staff ----------------------------------------------------------------------------------------


@pytest.fixture
def required(settings):
    settings.STAFF_SECOND_FACTOR_REQUIRED = True


def test_staff_come_nowhere_without_a_second_factor(required, staff_client, operator_client):
    gate = GATES[-1]
    assert gate.url_name == "accounts:security"
    opened = []
    for route in routes():
        if "(?P" in route or route.startswith("accounts/"):
            continue
        path = address(
            route, pk=1, kind="notice", table="customs", object_id=1, content_type_id=1, id=1, uidb64="x", token="x", name="x", path="x",
            provider_id="x", sms_id=1, key="x", scale="1", version=1, number=1,
        )  # fmt: skip
        response = staff_client.get(path)
        if not response.headers.get("Location", "").startswith(SECURITY):
            opened.append(route)
    assert set(opened) == {"healthz", "readyz", "metrics", "preferences/"}, "all else leads to setting up"
    assert operator_client.get(LIST).status_code == 200, "nobody else is asked"


def test_staff_set_one_up_and_come_back_to_where_they_wanted(required, staff_client, staff):
    led = staff_client.get("/admin/accounts/user/")
    assert led["Location"] == f"{SECURITY}?next=/admin/accounts/user/"
    page = staff_client.get(led["Location"]).content.decode()
    assert "须先设置登录第二因素" in page
    set_up_totp(staff_client)
    assert 'href="/admin/accounts/user/"' in staff_client.get(CODES).content.decode()
    assert staff_client.get("/admin/accounts/user/").status_code == 200


def test_the_gate_asks_the_database_once_a_session(required, staff_client, staff):
    give_totp(staff)
    staff_client.get("/")
    with CaptureQueriesContext(connection) as queries:
        staff_client.get("/")
    assert not [query for query in queries.captured_queries if "mfa_authenticator" in query["sql"]]


def test_the_last_required_factor_stays(required, staff_client, staff):
    set_up_totp(staff_client)
    assert "必须保留至少一种第二因素" in staff_client.get(DEACTIVATE).content.decode()
    assert "必须保留至少一种第二因素" in staff_client.post(DEACTIVATE).content.decode()
    passkey = Authenticator.objects.create(user=staff, type="webauthn", data={"name": "手机", "credential": {}})
    assert staff_client.post(DEACTIVATE)["Location"] == SECURITY
    url = f"/accounts/2fa/webauthn/keys/{passkey.pk}/remove/"
    assert "必须保留至少一种第二因素" in staff_client.get(url).content.decode()
    assert "必须保留至少一种第二因素" in staff_client.post(url, follow=True).content.decode()
    assert Authenticator.objects.filter(type="webauthn").exists()


def test_another_member_of_staff_resets_a_lost_factor(staff_client, staff, django_capture_on_commit_callbacks):
    colleague = make_user("staff2", "platform_staff", is_staff=True, mobile="13904110002")
    give_totp(colleague)
    his = Client()
    his.force_login(colleague)
    users = reverse("admin:accounts_user_changelist")
    choice = {"action": "reset_second_factor", "_selected_action": [colleague.pk, staff.pk]}
    assert "请先核实" in staff_client.post(users, choice).content.decode()
    assert second_factor.has_factor(colleague)
    give_totp(staff)
    with django_capture_on_commit_callbacks(execute=True):
        page = staff_client.post(users, {**choice, "confirmed": "1"}, follow=True).content.decode()
    assert "已解除第二因素" in page
    assert "不能解除自己的第二因素" in page
    assert not second_factor.has_factor(colleague)
    assert second_factor.has_factor(staff)
    entry = entries("accounts.second_factor.reset").get()
    assert (entry.actor_name, entry.object_label, entry.before) == ("staff1", "staff2", {"factors": ["totp"]})
    assert "已解除" in Delivery.objects.get().body


def test_the_command_resets_the_last_ones_factor(staff, capsys):
    give_totp(staff)
    give_recovery_codes(staff)
    call_command("reset_second_factor", "STAFF1")
    assert "2 second factors removed" in capsys.readouterr().out
    assert not Authenticator.objects.exists()
    entry = entries("accounts.second_factor.reset").get()
    assert (entry.actor_id, entry.object_label) == (None, "staff1")
    call_command("reset_second_factor", "staff1")
    assert "nothing to remove" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("reset_second_factor", "nobody")
