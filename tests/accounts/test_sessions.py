"""One's own sessions (ACC-14): the list, ending them, what the other browser is told."""

import time
from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from accounts.models import LoginAttempt
from core.models import AuditEntry
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.covers("ACC-14")]
SESSIONS = "/accounts/security/sessions/"
LIST = "/smartgate/filings/"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


def logged_in(user, agent=CHROME, ip="10.1.2.3"):
    client = Client(headers={"User-Agent": agent}, REMOTE_ADDR=ip)
    response = client.post("/accounts/login/", {"username": user.username, "password": PASSWORD, "captcha_0": "x", "captcha_1": "PASSED"})
    assert response.status_code == 302
    return client


def session_of(client):
    return UserSession.objects.get(session_key=client.session.session_key)


@pytest.fixture
def end(django_capture_on_commit_callbacks):
    """Post something that ends sessions, commit included."""

    def post(client, path):
        with django_capture_on_commit_callbacks(execute=True):
            return client.post(path)

    return post


def test_the_list_shows_where_one_is_logged_in(operator):
    here, there = logged_in(operator), logged_in(operator, FIREFOX, "203.0.113.9")
    page = here.get(SESSIONS).content.decode()
    assert page.index("当前") > page.index("Chrome 130 / Windows")
    assert "内网 10.1.2.3" in page
    assert "Firefox 128 / Linux" in page
    assert f"/accounts/security/sessions/{session_of(there).pk}/end/" in page
    assert f"/accounts/security/sessions/{session_of(here).pk}/end/" not in page, "one's own ends by 退出登录"


def test_a_session_ended_elsewhere_says_so_on_the_login_page(operator, end):
    here, there = logged_in(operator), logged_in(operator, FIREFOX)
    there.get(LIST)
    assert end(here, f"{SESSIONS}{session_of(there).pk}/end/")["Location"] == SESSIONS
    response = there.get(LIST)
    assert response["Location"].startswith("/accounts/login/")
    assert "此登录已在其他设备上被退出" in there.get(response["Location"]).content.decode()
    assert "此登录已在其他设备上被退出" not in there.get("/accounts/login/").content.decode(), "said once"
    assert here.get(LIST).status_code == 200
    entry = AuditEntry.unscoped.get(action="accounts.session.end")
    assert entry.before["sessions"][0]["device"] == "Firefox 128 / Linux"


def test_all_others_end_at_once(operator, other_operator, end):
    here, *others = [logged_in(operator) for _unused in range(3)]
    stranger = logged_in(other_operator)
    end(here, f"{SESSIONS}end-others/")
    assert [client.get(LIST).status_code for client in (here, stranger, *others)] == [200, 200, 302, 302]
    assert AuditEntry.unscoped.get(action="accounts.session.end_others").actor_name == "operator1"
    end(here, f"{SESSIONS}end-others/")
    assert AuditEntry.unscoped.filter(action="accounts.session.end_others").count() == 1, "nothing ended, nothing noted"


def test_a_strangers_session_is_not_there(operator, other_operator, end):
    here, stranger = logged_in(operator), logged_in(other_operator)
    path = f"{SESSIONS}{session_of(stranger).pk}/end/"
    assert end(here, path).status_code == 404
    assert end(here, f"{SESSIONS}999999/end/").status_code == 404
    assert here.get(path).status_code == 405
    assert stranger.get(LIST).status_code == 200


def test_a_session_without_a_row_is_shown_as_the_current_one(operator_client):
    page = operator_client.get(SESSIONS).content.decode()
    assert page.count("当前") >= 1
    assert "没有其他设备在登录" in page
    assert not UserSession.objects.exists(), "looking changes nothing"


def test_what_is_no_session_any_more_is_not_listed(operator, settings):
    here = logged_in(operator)
    gone, old, idle = (logged_in(operator, FIREFOX) for _unused in range(3))
    gone.post("/accounts/logout/")
    for client, key, seconds in (
        (old, "session_started_at", settings.SESSION_ABSOLUTE_SECONDS),
        (idle, "session_seen_at", settings.SESSION_IDLE_SECONDS),
    ):
        client.get(LIST)
        session = client.session
        session[key] = int(time.time()) - seconds - 1
        session.save()
    assert "Firefox" not in here.get(SESSIONS).content.decode()


def test_sessions_shut_by_a_new_password_are_not_listed(operator):
    here, there = logged_in(operator), logged_in(operator, FIREFOX)
    operator.set_password("Different2026")
    operator.save()
    here_again = Client(headers={"User-Agent": CHROME})
    here_again.force_login(operator)
    page = here_again.get(SESSIONS).content.decode()
    assert "Firefox" not in page
    assert there.get(LIST).status_code == 302
    assert here.get(LIST).status_code == 302


def test_the_list_knows_when_a_session_was_seen_without_a_write_per_page(operator):
    client = logged_in(operator)
    hour_ago = timezone.now() - timedelta(hours=1)
    UserSession.objects.update(last_seen_at=hour_ago)
    client.get(LIST)
    first = session_of(client).last_seen_at
    assert first > hour_ago
    client.get(LIST)
    assert session_of(client).last_seen_at == first


def test_an_ended_session_cannot_come_back_by_a_request_under_way(operator, end):
    here, there = logged_in(operator), logged_in(operator, FIREFOX)
    there.get(LIST)
    stale = there.session
    assert "session_seen_at" in stale, "read before it is ended, as by a request that is under way"
    end(here, f"{SESSIONS}{session_of(there).pk}/end/")
    stale["anything"] = 1
    with pytest.raises(UpdateError):
        stale.save()
    assert not Session.objects.filter(session_key=stale.session_key).exists()
    assert there.get(LIST).status_code == 302


def test_a_new_password_leaves_the_session_in_the_list_under_its_new_key(operator):
    here, there = logged_in(operator), logged_in(operator, FIREFOX)
    response = here.post(
        "/accounts/password/change/",
        {"old_password": PASSWORD, "new_password1": "Different2026", "new_password2": "Different2026"},
    )
    assert response.status_code == 302
    session = here.session
    session["session_seen_at"] = int(time.time()) - 100
    session.save()
    page = here.get(SESSIONS).content.decode()
    assert "Firefox" not in page
    assert there.get(LIST).status_code == 302
    assert session_of(here).user == operator


@pytest.mark.parametrize("address", ["", "unknown"])
def test_who_comes_from_no_address_logs_in_all_the_same(operator, address):
    """gunicorn behind a socket names none."""
    client = logged_in(operator, ip=address)
    assert client.get(LIST).status_code == 200
    assert LoginAttempt.objects.get(user=operator).ip == address


def test_visitors_go_on_reading_while_redis_is_away(operator, settings):
    client = logged_in(operator)
    session = client.session
    session.flush()
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    client.cookies["portal_session"] = "gone"
    assert client.get("/").status_code == 200


def test_one_can_log_in_while_redis_is_away(operator, settings):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}}
    client = logged_in(operator)
    assert client.get("/accounts/profile/").status_code == 200


def test_a_database_that_is_away_is_no_session_that_was_ended(operator_client, monkeypatch):
    session = operator_client.session
    monkeypatch.setattr(
        Session, "save", lambda *_args, **_kwargs: (_ for _ in ()).throw(OperationalError("the database system is starting up"))
    )
    with pytest.raises(OperationalError, match="starting up"):
        session.save()


def test_a_session_that_somebody_ended_is_not_made_anew(operator_client):
    session = operator_client.session
    Session.objects.all().delete()
    with pytest.raises(UpdateError):
        session.save()
