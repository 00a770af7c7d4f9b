"""Every page as every role sees it: axe-core, phone width, both themes, words, headings, and all of it without a script.

The pages come from the URL configuration: an address that is neither in `PAGES` nor in `NO_PAGES` fails the test.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, Response, expect

from tests.e2e.conftest import Desk, visit_until_there
from tests.routes import address, routes

pytestmark = [pytest.mark.e2e, pytest.mark.covers("PRT-08")]

SITE = "辽宁国际贸易单一窗口"
VISITOR = ""
ENTERPRISE = ("demo_operator", "demo_admin", "other_operator")
OTHERS = ("demo_terminal", "demo_customs", "demo_ccpit", "demo_staff")
ROLES = (VISITOR, *ENTERPRISE, *OTHERS)
PHONE, DESK = 360, 1440

#: What is no page: for programs, for POST only, or a part of a page that is walked as part of it.
NO_PAGES = {
    "healthz",
    "readyz",
    "preferences/",
    "opened-pages/",
    "accounts/logout/",
    # Opens only to who has just registered: tests/e2e/people.py.
    "accounts/register/done/",
    "accounts/security/sessions/<int:pk>/end/",
    "accounts/security/sessions/end-others/",
    # Steps of 登录安全, which need a second factor or a password given a moment ago: tests/e2e/test_second_factor.py.
    "accounts/2fa/",
    "accounts/2fa/authenticate/",
    "accounts/2fa/reauthenticate/",
    "accounts/2fa/totp/deactivate/",
    "accounts/2fa/recovery-codes/",
    "accounts/2fa/recovery-codes/generate/",
    "accounts/2fa/recovery-codes/download/",
    "accounts/2fa/webauthn/",
    "accounts/2fa/webauthn/login/",
    "accounts/2fa/webauthn/reauthenticate/",
    "accounts/2fa/webauthn/keys/<int:pk>/edit/",
    "accounts/2fa/webauthn/keys/<int:pk>/remove/",
    "reference/lookup/<slug:table>/",
    "content/attachments/<int:pk>/",
    "smartgate/filings/<int:pk>/status/",
    "smartgate/filings/<int:pk>/delete/",
    # The way through the standard edition, walked in test_single_sign_on.
    "accounts/oidc/standard_edition/login/callback/",
    "accounts/standard-edition/",
    "accounts/standard-edition/first/",
    "accounts/standard-edition/first/register/",
    "accounts/standard-edition/first/bind/",
    "accounts/standard-edition/done/",
    "accounts/standard-edition/signed-out/",
    "accounts/standard-edition/backchannel-logout/",
}
#: Where the query page leads: which list, which row action, and what follows on that address.
Way = tuple[str, ...]
#: route → addresses to walk.
PAGES: dict[str, list[str | Way]] = {
    "": ["/"],
    "accounts/login/": ["/accounts/login/"],
    "accounts/register/": ["/accounts/register/"],
    "accounts/agreements/<slug:kind>/": ["/accounts/agreements/service/", "/accounts/agreements/port_logistics/"],
    "accounts/agreements/<slug:kind>/<slug:version>/": ["/accounts/agreements/service/2017-09/"],
    "accounts/security/": ["/accounts/security/"],
    "accounts/security/sessions/": ["/accounts/security/sessions/"],
    "accounts/security/history/": ["/accounts/security/history/", "/accounts/security/history/?outcome=nonsense"],
    "accounts/reauthenticate/": ["/accounts/reauthenticate/"],
    # Leads to the password first.
    "accounts/2fa/totp/activate/": ["/accounts/2fa/totp/activate/"],
    "accounts/2fa/webauthn/add/": ["/accounts/2fa/webauthn/add/"],
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
    "smartgate/filings/<int:pk>/": [("status=draft", "查看")],
    "smartgate/filings/<int:pk>/edit/": [("status=draft", "修改")],
    "smartgate/filings/<int:pk>/copy/": [("status=stored", "查看", "copy/")],
    "smartgate/filings/<int:pk>/receipts/": [("status=stored", "查看回执")],
}
#: More of the same for demo_operator, whose enterprise has filings in every state.
STATES: dict[str, list[str | Way]] = {
    "smartgate/filings/<int:pk>/": [(f"status={status}", "查看") for status in ("rejected", "relay_failed", "locked", "departed")],
    "smartgate/filings/<int:pk>/edit/": [("status=rejected", "修改")],
    "smartgate/filings/<int:pk>/receipts/": [("status=rejected", "查看回执"), ("status=departed", "查看回执")],
}
NOWHERE = "/nowhere/"

#: What Chinese text may have of Latin letters: names of things, and the accounts of the demo.
LATIN = {"Excel", "Ikey", "HeadlessChrome", "Linux", *ROLES}

#: Texts that are read: visible text nodes, and what is told only to a screen reader or on hover.
TEXTS = """() => {
  const shown = (element) => element.checkVisibility({ visibilityProperty: true }) || element.closest(".visually-hidden");
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const texts = [document.title];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!parent.matches("script, style, template") && shown(parent)) texts.push(walker.currentNode.textContent);
  }
  for (const element of document.body.querySelectorAll("[aria-label], [title], [placeholder], [alt]")) {
    for (const name of ["aria-label", "title", "placeholder", "alt"]) texts.push(element.getAttribute(name) ?? "");
  }
  return texts.map((text) => text.trim()).filter(Boolean);
}"""
#: What sticks out of the page to the right, named; nothing that scrolls in a frame of its own.
OVERFLOW = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.body.querySelectorAll("*")].filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
    .map((element) => element.outerHTML.slice(0, 120)).slice(0, 5)"""


