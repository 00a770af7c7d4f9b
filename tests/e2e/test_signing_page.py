"""申报 with the card in the running portal: the question, a wrong card, the right one, and what 查看 says of it (CARD-05, CARD-07)."""

import io
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from devserver.cards import CARDS, CardBox
from simulators.cards.__main__ import DEMO_PIN
from tests.e2e.conftest import Desk, Stack
from tests.e2e.looks import DESK, PHONE, problems_of, problems_without_a_script

pytestmark = [pytest.mark.e2e, pytest.mark.covers("CARD-05", "SGW-04")]
BOUND, OTHER = (card.number for card in CARDS[:2])
DRAFTS = "/smartgate/filings/?status=draft"


@pytest.fixture
def box(stack: Stack) -> Iterator[CardBox]:
    """The software reader; the card that everybody expects is in it again afterwards."""
    box = CardBox(stack.var_dir)
    box.put(BOUND)
    yield box
    box.put(BOUND)


def picture(page: Page, name: str) -> None:
    """For people who want to look: PICTURES=DIRECTORY."""
    if directory := os.environ.get("PICTURES"):
        for size, scheme in ((DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")):
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.screenshot(path=Path(directory) / f"{name}-{size['width']}-{scheme}.png", full_page=True, animations="disabled")
        page.set_viewport_size(DESK)  # type: ignore[arg-type]


def own_words(problems: list[str]) -> list[str]:
    """Without the names of the wire, which are part of what is signed."""
    return [one for one in problems if not (one.startswith("English: ") and "智能卡口散杂货申报单" in one)]


def ask(page: Page) -> None:
    """From the list to the question of 申报 on a draft."""
    page.goto(DRAFTS)
    page.goto(page.get_by_role("link", name="修改").first.get_attribute("href") or "")
    page.get_by_role("button", name="申报", exact=True).click()
    page.wait_for_url("**/edit/?declare")


def sign(page: Page) -> None:
    page.get_by_label("请输入IC卡密码").fill(DEMO_PIN)
    page.get_by_role("button", name="确认申报").click()


def test_declaring_with_the_card(desk: Desk, box: CardBox) -> None:
    page = desk.sit("demo_operator", axe=True)
    ask(page)
    text = page.locator("#sign-text").inner_text()
    assert text.startswith("智能卡口散杂货申报单\n业务功能 Function：ADD 新增申报\n申报版本 Version：1\n")
    picture(page, "signing-question")
    assert own_words(problems_of(page)) == []

    box.put(OTHER)
    sign(page)
    expect(page.get_by_text(f"当前卡号 {OTHER} 与用户注册信息卡号 {BOUND} 不一致，无法进行申报", exact=True)).to_be_visible()
    picture(page, "signing-other-card")
    assert page.url.endswith("/edit/?declare")

    box.put(BOUND)
    sign(page)
    page.wait_for_url(re.compile(r"/smartgate/filings/\d+/$"))
    section = page.locator("#filing-signatures")
    expect(section.get_by_role("cell", name=BOUND)).to_be_visible()
    picture(page, "signed-filing")
    assert problems_of(page) == []
    with page.expect_download() as download:
        section.get_by_role("link", name=re.compile("签名凭证")).click()
    with zipfile.ZipFile(io.BytesIO(Path(download.value.path()).read_bytes())) as archive:
        assert archive.read("text.txt").decode() == text


def test_without_a_bound_card(desk: Desk) -> None:
    page = desk.sit("demo_admin", axe=True)
    ask(page)
    expect(page.get_by_text("当前账号尚未绑定IC卡，无法进行申报。请先在“我的IC卡”中绑卡。")).to_be_visible()
    expect(page.get_by_role("button", name="确认申报")).to_have_count(0)
    picture(page, "signing-not-bound")
    assert problems_of(page) == []
    page.get_by_role("button", name="返回修改").click()
    expect(page.get_by_role("alertdialog")).to_have_count(0)
    assert page.url.endswith("/edit/")


def test_without_a_script_it_says_what_is_missing(desk: Desk) -> None:
    page = desk.sit("demo_operator", javascript=False, width=PHONE["width"])
    ask(page)
    expect(page.get_by_text("使用IC卡需要浏览器允许运行脚本")).to_be_visible()
    assert problems_without_a_script(page) == []
    page.get_by_role("button", name="确认申报").click()
    expect(page.get_by_text("未检测到 IC 卡或 Ikey，无法进行申报。请插入与当前账号绑定的卡后重试。")).to_be_visible()
