"""Second factors in a browser (ACC-14): 动态口令 without a script, a passkey with the browser's own authenticator."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.accounts.factors import code_of
from tests.e2e.conftest import PASSWORD, Desk
from tests.e2e.looks import OVERFLOW, problems_of

pytestmark = [pytest.mark.e2e, pytest.mark.covers("ACC-14")]
SECURITY = "/accounts/security/"


def secret_on(page: Page) -> str:
    return "".join(re.findall(r"<code>([A-Z2-7]{4})</code>", page.content()))


def first_step(page: Page, user: str) -> None:
    """Name, password and picture code; stops before the second step."""
    page.goto("/accounts/login/")
    page.get_by_label("用户名").fill(user)
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_label("验证码").fill("PASSED")
    page.get_by_label("验证码").press("Enter")


def prove_again(page: Page) -> None:
    page.get_by_label("登录密码").fill(PASSWORD)
    page.get_by_role("button", name="继续").click()


def deactivate_totp(page: Page) -> None:
    page.goto(SECURITY)
    page.get_by_role("link", name="停用动态口令").click()
    page.get_by_role("button", name="停用动态口令").click()
    expect(page.get_by_text("动态口令已停用")).to_be_visible()


def test_totp_without_a_script_at_phone_width(desk: Desk) -> None:
    page = desk.sit("demo_ccpit", javascript=False, width=360, height=740)
    page.goto(SECURITY)
    page.get_by_role("link", name="设置动态口令").click()
    prove_again(page)
    expect(page.get_by_role("img", name="动态口令的二维码")).to_be_visible()
    secret = secret_on(page)
    assert page.evaluate(OVERFLOW) == []
    page.get_by_label("动态口令").fill("12345")
    page.get_by_role("button", name="启用动态口令").click()
    expect(page.get_by_role("alert")).to_contain_text("验证未通过")
    page.get_by_label("动态口令").fill(code_of(secret, steps=-1))
    page.get_by_role("button", name="启用动态口令").click()
    expect(page.get_by_role("heading", name="恢复代码", level=1)).to_be_visible()
    assert page.evaluate(OVERFLOW) == []
    codes = page.locator(".recovery-codes code").all_inner_texts()
    assert len(codes) == 10
    try:
        other = desk.sit(javascript=False, width=360, height=740)
        first_step(other, "demo_ccpit")
        expect(other.get_by_role("heading", name="登录第二步")).to_be_visible()
        assert other.evaluate(OVERFLOW) == []
        other.get_by_role("button", name="取消，返回登录").click()
        first_step(other, "demo_ccpit")
        other.get_by_label("动态口令或恢复代码").fill(codes[0])
        other.locator("main").get_by_role("button", name="登录", exact=True).click()
        expect(other.locator(".user-menu-name")).to_be_visible()
        other.goto(SECURITY)
        expect(other.get_by_text("剩余 9 个")).to_be_visible()
        # Ended from the first window, this one is told so.
        page.goto(f"{SECURITY}sessions/")
        page.locator("summary", has_text="退出其他全部").click()
        page.get_by_role("button", name="确定").last.click()
        expect(page.get_by_text("其他设备上的登录已全部退出")).to_be_visible()
        other.goto(SECURITY)
        expect(other.get_by_text("此登录已在其他设备上被退出")).to_be_visible()
    finally:
        deactivate_totp(page)


def test_every_page_of_totp_is_looked_at(desk: Desk) -> None:
    page, problems = desk.sit("demo_terminal", axe=True), []
    page.goto(SECURITY)
    page.get_by_role("link", name="设置动态口令").click()
    prove_again(page)
    expect(page.get_by_role("img", name="动态口令的二维码")).to_be_visible()
    problems += problems_of(page)
    secret = secret_on(page)
    page.get_by_label("动态口令").fill("12345")
    page.get_by_role("button", name="启用动态口令").click()
    expect(page.get_by_role("alert")).to_contain_text("验证未通过")
    problems += problems_of(page)
    page.get_by_label("动态口令").fill(code_of(secret, steps=-1))
    page.get_by_role("button", name="启用动态口令").click()
    expect(page.get_by_role("heading", name="恢复代码", level=1)).to_be_visible()
    try:
        problems += problems_of(page)
        page.goto(SECURITY)
        problems += problems_of(page)
        page.goto("/accounts/2fa/recovery-codes/generate/")
        problems += problems_of(page)
        other = desk.sit(axe=True)
        first_step(other, "demo_terminal")
        expect(other.get_by_role("heading", name="登录第二步")).to_be_visible()
        other.get_by_label("动态口令或恢复代码").fill("1")
        other.locator("main").get_by_role("button", name="登录", exact=True).click()
        expect(other.get_by_role("alert")).to_be_visible()
        problems += problems_of(other)
        page.goto("/accounts/2fa/reauthenticate/")
        problems += problems_of(page)
        page.goto("/accounts/2fa/totp/deactivate/")
        problems += problems_of(page)
    finally:
        deactivate_totp(page)
    assert problems == []


@pytest.fixture
def with_authenticator(desk: Desk) -> Page:
    """A window whose browser has a platform authenticator; the host is a name, since an address of numbers can have no passkey."""
    page = desk.sit(host="localhost", axe=True)
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    return page


def test_a_passkey_is_added_and_opens_the_door_by_itself(with_authenticator: Page) -> None:
    page, problems = with_authenticator, []
    first_step(page, "demo_customs")
    page.wait_for_url(lambda url: "/accounts/login/" not in url)
    page.goto(SECURITY)
    page.get_by_role("link", name="添加通行密钥").click()
    problems += problems_of(page)
    prove_again(page)
    problems += problems_of(page)
    page.get_by_label("名称").fill("值班电脑")
    page.get_by_role("button", name="添加", exact=True).click()
    expect(page.get_by_text("通行密钥已添加")).to_be_visible()
    problems += problems_of(page)
    try:
        page.get_by_role("link", name="已保存，返回登录安全").click()
        expect(page.get_by_text("值班电脑")).to_be_visible()
        problems += problems_of(page)
        page.get_by_role("link", name="改名 值班电脑").click()
        problems += problems_of(page)
        page.context.clear_cookies()
        page.goto("/accounts/login/?next=/accounts/security/")
        page.get_by_role("button", name="通行密钥登录").click()
        expect(page.get_by_text("值班电脑")).to_be_visible()
        # As the second step after the password, too.
        page.context.clear_cookies()
        first_step(page, "demo_customs")
        expect(page.get_by_role("heading", name="登录第二步")).to_be_visible()
        problems += problems_of(page)
        page.get_by_role("button", name="使用通行密钥").click()
        page.wait_for_url(lambda url: "/accounts/" not in url)
    finally:
        page.goto(SECURITY)
        page.get_by_role("link", name="删除 值班电脑").click()
        if page.get_by_role("link", name="通行密钥", exact=True).count():
            page.get_by_role("link", name="通行密钥", exact=True).click()
            problems += problems_of(page)
            page.get_by_role("button", name="使用通行密钥").click()
        problems += problems_of(page)
        page.get_by_role("button", name="删除通行密钥").click()
        expect(page.get_by_text("通行密钥已删除")).to_be_visible()
    assert problems == []


def test_an_address_of_numbers_says_why_there_is_no_passkey(desk: Desk) -> None:
    page = desk.sit("demo_customs")
    page.goto("/accounts/2fa/webauthn/add/")
    prove_again(page)
    expect(page.get_by_role("alert")).to_contain_text("通行密钥需要通过域名")
    expect(page.get_by_role("button", name="添加", exact=True)).to_be_hidden()
    page.goto("/accounts/login/")
    expect(page.get_by_role("button", name="通行密钥登录")).to_be_hidden()
