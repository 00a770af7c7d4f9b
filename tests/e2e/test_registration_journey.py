"""The way of manual 2, whole: registering, the first login, granting, and an operator who sees just what was granted."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Desk, Stack
from tests.e2e.people import Firm, ask_for_code, fill_enterprise, log_in_first, log_out, new_firm, register

pytestmark = pytest.mark.e2e

#: How one may sit there: a desk, a phone, without a script, and a phone without a script.
SEATS = {
    "desk": {},
    "phone": {"width": 360, "height": 740},
    "no script": {"javascript": False},
    "phone, no script": {"javascript": False, "width": 360, "height": 740},
}


@pytest.fixture(params=SEATS.values(), ids=SEATS.keys())
def page(desk: Desk, request: pytest.FixtureRequest) -> Page:
    return desk.sit(**request.param)


def grant(page: Page, firm: Firm, application: str) -> None:
    """我的应用权限: one application for the operator, and nothing else."""
    page.goto("/accounts/applications/")
    box = page.get_by_role("checkbox", name=f"{firm.operator.full_name} {application}")
    expect(box).not_to_be_checked()
    box.check()
    page.get_by_role("button", name="保存").click()
    expect(page.get_by_role("checkbox", name=f"{firm.operator.full_name} {application}")).to_be_checked()


@pytest.mark.covers("ACC-01", "ACC-02", "ACC-03", "ACC-04", "ACC-05", "ACC-07", "ACC-08", "ACC-10", "ACC-13", "PRT-01", "PRT-08")
def test_from_the_home_page_to_an_operator_who_sees_just_what_was_granted(page: Page, stack: Stack) -> None:
    firm = new_firm()
    register(page, stack, firm)

    # The operator, before anything was granted: in, and nothing to use.
    log_in_first(page, stack, firm.operator)
    page.goto("/smartgate/filings/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("没有打开此页面的权限")
    page.goto("/")
    log_out(page)

    log_in_first(page, stack, firm.administrator)
    page.goto("/accounts/operators/")
    expect(page.get_by_role("row").filter(has_text=firm.operator.username)).to_be_visible()
    grant(page, firm, "智能卡口散杂货")
    log_out(page)

    # Next time without 账号验证.
    page.goto("/accounts/login/")
    page.get_by_label("用户名").fill(firm.operator.username.upper())
    page.get_by_label("密码").fill(firm.operator.password)
    page.get_by_label("验证码").fill("PASSED")
    page.get_by_role("button", name="登录", exact=True).click()
    page.wait_for_url(lambda url: "/accounts/" not in url)
    entries = page.locator(".menu-group").all_inner_texts()
    page.goto("/smartgate/filings/")
    entries = [text.strip() for text in page.locator(".menu-group").all_inner_texts()]
    assert entries == ["智能卡口散杂货", "操作员账号信息管理"]
    page.goto("/accounts/operators/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("没有打开此页面的权限")


@pytest.mark.covers("ACC-05")
def test_an_enterprise_that_is_registered_is_sent_to_its_administrator(desk: Desk, stack: Stack) -> None:
    firm, page = new_firm(), desk.sit()
    register(page, stack, firm)
    other = desk.sit()
    other.goto("/accounts/register/")
    fill_enterprise(other, firm)
    expect(other.get_by_role("alert")).to_contain_text("已注册")
    expect(other.get_by_role("alert")).to_contain_text("管理员")
    expect(other.get_by_label("企业名称")).to_have_value(firm.name)


@pytest.mark.covers("ACC-01", "ACC-02")
def test_an_interrupted_registration_goes_on_where_it_was(desk: Desk, stack: Stack) -> None:
    firm, page = new_firm(), desk.sit()
    page.goto("/accounts/register/")
    fill_enterprise(page, firm)
    page.get_by_label("登录用户名").fill(firm.administrator.username)
    page.locator("#id_password1").fill(firm.administrator.password)
    page.locator("#id_password2").fill(firm.administrator.password)
    page.get_by_label("姓名").fill(firm.administrator.full_name)
    page.get_by_label("身份证号").fill(firm.administrator.id_no)
    page.get_by_label("手机号").fill(firm.administrator.mobile)
    page.get_by_label("邮箱").fill(firm.administrator.email)
    page.get_by_label("验证码").fill(ask_for_code(page, stack, firm.administrator, "用户注册"))
    page.get_by_role("button", name="下一步").click()
    expect(page.get_by_label("货物申报")).to_be_visible()
    # The window is closed and opened again.
    later = page.context.new_page()
    page.close()
    later.goto("/accounts/register/")
    expect(later.get_by_label("货物申报")).to_be_visible()
    later.get_by_role("button", name="上一步").click()
    expect(later.get_by_label("登录用户名")).to_have_value(firm.administrator.username)
    expect(later.locator("#id_password1")).to_have_value("")
    later.get_by_role("button", name="上一步").click()
    expect(later.get_by_label("企业名称")).to_have_value(firm.name)
