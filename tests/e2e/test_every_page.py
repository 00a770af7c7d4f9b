"""Every page as every role sees it: axe-core, phone width, both themes, words, headings, and all of it without a script.

The pages come from the URL configuration: an address that is in none of `PAGES`, `STEPS` and `NO_PAGES` fails the test.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, Response

from tests.e2e.conftest import Desk, visit_until_there
from tests.e2e.looks import DEMO_ACCOUNTS, axe, problems_of, problems_without_a_script
from tests.routes import address, routes

pytestmark = [pytest.mark.e2e, pytest.mark.covers("PRT-08")]

VISITOR = ""
ADMINISTRATOR = "demo_admin"
ENTERPRISE = ("demo_operator", ADMINISTRATOR, "other_operator")
ROLES = (VISITOR, *DEMO_ACCOUNTS)

#: What is no page: for programs, for POST only, what only leads on, or a part of a page that is walked as part of it.
NO_PAGES = {
    "healthz",
    "readyz",
    "metrics",
    "preferences/",
    "opened-pages/",
    "captcha/image/<slug:key>/",
    "accounts/logout/",
    "accounts/card/challenge/",
    "accounts/card-control/card_bridge.zip",
    "accounts/operators/<int:pk>/disable/",
    "accounts/operators/<int:pk>/enable/",
    "accounts/operators/<int:pk>/reset-password/",
    "accounts/applications/<slug:key>/open/",
    "accounts/applications/<slug:key>/close/",
    "accounts/cards/unbind/",
    "accounts/security/sessions/<int:pk>/end/",
    "accounts/security/sessions/end-others/",
    "accounts/2fa/",
    "accounts/2fa/recovery-codes/download/",
    "accounts/2fa/webauthn/",
    "accounts/2fa/webauthn/login/",
    "accounts/oidc/standard_edition/login/callback/",
    "accounts/standard-edition/",
    "accounts/standard-edition/signed-out/",
    "accounts/standard-edition/backchannel-logout/",
    "reference/lookup/<slug:table>/",
    "content/attachments/<int:pk>/",
    "smartgate/filings/<int:pk>/status/",
    "smartgate/filings/<int:pk>/delete/",
    "smartgate/filings/<int:pk>/print/",
    "smartgate/filings/<int:pk>/signature/<int:version>/",
    "smartgate/base/vehicles/lookup/",
    "smartgate/base/vehicles/<int:pk>/delete/",
    "smartgate/base/bills/lookup/",
    "smartgate/base/bills/<int:pk>/delete/",
    "smartgate/import/template.xlsx",
    "smartgate/import/<int:pk>/progress/",
    "smartgate/import/<int:pk>/marked.xlsx",
    "smartgate/import/<int:pk>/store/",
    "smartgate/import/<int:pk>/delete/",
    "smartgate/import/<int:pk>/declare/",
    "smartgate/declare/<int:pk>/items/",
}
#: Pages that no address alone opens; test_every_step.py, test_second_factor.py, test_single_sign_on.py, test_card_binding.py and
#: test_importing.py and test_change_journey.py go there and look at each.
STEPS = {
    "smartgate/filings/<int:pk>/amend/discard/",
    "accounts/register/done/",
    "accounts/first-login/",
    "accounts/cards/bind/confirm/",
    "accounts/password/forgotten/code/",
    "accounts/standard-edition/first/",
    "accounts/standard-edition/first/register/",
    "accounts/standard-edition/first/bind/",
    "accounts/standard-edition/done/",
    "accounts/security/standard-edition/",
    "accounts/2fa/authenticate/",
    "accounts/2fa/reauthenticate/",
    "accounts/2fa/totp/activate/",
    "accounts/2fa/totp/deactivate/",
    "accounts/2fa/recovery-codes/",
    "accounts/2fa/recovery-codes/generate/",
    "accounts/2fa/webauthn/add/",
    "accounts/2fa/webauthn/reauthenticate/",
    "accounts/2fa/webauthn/keys/<int:pk>/edit/",
    "accounts/2fa/webauthn/keys/<int:pk>/remove/",
    "smartgate/import/<int:pk>/",
    "smartgate/declare/<int:pk>/",
}


@dataclass(frozen=True)
class Row:
    """Where the first row of a query page leads: which action, what follows on that address, which list, and what is asked there."""

    action: str
    query: str = ""
    rest: str = ""
    of: str = "/smartgate/filings/"


#: route → addresses to walk.
PAGES: dict[str, list[str | Row]] = {
    "": ["/"],
    "accounts/login/": ["/accounts/login/"],
    "accounts/login/card/": ["/accounts/login/card/"],
    "accounts/password/forgotten/": ["/accounts/password/forgotten/"],
    # To who is logged in it says so.
    "accounts/register/": ["/accounts/register/"],
    "accounts/agreements/<slug:kind>/": ["/accounts/agreements/service/", "/accounts/agreements/port_logistics/"],
    "accounts/agreements/<slug:kind>/<slug:version>/": ["/accounts/agreements/service/2017-09/"],
    "accounts/profile/": ["/accounts/profile/"],
    "accounts/profile/mobile/": ["/accounts/profile/mobile/"],
    "accounts/password/change/": ["/accounts/password/change/"],
    "accounts/operators/": ["/accounts/operators/", "/accounts/operators/?username=nobody"],
    "accounts/operators/new/": ["/accounts/operators/new/"],
    "accounts/operators/<int:pk>/edit/": [Row("修改", of="/accounts/operators/")],
    "accounts/operators/<int:pk>/applications/": [Row("应用权限", of="/accounts/operators/")],
    "accounts/applications/": ["/accounts/applications/"],
    "accounts/card-control/": ["/accounts/card-control/"],
    "accounts/cards/": ["/accounts/cards/"],
    # Who has a card is sent back to it.
    "accounts/cards/bind/": ["/accounts/cards/bind/"],
    "accounts/qualifications/": ["/accounts/qualifications/", "/accounts/qualifications/?edit=1"],
    "accounts/security/": ["/accounts/security/"],
    "accounts/security/sessions/": ["/accounts/security/sessions/"],
    "accounts/security/history/": ["/accounts/security/history/", "/accounts/security/history/?outcome=%E6%97%A0"],
    "accounts/reauthenticate/": ["/accounts/reauthenticate/"],
    "accounts/audit/": ["/accounts/audit/"],
    "accounts/audit/<int:pk>/": [Row("查看", of="/accounts/audit/")],
    "content/<slug:kind>/": ["/content/notice/", "/content/faq/", "/content/video/?after=lost"],
    # What the demo publishes first: one for everybody, one that opens a page of an application.
    "content/items/<int:pk>/": ["/content/items/1/", "/content/items/2/"],
    "smartgate/filings/": [
        "/smartgate/filings/",
        "/smartgate/filings/?entered_at_from=2026-13-45&trip_no=" + "x" * 60,
        "/smartgate/filings/?bind_key_info=%E8%BE%BDA00000&sort=entered_at",
        "/smartgate/filings/?after=lost",
    ],
    "smartgate/filings/new/": ["/smartgate/filings/new/"],
    "smartgate/import/": ["/smartgate/import/"],
    "smartgate/declare/": ["/smartgate/declare/"],
    "smartgate/filings/<int:pk>/": [Row("查看", "status=draft")],
    "smartgate/filings/<int:pk>/edit/": [Row("修改", "status=draft")],
    "smartgate/filings/<int:pk>/copy/": [Row("查看", "status=stored", "copy/")],
    "smartgate/filings/<int:pk>/amend/": [Row("变更", "status=stored")],
    "smartgate/filings/<int:pk>/void/": [Row("删单", "status=stored")],
    "smartgate/filings/<int:pk>/versions/<int:number>/": [Row("查看", "status=stored", "versions/1/")],
    "smartgate/filings/<int:pk>/receipts/": [Row("查看回执", "status=stored")],
    "smartgate/statistics/": [
        "/smartgate/statistics/",
        "/smartgate/statistics/?entered_at_from=2001-01-01&entered_at_to=2001-01-31",
        "/smartgate/statistics/?entered_at_from=2001-01-01&entered_at_to=2026-01-31",
    ],
    "smartgate/base/vehicles/": ["/smartgate/base/vehicles/", "/smartgate/base/vehicles/?bind_key_info=nobody"],
    "smartgate/base/vehicles/new/": ["/smartgate/base/vehicles/new/"],
    "smartgate/base/vehicles/<int:pk>/edit/": [Row("修改", of="/smartgate/base/vehicles/")],
    "smartgate/base/bills/": ["/smartgate/base/bills/", "/smartgate/base/bills/?bill_no=nobody"],
    "smartgate/base/bills/new/": ["/smartgate/base/bills/new/"],
    "smartgate/base/bills/<int:pk>/edit/": [Row("修改", of="/smartgate/base/bills/")],
}
#: More of the same for demo_operator, whose enterprise has filings in every state.
STATES: dict[str, list[str | Row]] = {
    "smartgate/filings/<int:pk>/": [Row("查看", f"status={status}") for status in ("rejected", "relay_failed", "locked", "departed")],
    "smartgate/filings/<int:pk>/edit/": [Row("修改", "status=rejected")],
    "smartgate/filings/<int:pk>/receipts/": [Row("查看回执", "status=rejected"), Row("查看回执", "status=departed")],
}
NOWHERE = "/nowhere/"
#: Who may open what: the longest beginning of a route counts. All others are led to the login page or told 403.
MAY_OPEN: dict[str, tuple[str, ...]] = {
    "": ROLES,
    "accounts/": DEMO_ACCOUNTS,
    "accounts/login/": (VISITOR,),
    "accounts/password/forgotten/": (VISITOR,),
    "accounts/register/": ROLES,
    "accounts/agreements/": ROLES,
    "accounts/card-control/": ROLES,
    "accounts/operators/": (ADMINISTRATOR,),
    "accounts/applications/": ENTERPRISE,
    "accounts/cards/": ENTERPRISE,
    "accounts/qualifications/": ENTERPRISE,
    "accounts/audit/": (ADMINISTRATOR, "demo_staff"),
    "smartgate/": ENTERPRISE,
}


@dataclass(frozen=True)
class Walked:
    """One address for one role, and the status that it answers with."""

    path: str
    status: int = 200


def may_open(route: str, user: str) -> bool:
    """Whether this role sees the page."""
    return user in MAY_OPEN[max((beginning for beginning in MAY_OPEN if route.startswith(beginning)), key=len)]


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, Row], str]:
    """User and row → address, found once."""
    return {}


def path_of(row: Row, page: Page) -> str:
    """The address that the query page offers for the action."""
    link = page.locator("#listing-results tbody tr").first.get_by_role("link", name=row.action, exact=True)
    visit_until_there(page, f"{row.of}?{row.query}", link)
    path = link.get_attribute("href")
    assert path
    return path.split("?")[0] + row.rest


def addresses(desk: Desk, user: str, found: dict[tuple[str, Row], str]) -> Iterator[Walked]:
    """Every page that this role may see, one that it may not, and one that is not there."""
    finder: Page | None = None
    for route, ways in PAGES.items():
        if not may_open(route, user):
            continue
        for way in ways + (STATES.get(route, []) if user == "demo_operator" else []):
            if isinstance(way, str):
                yield Walked(way)
                continue
            if (user, way) not in found:
                finder = finder or desk.sit(user)
                found[user, way] = path_of(way, finder)
            yield Walked(found[user, way])
    # What each of all the others answers is told by tests/portal/test_permission_walk.py.
    if user not in (VISITOR, *ENTERPRISE):
        yield Walked("/smartgate/filings/new/", 403)
    yield Walked(NOWHERE, 404)


def test_the_walk_knows_every_address() -> None:
    own = {route for route in routes() if not route.startswith("admin/")}
    known = NO_PAGES | STEPS | PAGES.keys()
    assert not own - known, f"new addresses; say in PAGES (tests/e2e/test_every_page.py) how to get there: {sorted(own - known)}"
    assert not known - own, f"addresses that are no more: {sorted(known - own)}"


def opened(page: Page, path: str) -> Response:
    """Go there; the answer to the address itself."""
    response = page.goto(path)
    assert response is not None
    return response


@pytest.mark.parametrize("user", ROLES, ids=lambda user: user or "visitor")
def test_every_page_of_every_role(desk: Desk, found: dict[tuple[str, Row], str], user: str) -> None:
    page = desk.sit(user, axe=True)
    problems: list[str] = []
    for walked in addresses(desk, user, found):
        response = opened(page, walked.path)
        if response.status != walked.status:
            problems.append(f"{walked.path} answers {response.status}, not {walked.status}")
        problems += [f"{user or 'visitor'} {walked.path} {one}" for one in problems_of(page)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("user", ROLES, ids=lambda user: user or "visitor")
def test_every_page_without_a_script(desk: Desk, found: dict[tuple[str, Row], str], user: str) -> None:
    page = desk.sit(user, javascript=False, width=360, height=740)
    problems = []
    for walked in addresses(desk, user, found):
        response = opened(page, walked.path)
        if response.status != walked.status:
            problems.append(f"{walked.path} answers {response.status}, not {walked.status}")
        problems += [f"{walked.path} {one}" for one in problems_without_a_script(page)]
    assert not problems, "\n".join(problems)


def staff_pages() -> list[str]:
    """/admin/ as a sample: its start, each table's list and each form for a new entry, the change of one's password."""
    return ["/admin/", *(address(route) for route in routes() if re.fullmatch(r"admin/(\w+/\w+/(add/)?|password_change/)", route))]


#: What axe-core finds in what Django's own scripts draw, and we do not write: its choosers with a search field name neither their
#: box while it is empty (select2) nor their help mark as they should.
DJANGOS_OWN = ("aria-input-field-name", "aria-prohibited-attr")


@pytest.mark.covers("ACC-13")
def test_staff_pages(desk: Desk) -> None:
    """Django's own templates: held to WCAG 2.2 A and AA, but for `DJANGOS_OWN`, and to our Content-Security-Policy."""
    page = desk.sit("demo_staff", axe=True)
    problems = []
    for path in staff_pages():
        response = opened(page, path)
        if response.status == 403 and path.endswith("/add/"):
            continue  # a table that is only looked at
        if response.status != 200:
            problems.append(f"{path}: {response.status}")
        found = axe(page, "{preload: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}")
        problems += [f"{path} {one}" for one in found if not one.startswith(DJANGOS_OWN)]
    assert not problems, "\n".join(problems)
