"""How a page follows a filing that customs works on: how often it looks, when it stops, and what it does to the session."""

import time
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from core.models import AuditEntry
from smartgate.models import Filing, FilingStatus
from tests.smartgate.factories import LINE, make_filing
from tests.smartgate.pages import entry_post

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
STOPPED = "状态不再自动更新，请点击刷新。"


def put_into(filing, status, *, seconds_ago=0):
    """Set a state, as of some time ago, without the way there."""
    sent = {"version": 1, "message_id": "00000000-0000-4000-8000-000000000001", "declared_at": filing.entered_at}
    Filing.unscoped.filter(pk=filing.pk).update(status=status, status_at=timezone.now() - timedelta(seconds=seconds_ago), **sent)
    filing.refresh_from_db()
    return filing


@pytest.fixture
def filing(operator):
    return make_filing(operator)


@pytest.mark.covers("SGW-05")
@pytest.mark.parametrize("status", [FilingStatus.DECLARED, FilingStatus.RELAYED])
@pytest.mark.parametrize(("seconds_ago", "every"), [(0, "1.5s"), (25, "1.5s"), (35, "5s"), (115, "5s"), (125, "15s"), (590, "15s")])
def test_the_longer_a_filing_waits_the_less_often_its_page_looks(operator_client, filing, status, seconds_ago, every):
    put_into(filing, status, seconds_ago=seconds_ago)
    for url in (f"/smartgate/filings/{filing.pk}/", f"/smartgate/filings/{filing.pk}/status/"):
        page = operator_client.get(url, headers=HTMX if "status" in url else {}).content.decode()
        assert f'hx-trigger="every {every}"' in page
        assert STOPPED not in page


@pytest.mark.covers("SGW-05")
def test_after_ten_minutes_the_page_no_longer_looks_and_says_so(operator_client, filing):
    put_into(filing, FilingStatus.RELAYED, seconds_ago=601)
    for url in (f"/smartgate/filings/{filing.pk}/", f"/smartgate/filings/{filing.pk}/status/"):
        page = operator_client.get(url, headers=HTMX if "status" in url else {}).content.decode()
        assert f"/smartgate/filings/{filing.pk}/status/" not in page
        assert STOPPED in page
        assert f'<a href="/smartgate/filings/{filing.pk}/">刷新</a>' in page


def test_what_nobody_waits_for_is_not_looked_at(operator_client, filing):
    put_into(filing, FilingStatus.STORED)
    page = operator_client.get(f"/smartgate/filings/{filing.pk}/").content.decode()
    assert "hx-trigger" not in page
    assert STOPPED not in page


@pytest.mark.parametrize(("path", "keeps"), [("status/", False), ("", True)])
def test_a_page_left_open_does_not_keep_its_session_alive(operator_client, filing, settings, path, keeps):
    operator_client.get("/smartgate/filings/")
    session = operator_client.session
    seen = session["session_seen_at"] = int(time.time()) - settings.SESSION_IDLE_SECONDS + 60
    session.save()
    assert operator_client.get(f"/smartgate/filings/{filing.pk}/{path}", headers=HTMX).status_code == 200
    assert (operator_client.session["session_seen_at"] > seen) == keeps


def test_a_page_left_open_goes_to_the_login_when_its_session_ends(operator_client, filing, settings):
    operator_client.get("/smartgate/filings/")
    session = operator_client.session
    session["session_seen_at"] = int(time.time()) - settings.SESSION_IDLE_SECONDS - 1
    session.save()
    page = f"/smartgate/filings/{filing.pk}/"
    answer = operator_client.get(f"{page}status/", headers={**HTMX, "HX-Current-URL": f"http://testserver{page}"})
    assert answer["HX-Redirect"] == f"/accounts/login/?next={page}"
    assert answer.content == b""


@pytest.mark.covers("SGW-05", "SGW-07")
@pytest.mark.parametrize("action", ["declare", "enter", "restore", "line_save", "line_new", "line_edit:0", "line_delete", "line_discard"])
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "script"])
def test_a_filing_that_moved_on_takes_no_step_of_its_entry_page(operator_client, filing, action, headers):
    put_into(filing, FilingStatus.DECLARED)
    data = entry_post(action, lines=[{**LINE, "voyage_no": ""}], lock_version=filing.lock_version)
    response = operator_client.post(f"/smartgate/filings/{filing.pk}/edit/", data, headers=headers)
    target = f"/smartgate/filings/{filing.pk}/"
    assert (response["HX-Redirect"] if headers else response.url) == target
    page = operator_client.get(target).content.decode()
    assert f"当前状态为“{filing.get_status_display()}”，不能修改" in page
    assert "是否要申报" not in page
    assert not AuditEntry.unscoped.filter(object_id=str(filing.pk), refused=True).exists()


@pytest.mark.covers("SGW-07")
def test_a_rejection_that_arrives_by_itself_brings_the_way_to_correct_it(operator, operator_client):
    filing = make_filing(operator)
    put_into(filing, FilingStatus.REJECTED)
    part = operator_client.get(f"/smartgate/filings/{filing.pk}/status/", headers=HTMX).content.decode()
    assert f'href="/smartgate/filings/{filing.pk}/edit/"' in part


def test_a_line_sent_with_an_old_token_brings_the_page_anew(operator):
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    here = "/smartgate/filings/new/"
    response = client.post(here, {"action": "line_save"}, headers={**HTMX, "HX-Current-URL": f"http://testserver{here}"})
    assert response["HX-Redirect"] == here
    assert client.post(here, {"action": "save"}).status_code == 403
