"""The frame of every page: menu by rights, strip of opened pages, theme and fold, what goes into the head (PRT-03)."""

import re

import pytest
from django.conf import settings
from django.test import Client
from django.test.client import RequestFactory

from core import shell
from core.templatetags.icons import icon

pytestmark = [pytest.mark.urls("tests.core.forms.urls"), pytest.mark.django_db]


def page(client: Client, path: str = "/entry/") -> str:
    return client.get(path).content.decode()


def strip(text: str) -> list[str]:
    return re.findall(r'<li class="strip-page[^"]*">\s*<a href="([^"]*)"', text)


def test_the_menu_shows_what_the_user_may_open(operator_client: Client, staff_client: Client) -> None:
    assert 'href="/smartgate/filings/new/"' in page(operator_client)
    assert 'href="/smartgate/filings/new/"' not in page(staff_client)


def test_a_visitor_sees_what_there_is_and_where_to_log_in(client: Client) -> None:
    text = page(client, "/")
    assert "智能卡口散杂货" in text
    assert 'href="/accounts/login/"' in text
    assert 'href="/smartgate/' not in text


@pytest.mark.covers("PRT-03")
def test_fold_and_theme_are_remembered_and_drawn_by_the_server(operator_client: Client) -> None:
    assert 'data-theme="auto"' in page(operator_client)
    response = operator_client.post("/preferences/", {"menu": "folded", "next": "/entry/"})
    assert response.url == "/entry/"
    operator_client.post("/preferences/", {"theme": "dark"})
    text = page(operator_client)
    assert 'data-menu="folded"' in text
    assert 'data-bs-theme="dark"' in text


def test_preferences_refuse_what_they_do_not_know(client: Client) -> None:
    assert client.post("/preferences/", {"theme": "pink"}).status_code == 400
    assert client.get("/preferences/").status_code == 405


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_nobody_is_sent_to_a_foreign_place(client: Client, target: str) -> None:
    assert client.post("/preferences/", {"theme": "dark", "next": target}).url == "/"


@pytest.mark.covers("PRT-03")
def test_opened_pages_stay_in_the_strip_until_closed(operator_client: Client) -> None:
    page(operator_client)
    assert strip(page(operator_client, "/saved/")) == ["/entry/"]
    assert operator_client.post("/opened-pages/", {"close": "/entry/", "next": "/saved/"}).url == "/saved/"
    assert strip(page(operator_client, "/saved/")) == []


def request_with_pages(*paths: str) -> object:
    request = RequestFactory().get("/")
    request.session = {}
    for path in paths:
        shell.open_page(request, f"页 {path}", path)
    return request


def test_the_strip_closes_one_the_others_or_all() -> None:
    request = request_with_pages("/a/", "/b/", "/c/")
    assert shell.close_page(request, "/b/") == "/c/"
    assert shell.close_page(request, "/c/") == "/a/"
    shell.open_page(request, "又一页", "/d/")
    shell.close_others(request, "/d/")
    assert [one.path for one in shell.opened_pages(request)] == ["/d/"]
    shell.close_all(request)
    assert shell.opened_pages(request) == []


def test_one_list_is_one_page_of_the_strip_with_its_newest_query() -> None:
    request = request_with_pages("/list/?a=1", "/b/", "/list/?a=2")
    assert [one.path for one in shell.opened_pages(request)] == ["/list/?a=2", "/b/"]


def test_the_oldest_page_gives_way() -> None:
    request = request_with_pages(*(f"/{number}/" for number in range(shell.OPENED_PAGES_LIMIT + 1)))
    assert shell.opened_pages(request)[0].path == "/1/"
    assert len(shell.opened_pages(request)) == shell.OPENED_PAGES_LIMIT


def test_whoever_closes_the_page_he_stands_on_lands_beside_it(operator_client: Client) -> None:
    page(operator_client)
    assert operator_client.post("/opened-pages/", {"close": "/entry/", "next": "/entry/"}).url == "/"
    assert operator_client.get("/opened-pages/").status_code == 405


@pytest.mark.parametrize("what", ["close", "close_others", "next"])
def test_what_is_no_address_closes_nothing(operator_client: Client, what: str) -> None:
    page(operator_client)
    assert operator_client.post("/opened-pages/", {"close": "/nothing/", "next": "/entry/", what: "//["}).status_code == 302
    assert strip(page(operator_client)) == ["/entry/"]


def test_the_browser_is_told_once_that_a_draft_is_stored() -> None:
    request = request_with_pages()
    shell.draft_saved(request, "/entry/?x=1")
    assert shell.take_saved_drafts(request) == ["/entry/"]
    assert shell.take_saved_drafts(request) == []


@pytest.mark.parametrize("path", ["/", "/accounts/login/", "/entry/", "/stored/", "/nothing/here/"])
def test_pages_keep_to_the_content_security_policy(client: Client, path: str) -> None:
    text = page(client, path)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\s(?:src=|type=.application/json))", text)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)
    assert '<html lang="zh-Hans"' in text
    assert 'href="#content"' in text


def test_an_unknown_icon_fails_loudly() -> None:
    with pytest.raises(LookupError, match=r"icons\.txt"):
        icon("no-such-icon")
    with pytest.raises(LookupError):
        icon("../tabler/tabler")


def test_every_icon_that_templates_draw_is_on_the_list() -> None:
    listed = set((settings.BASE_DIR / "static/portal/icons.txt").read_text(encoding="utf-8").split())
    drawn = {
        name
        for template in (settings.BASE_DIR / "templates").rglob("*.html")
        for name in re.findall(r'{% icon "([^"]+)"', template.read_text(encoding="utf-8"))
    }
    assert drawn <= listed
