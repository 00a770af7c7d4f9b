"""Pages that no address alone opens, looked at as test_every_page.py looks at the others: steps of a way, and their errors.

Those of 登录安全 are in test_second_factor.py, those of 中央标准版 in test_single_sign_on.py.
"""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Desk, Stack
from tests.e2e.looks import problems_of, problems_without_a_script
from tests.e2e.people import PASSED, Person, ask_for_code, fill_enterprise, fill_services, fill_user, new_firm, new_person

pytestmark = [pytest.mark.e2e, pytest.mark.covers("PRT-08")]

Look = Callable[[str], None]


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def page(desk: Desk, request: pytest.FixtureRequest) -> Page:
    """A window with axe, or one without a script as wide as a phone."""
    return desk.sit(axe=True) if request.param else desk.sit(javascript=False, width=360, height=740)


@pytest.fixture
def problems() -> list[str]:
    """What was found on the way."""
    return []


@pytest.fixture
def look(page: Page, problems: list[str], request: pytest.FixtureRequest) -> Look:
    """Look at the page that is open; says where it was."""
    of = problems_of if request.node.callspec.params["page"] else problems_without_a_script

    def at(what: str) -> None:
        problems.extend(f"{what}: {one}" for one in of(page))

    return at


def press(page: Page, name: str) -> None:
    """A button of the page itself, not of its frame."""
    page.locator("main").get_by_role("button", name=name, exact=True).last.click()


def first_login(page: Page, person: Person) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("用户名").fill(person.username)
    page.get_by_label("密码").fill(person.password)
    page.get_by_label("验证码").fill(PASSED)
    press(page, "登录")


@pytest.mark.covers("ACC-01", "ACC-02", "ACC-03", "ACC-04")
def test_registration_and_first_login(page: Page, look: Look, problems: list[str], stack: Stack) -> None:
    firm = new_firm()
    page.goto("/accounts/register/")
    press(page, "下一步")
    expect(page.get_by_role("alert")).to_be_visible()
    look("企业信息 with errors")
    fill_enterprise(page, firm)
    expect(page.get_by_label("登录用户名")).to_be_visible()
    look("用户信息")
    press(page, "下一步")
    expect(page.get_by_role("alert")).to_be_visible()
    look("用户信息 with errors")
    fill_user(page, stack, firm.administrator)
    expect(page.get_by_label("货物申报")).to_be_visible()
    look("业务开通")
    page.get_by_label("货物申报").check()
    press(page, "注册")
    expect(page.get_by_role("alert")).to_be_visible()
    look("业务开通 with errors")
    fill_services(page)
    expect(page.get_by_text("是否继续注册本公司其他用户")).to_be_visible()
    look("继续")
    press(page, "取消")
    expect(page.get_by_role("heading", name="恭喜您注册成功！")).to_be_visible()
    look("注册完成")
    first_login(page, firm.administrator)
    expect(page.get_by_text("请通过预留的手机号码，验证账户")).to_be_visible()
    look("账号验证")
    page.get_by_label("验证码").fill("00000")
    press(page, "下一步")
    expect(page.get_by_role("alert")).to_be_visible()
    look("账号验证 with errors")
    ask_for_code(page, stack, firm.administrator, "账号验证")
    look("账号验证 with a code on its way")
    assert problems == []


@pytest.mark.covers("ACC-07")
def test_forgotten_password(page: Page, look: Look, problems: list[str]) -> None:
    nobody = new_person("无此人")
    page.goto("/accounts/password/forgotten/")
    press(page, "下一步")
    expect(page.get_by_role("alert")).to_be_visible()
    look("忘记密码 with errors")
    page.get_by_label("用户名").fill(nobody.username)
    page.get_by_label("手机号").fill(nobody.mobile)
    page.get_by_label("验证码").fill(PASSED)
    press(page, "下一步")
    expect(page.get_by_label("手机验证码")).to_be_visible()
    look("重置密码")
    page.get_by_label("手机验证码").fill("000000")
    page.locator("#id_new_password1").fill("Bohai2026")
    page.locator("#id_new_password2").fill("Bohai2027")
    page.locator("main form button").last.click()
    expect(page.get_by_role("alert")).to_be_visible()
    look("重置密码 with errors")
    assert problems == []


@pytest.mark.covers("ACC-07")
def test_login_that_is_refused(page: Page, look: Look, problems: list[str]) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("用户名").fill("nobody1")
    page.get_by_label("密码").fill("Bohai2026")
    page.get_by_label("验证码").fill(PASSED)
    press(page, "登录")
    expect(page.get_by_role("alert")).to_be_visible()
    look("用户登录 with an error")
    assert problems == []
