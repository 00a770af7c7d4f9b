"""Where a request may be sent on."""

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from django_htmx.middleware import HtmxDetails

from core.http import leave_page, safe_next, to_login


def asked(request: HttpRequest) -> HttpRequest:
    request.htmx = HtmxDetails(request)
    return request


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/list/?size=50", "/list/?size=50"),
        ("http://testserver/list/", "http://testserver/list/"),
        *[(foreign, "/") for foreign in ("https://evil.example/", "//evil.example", "//[", "javascript:x", "")],
    ],
)
def test_the_way_back_never_leaves_the_portal(rf: RequestFactory, wanted: str, leads_to: str) -> None:
    assert safe_next(rf.post("/", {"next": wanted}), "/") == leads_to


def test_a_part_of_a_page_is_not_redirected_but_the_page(rf: RequestFactory) -> None:
    assert leave_page(asked(rf.get("/")), "/there/")["Location"] == "/there/"
    part = leave_page(asked(rf.get("/", headers={"HX-Request": "true"})), "/there/")
    assert (part.status_code, part["HX-Redirect"]) == (200, "/there/")
    back = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert leave_page(asked(rf.get("/", headers=back)), "/there/")["Location"] == "/there/"


@pytest.mark.parametrize(
    ("current", "comes_back_to"),
    [
        ("http://testserver/filings/5/?tab=1", "/filings/5/%3Ftab%3D1"),
        *[(foreign, "/filings/5/status/") for foreign in ("https://evil.example/x", "http://testserver:99/x", "http://[", "")],
    ],
)
def test_a_visitor_comes_back_to_the_page_he_stands_on(rf: RequestFactory, current: str, comes_back_to: str) -> None:
    request = asked(rf.get("/filings/5/status/", headers={"HX-Request": "true", "HX-Current-URL": current}))
    assert to_login(request)["HX-Redirect"] == f"/accounts/login/?next={comes_back_to}"


def test_a_visitor_comes_back_to_the_list_whose_action_he_pressed(rf: RequestFactory) -> None:
    pressed = asked(rf.post("/filings/5/delete/", {"next": "/filings/?size=50"}))
    assert to_login(pressed)["Location"] == "/accounts/login/?next=/filings/%3Fsize%3D50"
