"""卡介质 login and 卡控件下载 in the running portal, with the demo's software reader (CARD-02)."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, WebSocketRoute, expect

from devserver.cards import CARDS, NO_CARD, CardBox
from simulators.cards.__main__ import DEMO_PIN
from tests.e2e.conftest import Desk, Stack
from tests.e2e.looks import DESK, PHONE, problems_of, problems_without_a_script

pytestmark = [pytest.mark.e2e, pytest.mark.covers("CARD-02", "ACC-07")]
LIST = "/smartgate/filings/?status=draft"
PAGE, CONTROL = "/accounts/login/card/", "/accounts/card-control/"
BOUND, UNBOUND = (card.number for card in CARDS[:2])


@pytest.fixture
def box(stack: Stack) -> Iterator[CardBox]:
    """The software reader; the card that everybody expects is in it again afterwards."""
    box = CardBox(stack.var_dir)
    box.put(BOUND)
    yield box
    box.put(BOUND)


def give_pin(page: Page, pin: str = DEMO_PIN) -> None:
    page.get_by_label("请输入IC卡密码").fill(pin)
    page.get_by_label("请输入IC卡密码").press("Enter")


def picture(page: Page, name: str) -> None:
    """For people who want to look: PICTURES=DIRECTORY."""
    if directory := os.environ.get("PICTURES"):
        for size, scheme in ((DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.screenshot(path=Path(directory) / f"{name}-{size['width']}-{scheme}.png", full_page=True, animations="disabled")


def test_the_card_opens_the_page_that_was_asked_for(desk: Desk, box: CardBox) -> None:
    page = desk.sit(axe=True)
    sent: list[str] = []

    def remember(request: Request) -> None:
        sent.append(f"{request.url} {request.post_data} {request.headers}")

    page.on("request", remember)
    page.goto(LIST)
    page.get_by_role("navigation", name="登录方式").get_by_role("link", name="卡介质").click()
    expect(page.get_by_text("请先插入IC卡。")).to_be_visible()
    picture(page, "card-login")
    give_pin(page)
    page.wait_for_url(f"**{LIST}")
    expect(page.get_by_role("link", name="李操作")).to_be_visible()
    assert sum("certificate=" in one and "challenge=" in one for one in sent) == 1
    assert not [one for one in sent if DEMO_PIN in one], "the PIN goes to the card and nowhere else"
    page.goto("/accounts/security/history/")
    expect(page.locator("#listing-results tbody tr").first).to_contain_text("卡介质")


def test_what_goes_wrong_is_said(desk: Desk, box: CardBox) -> None:
    page = desk.sit(axe=True)
    page.goto(PAGE)
    give_pin(page, "12345678")
    expect(page.locator("[data-card-error]")).to_contain_text("密码")
    box.put(UNBOUND)
    give_pin(page)
    expect(page.get_by_role("alert").filter(has_text="此卡尚未绑定账号")).to_be_visible()
    picture(page, "card-login-refused")
    assert problems_of(page) == []
    box.put(BOUND)
    give_pin(page)
    page.wait_for_url(desk.stack.url + "/")


def test_looking_for_the_program_and_the_card(desk: Desk, box: CardBox) -> None:
    page = desk.sit(axe=True)
    page.goto(CONTROL)
    start, found = page.get_by_role("button", name="检测"), page.locator("[data-card-check-results]")
    start.click()
    expect(found).to_contain_text("读卡程序已连接，版本：")
    expect(found).to_contain_text(f"读卡器中有卡，卡号：{BOUND}")
    picture(page, "card-control")
    # What the program calls itself is its own business.
    assert [one for one in problems_of(page) if not one.startswith("English: 读卡程序已连接")] == []
    box.put(NO_CARD)
    start.click()
    expect(found).to_contain_text("没有检测到卡")
    expect(found).to_contain_text("读卡程序已连接")


def test_the_page_names_its_own_origin(desk: Desk, box: CardBox) -> None:
    """The same portal under a name that the program was not told: it says what to tell it."""
    page = desk.sit()
    page.goto(CONTROL)
    commands = page.locator(".card-control-steps pre").all_inner_texts()
    assert sum(f"-m card_bridge --origin {desk.stack.url}" in command for command in commands) == 2

    def forbid(socket: WebSocketRoute) -> None:
        refusal = '"_args": {"Result": false, "Data": [], "Error": ["not allowed", "Err:Bridge40301"]}}'
        socket.send('{"_id": 0, "_method": "open", "_status": "00", ' + refusal)

    page.route_web_socket("ws://**", forbid)
    page.get_by_role("button", name="检测").click()
    expect(page.locator("[data-card-check-results]")).to_contain_text(f"其中须有 --origin {desk.stack.url}")


def test_without_a_program(desk: Desk) -> None:
    page = desk.sit()
    page.goto(CONTROL)
    page.route_web_socket("ws://**", lambda socket: socket.close())
    page.get_by_role("button", name="检测").click()
    expect(page.locator("[data-card-check-results]")).to_contain_text("没有连接到读卡程序")
    expect(page.get_by_role("button", name="检测")).not_to_have_attribute("aria-disabled", "true")


@pytest.mark.parametrize("path", ["/accounts/login/", PAGE, CONTROL])
def test_looks(desk: Desk, path: str) -> None:
    page = desk.sit(axe=True)
    page.goto(path)
    picture(page, path.strip("/").replace("/", "-"))
    assert problems_of(page) == []
    plain = desk.sit(javascript=False, width=360, height=740)
    plain.goto(path)
    assert problems_without_a_script(plain) == []
    if path != "/accounts/login/":
        expect(plain.get_by_text("需要浏览器允许运行脚本")).to_be_visible()
