"""中央标准版 in a browser (ACC-09), over the whole stack: the first time, the second time, binding, logout at both.

Each test has a central account of its own: what one registers, the others find registered.
"""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PASSWORD, Desk, Stack
from tests.e2e.looks import OVERFLOW, at_the_desk, axe, on_a_phone, problems_of

pytestmark = [pytest.mark.e2e, pytest.mark.covers("ACC-09")]

LOCAL_PASSWORD = "Harbour2027"
LIST = "/smartgate/filings/"
THERE = re.compile(r"^http://127\.0\.0\.1:\d+/login\?")


def to_the_standard_edition(page: Page, target: str = LIST) -> None:
    """From a page of the portal to its login page, and by 中央标准版 to the other side."""
    page.goto(target)
    page.get_by_role("button", name="中央标准版").click()


def sign_on(page: Page, username: str, target: str = LIST) -> None:
    """And log in there."""
    to_the_standard_edition(page, target)
    expect(page).to_have_url(THERE)
    expect(page.get_by_text("中国国际贸易单一窗口", exact=True)).to_be_visible()
    page.get_by_label("用户名").fill(username)
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录", exact=True).click()


def register(page: Page, username: str) -> None:
    """首次登录设置, 快速注册, up to the page that says that it is done."""
    expect(page.get_by_role("heading", name="首次登录设置")).to_be_visible()
    page.get_by_label("快速注册").check()
    page.get_by_role("button", name="下一步").click()
    expect(page.get_by_role("heading", name="快速注册", exact=True)).to_be_visible()
    page.get_by_label("地方用户名").fill(username)
    page.locator("#id_password1").fill(LOCAL_PASSWORD)
    page.locator("#id_password2").fill(LOCAL_PASSWORD)
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", name="快速注册成功")).to_be_visible()


def log_out(page: Page) -> None:
    """退出登录; the menu needs no script."""
    page.locator(".user-menu > button").focus()
    page.get_by_role("button", name="退出登录").click()
    expect(page).to_have_url(re.compile(r"/accounts/login/$"))
    expect(page.get_by_text("您已退出本平台和中央标准版。")).to_be_visible()


@pytest.mark.parametrize(
    ("javascript", "username", "local"), [(True, "sy_admin", "shenyang01"), (False, "jz_admin", "jinzhou01")], ids=["script", "no script"]
)
def test_the_first_time_the_second_time_and_out_of_both(desk: Desk, javascript: bool, username: str, local: str) -> None:
    page = desk.sit(javascript=javascript)
    sign_on(page, username, f"{LIST}?status=draft")
    register(page, local)
    page.get_by_role("link", name="继续访问").click()
    expect(page).to_have_url(re.compile(rf"{re.escape(LIST)}\?status=draft$"))
    log_out(page)
    # Logged out there, too: a login page.
    sign_on(page, username)
    expect(page).to_have_url(re.compile(rf"{re.escape(LIST)}$"))
    # The local account stands by itself.
    log_out(page)
    page.get_by_label("用户名").fill(local)
    page.get_by_label("密码").fill(LOCAL_PASSWORD)
    page.get_by_label("验证码").fill("PASSED")
    page.get_by_role("button", name="登录", exact=True).click()
    expect(page.locator(".user-menu > button")).to_be_visible()


def test_signed_in_over_there_no_login_page_here_and_out_there_is_out_here(desk: Desk) -> None:
    page = desk.sit()
    sign_on(page, "dd_admin")
    register(page, "dandong01")
    elsewhere = page.context.new_page()
    expect(page.get_by_role("link", name="继续访问")).to_be_visible()
    # The portal's session goes, that of the standard edition stays.
    page.context.clear_cookies(name="portal_session")
    to_the_standard_edition(page)
    expect(page).to_have_url(re.compile(rf"{re.escape(LIST)}$"))
    # From the standard edition's own page, without a word.
    page.context.clear_cookies(name="portal_session")
    issuer = there(desk)
    elsewhere.goto(f"{issuer}/")
    elsewhere.get_by_role("link", name="辽宁国际贸易单一窗口").click()
    expect(elsewhere.locator(".user-menu > button")).to_be_visible()
    elsewhere.goto(f"{issuer}/")
    elsewhere.get_by_role("button", name="退出登录").click()
    expect(elsewhere.get_by_role("heading", name="您尚未登录")).to_be_visible()
    page.goto(LIST)
    expect(page).to_have_url(re.compile("/accounts/login/"))