@dataclass(frozen=True)
class Walked:
    """One address for one role, and the status that it answers with."""

    path: str
    status: int


def path_of_row_action(page: Page, query: str, label: str, rest: str = "") -> str:
    """The address that the query page offers for an action."""
    link = page.locator("#listing-results tbody tr").first.get_by_role("link", name=label, exact=True)
    visit_until_there(page, f"/smartgate/filings/?{query}", link)
    path = link.get_attribute("href")
    assert path
    return path + rest


@pytest.fixture(scope="module")
def records() -> dict[str, dict[Way, str]]:
    """user → way → address, found once."""
    return {}


def ways_to(route: str, user: str) -> list[str | Way]:
    """What of `PAGES` and `STATES` is walked by this user."""
    return PAGES[route] + (STATES.get(route, []) if user == "demo_operator" else [])


def addresses(desk: Desk, user: str, records: dict[str, dict[Way, str]]) -> Iterator[Walked]:
    """Every page, with the records that this role may see; to roles that may see none, somebody's."""
    sees_filings = user in ENTERPRISE
    reader = user if sees_filings else "demo_operator"
    if reader not in records:
        page = desk.sit(reader)
        ways = [way for route in PAGES for way in ways_to(route, reader) if isinstance(way, tuple)]
        records[reader] = {way: path_of_row_action(page, *way) for way in ways}
    for route in PAGES:
        is_open = not route.startswith("smartgate/") or sees_filings
        if (route == "accounts/login/" and user) or (not user and not is_open):
            continue  # somebody is logged in already; a visitor is led to the login page
        for way in ways_to(route, user):
            yield Walked(way if isinstance(way, str) else records[reader][way], 200 if is_open else 403)
    yield Walked(NOWHERE, 404)


def test_the_walk_knows_every_address() -> None:
    own = {route for route in routes() if not route.startswith("admin/")}
    known = NO_PAGES | PAGES.keys()
    assert not own - known, f"new addresses; say in PAGES (tests/e2e/test_every_page.py) how to get there: {sorted(own - known)}"
    assert not known - own, f"addresses that are no more: {sorted(known - own)}"


def axe(page: Page, options: str = "{}") -> list[str]:
    """What axe-core finds: rule, and the elements."""
    found: list[str] = page.evaluate(
        f"axe.run(document, {options}).then((found) => found.violations.map((one) => "
        "`${one.id} (${one.help}): ` + one.nodes.map((node) => node.html.slice(0, 200)).slice(0, 3).join(' | ')))"
    )
    return found


def english(texts: list[str]) -> list[str]:
    """Texts with a word in small Latin letters; what has digits in it is a number of something."""
    found = []
    for text in texts:
        words = re.findall(r"(?<![\w-])[A-Za-z_]{3,}(?![\w-])", text, re.ASCII)
        if any(word != word.upper() and word not in LATIN for word in words):
            found.append(text)
    return found


def opened(page: Page, path: str) -> Response:
    """Go there; the answer to the address itself."""
    response = page.goto(path)
    assert response is not None
    return response


def outline_problems(page: Page) -> list[str]:
    """What is wrong with title, language and first heading."""
    problems = []
    if not re.fullmatch(rf".+ · {SITE}", page.title()):
        problems.append(f"title is “{page.title()}”")
    if page.locator("html").get_attribute("lang") != "zh-Hans":
        problems.append("lang is not zh-Hans")
    headings = [text for text in page.locator("h1").all_inner_texts() if text.strip()]
    if len(headings) != 1:
        problems.append(f"h1: {headings}")
    if page.locator("main").count() != 1:
        problems.append("not one main")
    return problems


@pytest.mark.parametrize("user", ROLES, ids=lambda user: user or "visitor")
def test_every_page_of_every_role(desk: Desk, records: dict[str, dict[Way, str]], user: str) -> None:
    walked = list(addresses(desk, user, records))
    page = desk.sit(user, axe=True)
    problems: list[str] = []

    def note(walk: Walked, how: str, found: list[str]) -> None:
        problems.extend(f"{user or 'visitor'} {walk.path} {how}: {one}" for one in found)

    for walk in walked:
        page.set_viewport_size({"width": DESK, "height": 900})
        page.emulate_media(color_scheme="light")
        response = opened(page, walk.path)
        if response.status != walk.status:
            note(walk, "answers", [f"{response.status}, not {walk.status}"])
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
        note(walk, "outline", outline_problems(page))
        note(walk, "English", english(page.evaluate(TEXTS)))
        note(walk, "at the desk sticks out", page.evaluate(OVERFLOW))
        note(walk, "light, axe", axe(page))
        page.set_viewport_size({"width": PHONE, "height": 740})
        page.emulate_media(color_scheme="dark")
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
        note(walk, "on a phone sticks out", page.evaluate(OVERFLOW))
        note(walk, "dark phone, axe", axe(page))
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("user", ROLES, ids=lambda user: user or "visitor")
def test_every_page_without_a_script(desk: Desk, records: dict[str, dict[Way, str]], user: str) -> None:
    walked = list(addresses(desk, user, records))
    page = desk.sit(user, javascript=False, width=PHONE, height=740)
    problems = []
    for walk in walked:
        response = opened(page, walk.path)
        heading = page.locator("main h1")
        if response.status != walk.status or not heading.is_visible():
            problems.append(f"{walk.path}: {response.status}, heading visible: {heading.is_visible()}")
        problems += [f"{walk.path} sticks out: {one}" for one in page.evaluate(OVERFLOW)]
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
