"""修改密码 and 忘记密码, as a browser meets them."""

import re
from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.utils import timezone

from accounts.models import SmsCode, User
from core.models import AuditEntry
from notifications.models import Delivery
from tests.accounts.test_login import LIST, LOGIN, PICTURE, log_in
from tests.accounts.test_throttle import guess
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
CHANGE = "/accounts/password/change/"
FORGOTTEN = "/accounts/password/forgotten/"
CODE = "/accounts/password/forgotten/code/"
MOBILE = "13904110008"
NEW = "Lighthouse77"


def text(response) -> str:
    return response.content.decode()


# -- 修改密码 -----------------------------------------------------------------------------------------


def change(client, old=PASSWORD, new=NEW, again=None, **more):
    data = {"old_password": old, "new_password1": new, "new_password2": new if again is None else again}
    return client.post(CHANGE, {**data, **more})


@pytest.mark.covers("ACC-07")
def test_a_new_password_keeps_this_session_and_ends_the_others(operator):
    here, elsewhere = Client(), Client()
    log_in(here, "operator1")
    log_in(elsewhere, "operator1")
    before = here.session.session_key
    assert change(here, next=LIST)["Location"] == LIST
    assert "密码已修改" in text(here.get(LIST))
    assert here.session.session_key != before
    assert elsewhere.get(LIST)["Location"].startswith(LOGIN)
    assert log_in(Client(), "operator1", NEW).status_code == 302
    assert UserSession.objects.filter(session_key=here.session.session_key).exists()
    entry = AuditEntry.unscoped.get(action="accounts.user.change_password")
    assert entry.actor_id == operator.pk
    assert NEW not in str(vars(entry))


def test_it_has_the_menu_and_a_place_in_the_strip_like_every_page(operator_client):
    page = text(operator_client.get(CHANGE))
    assert 'id="menu"' in page
    assert "data-opened-pages" in page
    assert text(operator_client.get(LIST)).count(f'href="{CHANGE}"') == 1, "in the strip"


def test_as_what_comes_first_it_has_neither(operator, operator_client):
    User.objects.filter(pk=operator.pk).update(must_change_password=True)
    page = text(operator_client.get(CHANGE))
    assert "您的密码由他人设置" in page
    assert 'id="menu"' not in page
    assert "data-opened-pages" not in page
    assert change(operator_client).status_code == 302
    assert f'href="{CHANGE}"' not in text(operator_client.get(LIST))


@pytest.mark.parametrize("path", [CHANGE, "/accounts/profile/mobile/"])
def test_a_form_with_errors_says_so_in_one_kind_of_box(operator_client, path):
    page = text(operator_client.post(path, {}))
    assert '<section class="alert alert-danger entry-errors" role="alert"' in page
    for link in re.findall(r'<li><a href="#(\w+)">', page):
        assert f'id="{link}"' in page


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"old": "Wrong12345"}, "原密码不正确"),
        ({"again": "Lighthouse78"}, "两次填写的密码不一致"),
        ({"new": PASSWORD}, "不能与原密码相同"),
        ({"new": "password1"}, "常见"),
        ({"new": "lettersonly"}, "字母和数字"),
        ({"new": "Ab12345"}, "8"),
        ({"new": "operator1"}, "用户名"),
        ({"old": ""}, "此项必填"),
        ({"new": "A1" * 33}, "64"),
    ],
)
def test_what_is_no_good_is_said_and_changes_nothing(operator, operator_client, data, told):
    page = text(change(operator_client, **data))
    assert told in page
    assert "请更正以下内容" in page
    assert PASSWORD not in page
    operator.refresh_from_db()
    assert operator.check_password(PASSWORD)
    assert not AuditEntry.unscoped.exists()


def test_the_old_password_cannot_be_guessed_at_an_open_session(operator, operator_client):
    for _guess in range(5):
        change(operator_client, old="Wrong12345")
    assert "1 分钟后再试" in text(change(operator_client))
    operator.refresh_from_db()
    assert operator.check_password(PASSWORD)


# -- 忘记密码 -----------------------------------------------------------------------------------------


@pytest.fixture
def forgetful(operator) -> User:
    operator.mobile = MOBILE
    operator.save()
    return operator


def ask(client, username="operator1", mobile=MOBILE, **more):
    return client.post(FORGOTTEN, {"username": username, "mobile": mobile, **PICTURE, **more})


def sent() -> str:
    """The code in the last SMS."""
    return re.findall(r"[0-9]{6}", Delivery.objects.latest("pk").body)[0]


def reset(client, code, new=NEW):
    return client.post(CODE, {"sms_code": code, "new_password1": new, "new_password2": new})


@pytest.mark.covers("ACC-07")
def test_the_code_on_the_phone_gives_a_new_password(client, forgetful, operator_client):
    forgetful.must_change_password = True
    forgetful.save()
    assert ask(client, "OPERATOR1")["Location"] == CODE
    page = text(client.get(CODE))
    assert "139****0008" in page
    assert MOBILE not in page
    response = reset(client, sent())
    assert "密码已重置" in text(client.get(response["Location"]))
    assert operator_client.get(LIST)["Location"].startswith(LOGIN), "sessions under way end"
    assert log_in(Client(), "operator1").status_code == 200
    forgetful.refresh_from_db()
    assert not forgetful.must_change_password, "he chose it himself"
    assert log_in(client, "operator1", NEW).status_code == 302
    assert AuditEntry.unscoped.get(action="accounts.user.reset_password").actor_id == forgetful.pk
    assert client.get(CODE).status_code == 302, "once"


