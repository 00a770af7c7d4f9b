"""The operators' console in a real browser: each of its pages by axe-core and at phone width, and a pause from question to history."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Desk, visit_until_there
from tests.e2e.looks import PHONE, axe

pytestmark = [pytest.mark.e2e, pytest.mark.covers("RLY-04")]

WCAG = "{preload: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}"
CONSOLE = "/admin/relay/pause/"


def first_message(page: Page, address: str) -> str:
    """The page of the first message in a list, without what follows its number."""
    link = page.locator(".operators-table tbody td a").first
    visit_until_there(page, address, link)  # the demo's filings may still be on their way
    path = link.get_attribute("href")
    assert path is not None
    return path.removesuffix("change/")


def test_every_page_of_the_console(desk: Desk) -> None:
    page = desk.sit("demo_staff", axe=True)
    sent = first_message(page, "/admin/relay/outboundmessage/?message_type=SGW101&state=delivered")
    came = first_message(page, "/admin/relay/inboundmessage/?message_type=SGW102")
    problems = []
    for path in (
        CONSOLE,
        f"{CONSOLE}begin/",
        "/admin/relay/outboundmessage/?state=wrong",
        "/admin/relay/outboundmessage/?state=delivered&message_type=SGW101",
        "/admin/relay/outboundmessage/resend/?state=delivered&message_type=SGW101",
        *(f"{sent}{name}/" for name in ("change", "resend", "settle")),
        *(f"{came}{name}/" for name in ("change", "retry", "discard")),
    ):
        response = page.goto(path)
        assert response is not None
        assert response.status == 200, path
        problems += [f"{path} {one}" for one in axe(page, WCAG)]
        page.set_viewport_size(PHONE)
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            problems.append(f"{path} is wider than a phone")
        page.set_viewport_size({"width": 1440, "height": 900})
    assert not problems, "\n".join(problems)


def test_a_pause_is_asked_for_begun_and_ended(desk: Desk) -> None:
    page = desk.sit("demo_staff")
    page.goto(CONSOLE)
    page.get_by_role("link", name="暂停发送…").click()
    page.get_by_label("接收方").select_option("customs")
    page.get_by_label("报文类型").select_option("RCV001")
    page.get_by_label("原因").fill("浏览器试验")
    page.get_by_role("button", name="确认暂停").click()
    expect(page.locator("main")).to_contain_text("浏览器试验")
    page.get_by_role("link", name="恢复…").click()
    page.get_by_label("说明").fill("试验结束")
    page.get_by_role("button", name="确认恢复").click()
    expect(page.locator("main")).to_contain_text("没有暂停。")
    expect(page.locator(".operators-table").last).to_contain_text("试验结束")
