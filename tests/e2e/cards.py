"""What people do with the demo's cards: bind one, log in with it, declare with it."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from devserver.cards import CARDS, DEMO_PIN
from tests.e2e.conftest import tab_to

OPERATORS, ADMINISTRATORS, OTHERS = (card.number for card in CARDS)


def mismatch(card_no: str, bound: str) -> str:
    """What is said to whoever wants to declare with another card than his own (CARD-05)."""
    return f"当前卡号 {card_no} 与用户注册信息卡号 {bound} 不一致，无法进行申报"


def pin_field(page: Page) -> Any:
    """Where the PIN goes."""
    return page.get_by_label("请输入IC卡密码")


def ask_to_declare(page: Page) -> None:
    """申报, up to the question with the text that is to be signed."""
    page.get_by_role("button", name="申报").click()
    question = page.get_by_role("alertdialog")
    expect(question).to_contain_text("是否要申报该票单据？")
    expect(question.locator("#sign-text")).to_contain_text("智能卡口散杂货申报单")


def confirm_with_card(page: Page, pin: str = DEMO_PIN) -> None:
    """Answer the question of 申报: the PIN, 确认申报. What comes of it is the test's business."""
    pin_field(page).fill(pin)
    page.get_by_role("button", name="确认申报").click()


def declare_with_card(page: Page, pin: str = DEMO_PIN) -> None:
    """申报 of the filing whose page is open, with the card in the reader, up to the filing's own page."""
    ask_to_declare(page)
    confirm_with_card(page, pin)
    page.wait_for_url(re.compile(r"/filings/\d+/$"))


def ask_by_keyboard(page: Page, question: str = "是否要申报该票单据？", *, signs: str = "智能卡口散杂货申报单") -> None:
    """申报 without a mouse, up to the question with the text that is to be signed."""
    tab_to(page, "button[value=declare]", backwards=True)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text(question)
    expect(dialog.locator("#sign-text")).to_contain_text(signs)


def confirm_by_keyboard(page: Page, pin: str = DEMO_PIN) -> None:
    """Answer the question of 申报 without a mouse: the PIN, Enter."""
    tab_to(page, "#card-pin")
    page.keyboard.type(pin)
    page.keyboard.press("Enter")


def declare_by_keyboard(page: Page, question: str = "是否要申报该票单据？", *, signs: str = "智能卡口散杂货申报单") -> None:
    """申报 without a mouse, with the card in the reader, up to the filing's own page."""
    ask_by_keyboard(page, question, signs=signs)
    confirm_by_keyboard(page)
    page.wait_for_url(re.compile(r"/filings/\d+/$"))


def bind_card(page: Page, pin: str = DEMO_PIN) -> None:
    """我的IC卡, 绑卡, up to what the card says, for 确定 or 取消."""
    page.goto("/accounts/cards/")
    page.get_by_role("link", name="绑卡").click()
    pin_field(page).fill(pin)
    page.get_by_role("button", name="读取卡信息").click()
    expect(page.get_by_role("heading", name="请确认绑卡信息")).to_be_visible()


def unbind_card(page: Page, card_no: str) -> None:
    """我的IC卡, 解绑."""
    page.goto("/accounts/cards/")
    page.get_by_label(f"选择卡 {card_no}").check()
    page.get_by_text("解绑", exact=True).click()
    page.get_by_role("button", name="确定解绑").click()
    expect(page.get_by_role("link", name="绑卡")).to_be_visible()


def log_in_by_card(page: Page, pin: str = DEMO_PIN) -> None:
    """From the login page through 卡介质."""
    page.get_by_role("navigation", name="登录方式").get_by_role("link", name="卡介质").click()
    pin_field(page).fill(pin)
    pin_field(page).press("Enter")
    page.wait_for_url(lambda url: "/accounts/login/" not in url)