@pytest.mark.covers("ACC-07")
@pytest.mark.parametrize(("username", "mobile"), [("operator1", "13904110111"), ("nobody", MOBILE), ("nobody", "13904110111")])
def test_nobody_learns_whether_a_user_or_phone_exists(forgetful, username, mobile):
    right, wrong = Client(), Client()
    answers = [ask(right), ask(wrong, username, "13904110222" if mobile == MOBILE else mobile)]
    assert [(answer.status_code, answer["Location"]) for answer in answers] == [(302, CODE)] * 2
    assert Delivery.objects.count() == 1
    pages = [text(browser.get(CODE)) for browser in (right, wrong)]
    masked = [re.sub(r"139\*\*\*\*[0-9]{4}|[A-Za-z0-9]{64}", "", page) for page in pages]
    assert masked[0] == masked[1]
    # The same limits hold, and a wrong code says the same.
    said = [text(ask(browser, name, number)) for browser, name, number in ((right, "operator1", MOBILE), (wrong, username, "13904110222"))]
    assert "秒后再" in said[0]
    refusals = [text(reset(browser, "000000")) for browser in (right, wrong)]
    assert all("请重新获取验证码" in page for page in refusals)


def test_asking_again_too_soon_says_the_same_for_a_phone_that_is_nobodys(forgetful, client):
    ask(client, "nobody", "13904110222")
    assert "秒后再" in text(ask(client, "nobody", "13904110222"))
    assert "秒后再" in text(client.post(CODE, {"send_code": "1"}))


@pytest.mark.parametrize("bad", ["wrong", "used", "late"])
def test_a_code_that_is_no_good_changes_nothing(client, forgetful, bad):
    ask(client)
    code = sent()
    match bad:
        case "wrong":
            code = f"{(int(code) + 1) % 10**6:06d}"
        case "used":
            SmsCode.objects.update(used_at=timezone.now())
        case "late":
            SmsCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    page = text(reset(client, code))
    assert "请重新获取验证码" in page
    assert code in page
    assert NEW not in page
    forgetful.refresh_from_db()
    assert forgetful.check_password(PASSWORD)


def test_a_code_on_ones_own_phone_opens_nobody_elses_account(client, forgetful, other_operator):
    """Whoever names another's account and his own phone uses a code of his own account in vain."""
    other_operator.mobile = "13904110333"
    other_operator.save()
    mine = Client()
    ask(mine, "operator2", "13904110333")
    code = sent()
    SmsCode.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    ask(client, "operator1", "13904110333")
    assert "请重新获取验证码" in text(reset(client, code))
    forgetful.refresh_from_db()
    assert forgetful.check_password(PASSWORD)
    assert "密码已重置" in text(mine.get(reset(mine, code)["Location"])), "it was not used up either"


def test_a_bad_new_password_does_not_use_up_the_code(client, forgetful):
    ask(client)
    code = sent()
    assert "字母和数字" in text(reset(client, code, "lettersonly"))
    assert "用户名" in text(reset(client, code, "operator1"))
    assert reset(client, code).status_code == 302


@pytest.mark.covers("ACC-12")
def test_who_is_frozen_is_told_what_to_do_after_the_right_code_only(client, forgetful):
    User.objects.update(frozen_at=timezone.now())
    ask(client)
    code = sent()
    wrong = reset(client, f"{(int(code) + 1) % 10**6:06d}")
    assert "冻结" not in text(wrong)
    told = text(client.get(reset(client, code)["Location"]))
    assert "请联系本企业管理员解冻" in told
    forgetful.refresh_from_db()
    assert forgetful.check_password(PASSWORD)


def test_who_proved_to_be_the_user_gets_in_although_strangers_closed_the_door(client, forgetful):
    guess(times=10)
    ask(client)
    reset(client, sent())
    assert log_in(client, "operator1", NEW).status_code == 302


def test_the_second_step_without_the_first_leads_to_the_first(client):
    assert client.get(CODE)["Location"] == FORGOTTEN
    assert reset(client, "123456")["Location"] == FORGOTTEN


def test_the_second_step_ends_by_time(client, forgetful):
    ask(client)
    session = client.session
    session["password_reset"] = {**session["password_reset"], "at": 0}
    session.save()
    assert client.get(CODE)["Location"] == FORGOTTEN


@pytest.mark.parametrize(
    ("data", "told"), [({"mobile": "12345"}, "手机号"), ({"captcha_1": "abcd"}, "验证码不正确或已过期"), ({"username": ""}, "此项必填")]
)
def test_what_is_no_good_in_the_first_step_is_said_and_kept(client, forgetful, data, told):
    page = text(client.post(FORGOTTEN, {"username": "operator1", "mobile": MOBILE, **PICTURE, **data}))
    assert told in page
    assert data.get("mobile", MOBILE) in page
    assert not Delivery.objects.exists()


def test_another_picture_keeps_what_was_typed(client):
    page = text(client.post(FORGOTTEN, {"username": "operator1", "mobile": MOBILE, "new_picture": "1"}))
    assert 'value="operator1"' in page
    assert MOBILE in page
    assert "entry-errors" not in page


def test_a_full_width_number_is_put_right(client, forgetful):
    assert ask(client, mobile="１３９０４１１０００８").status_code == 302
    assert Delivery.objects.get().recipient == MOBILE
