"""绑卡 and 解绑 with the software card of `make run`, by keyboard; each page looked at, with a script and without (CARD-03)."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from devserver.cards import CARDS, DEMO_PIN, CardBox
from tests.e2e.conftest import Desk, Stack, tab_to
from tests.e2e.looks import problems_of, problems_without_a_script

pytestmark = [pytest.mark.e2e, pytest.mark.covers("CARD-03")]
#: Is there for demo_admin to bind.
CARD = next(card for card in CARDS if card.username == "demo_admin")


@pytest.fixture
def reader(stack: Stack) -> Iterator[CardBox]:
    """The software reader; afterwards it has the card in it that it had."""
    cards = CardBox(stack.var_dir)
    before = cards.in_reader()
    yield cards
    cards.put(before or "none")


def without_a_script(desk: Desk, page: Page, path: str) -> Page:
    """The same session in a browser without a script, as wide as a phone."""
    other = desk.sit(javascript=False, width=360, height=740)
    other.context.add_cookies(page.context.cookies())
    other.goto(path)
    return other


def test_bind_and_unbind(desk: Desk, reader: CardBox) -> None:
    reader.put(CARD.number)
    page = desk.sit("demo_admin", axe=True)
    problems: list[str] = []

    def look(what: str, plain: str = "") -> None:
        problems.extend(f"{what}: {one}" for one in problems_of(page))
        if plain:
            problems.extend(f"{what}, no script: {one}" for one in problems_without_a_script(without_a_script(desk, page, plain)))

    page.goto("/accounts/cards/")
    expect(page.get_by_text("无符合查询条件的数据!")).to_be_visible()
    tab_to(page, "main a[href='/accounts/cards/bind/']")
    page.keyboard.press("Enter")
    look("请输入IC卡密码", "/accounts/cards/bind/")
    page.get_by_label("请输入IC卡密码").fill("999999")
    page.get_by_label("请输入IC卡密码").press("Enter")
    expect(page.locator("[data-card-error]")).to_contain_text("密码")
    look("wrong PIN")
    page.get_by_label("请输入IC卡密码").fill(DEMO_PIN)
    page.get_by_label("请输入IC卡密码").press("Enter")
    expect(page.get_by_role("heading", name="请确认绑卡信息")).to_be_visible()
    expect(page.get_by_role("definition").filter(has_text=CARD.number)).to_be_visible()
    look("请确认绑卡信息", "/accounts/cards/bind/confirm/")
    tab_to(page, "main .account-buttons button.btn-primary")
    page.keyboard.press("Enter")
    expect(page.get_by_text("绑卡成功")).to_be_visible()
    look("我的IC卡", "/accounts/cards/")
    page.goto("/accounts/cards/bind/")
    expect(page.get_by_text("请先解绑")).to_be_visible()

    plain = without_a_script(desk, page, "/accounts/cards/")
    plain.get_by_text("解绑", exact=True).click()
    plain.get_by_role("button", name="确定解绑").click()
    expect(plain.get_by_role("checkbox")).to_be_focused()
    plain.get_by_role("checkbox").check()
    plain.get_by_role("button", name="确定解绑").click()
    expect(plain.get_by_text("已解绑")).to_be_visible()
    assert not problems, "\n".join(problems)


def test_another_enterprises_card(desk: Desk, reader: CardBox) -> None:
    reader.put(next(card.number for card in CARDS if card.username == "other_operator"))
    page = desk.sit("demo_admin")
    page.goto("/accounts/cards/bind/")
    page.get_by_label("请输入IC卡密码").fill(DEMO_PIN)
    page.get_by_role("button", name="读取卡信息").click()
    expect(page.get_by_role("alert").filter(has_text="请使用本企业的卡")).to_be_visible()


def test_no_card_in_the_reader(desk: Desk, reader: CardBox) -> None:
    reader.put("none")
    page = desk.sit("demo_admin")
    page.goto("/accounts/cards/bind/")
    page.get_by_label("请输入IC卡密码").fill(DEMO_PIN)
    page.get_by_role("button", name="读取卡信息").click()
    expect(page.locator("[data-card-error]")).to_contain_text("没有检测到")