def there(desk: Desk) -> str:
    """Where the standard edition answers: the frame at the start says so."""
    found = re.search(r"The standard edition and its accounts: (\S+)/", desk.stack.log.read_text())
    assert found
    return found[1]


def to_the_end_of_the_binding(page: Page, password: str) -> None:
    """登录安全, 解除绑定, the password once more, up to the question."""
    page.goto("/accounts/security/")
    page.get_by_role("link", name="解除绑定").click()
    expect(page.get_by_role("heading", name="身份验证", level=1)).to_be_visible()
    page.get_by_label("密码").fill(password)
    page.get_by_role("button", name="继续").click()
    expect(page.get_by_role("heading", name="解除绑定中央标准版账号", level=1)).to_be_visible()


@pytest.mark.parametrize(
    ("javascript", "central", "local"),
    [(True, "dl_operator", "demo_operator"), (False, "dl_admin", "demo_admin")],
    ids=["script", "no script"],
)
def test_binding_the_account_one_has(desk: Desk, javascript: bool, central: str, local: str) -> None:
    page = desk.sit(javascript=javascript)
    sign_on(page, central)
    page.get_by_label("绑定本地已有账户").check()
    page.get_by_role("button", name="下一步").click()
    expect(page.get_by_role("heading", name="绑定本地已有账户")).to_be_visible()
    page.get_by_label("本地用户名").fill(local)
    page.get_by_label("密码").fill("Wrong12345")
    page.get_by_label("验证码").fill("PASSED")
    page.get_by_role("button", name="绑定", exact=True).last.click()
    expect(page.get_by_text("用户名或密码不正确")).to_be_visible()
    expect(page.get_by_label("本地用户名")).to_have_value(local)
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_label("验证码").fill("PASSED")
    page.get_by_role("button", name="绑定", exact=True).last.click()
    expect(page).to_have_url(re.compile(rf"{re.escape(LIST)}$"))
    log_out(page)
    sign_on(page, central)
    expect(page).to_have_url(re.compile(rf"{re.escape(LIST)}$"))
    to_the_end_of_the_binding(page, PASSWORD)
    page.get_by_role("button", name="解除绑定").click()
    expect(page.get_by_text("已解除绑定，今后请使用本地账号登录。")).to_be_visible()
    expect(page.get_by_text("未绑定", exact=True)).to_be_visible()
    log_out(page)
    sign_on(page, central)
    expect(page.get_by_role("heading", name="首次登录设置")).to_be_visible()


def test_every_page_of_the_way_is_looked_at(desk: Desk) -> None:
    page = desk.sit(axe=True)
    problems: list[str] = []

    def look_over_there(what: str) -> None:
        for adjust in (at_the_desk, on_a_phone):
            adjust(page)
            problems.extend(f"{what}: {one}" for one in [*axe(page), *page.evaluate(OVERFLOW)])

    def look(what: str) -> None:
        problems.extend(f"{what}: {one}" for one in problems_of(page))

    to_the_standard_edition(page)
    expect(page).to_have_url(THERE)
    look_over_there("login over there")
    page.get_by_label("用户名").fill("yk_admin")
    page.get_by_label("密码").fill("wrong")
    page.get_by_role("button", name="登录", exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    look_over_there("a wrong password over there")
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录", exact=True).click()
    expect(page.get_by_role("heading", name="首次登录设置", level=1)).to_be_visible()
    look("首次登录设置")
    for path, heading in (("bind/", "绑定本地已有账户"), ("register/", "快速注册")):
        page.goto(f"/accounts/standard-edition/first/{path}")
        expect(page.get_by_role("heading", name=heading, exact=True, level=1)).to_be_visible()
        look(heading)
        page.locator("main form").get_by_role("button").last.click()
        expect(page.get_by_role("alert").first).to_be_visible()
        look(f"{heading} with errors")
    page.goto("/accounts/standard-edition/first/")
    register(page, "yingkou01")
    look("快速注册成功")
    to_the_end_of_the_binding(page, LOCAL_PASSWORD)
    look("解除绑定")
    page.goto("/accounts/security/")
    look("登录安全 with a binding")
    page.goto(f"{there(desk)}/logout")
    look_over_there("logout over there")
    assert problems == []


def test_coming_back_empty_handed(desk: Desk, stack: Stack) -> None:
    page = desk.sit()
    to_the_standard_edition(page)
    page.get_by_role("button", name="取消").click()
    expect(page.get_by_text("您已取消中央标准版登录")).to_be_visible()
    assert urlsplit(page.url).query == f"next={LIST}"
    assert page.url.startswith(stack.url)
