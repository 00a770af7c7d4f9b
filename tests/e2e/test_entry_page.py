"""The entry page in a real browser: keyboard entry, conditional rules, body lines, kept drafts; with and without a script."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.conftest import PASSWORD
from tests.core.forms.example import SAVED

AXE = Path(settings.BASE_DIR) / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [pytest.mark.e2e, pytest.mark.urls("tests.core.forms.urls"), pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright's synchronous face runs an event loop in this thread; Django would refuse the database there.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(autouse=True)
def _nothing_saved() -> Iterator[None]:
    SAVED.clear()
    yield
    SAVED.clear()


def signed_in(browser: Browser, live_server: LiveServer, user: User, **options: Any) -> BrowserContext:
    """A browser window in which the user is logged in."""
    client = Client()
    client.force_login(user)
    context = browser.new_context(base_url=live_server.url, locale="zh-CN", **options)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": live_server.url}])
    context.set_default_timeout(10_000)
    return context


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, operator: User) -> Iterator[Page]:
    context = signed_in(browser, live_server, operator)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if "Content Security Policy" in message.text else None)
    yield page
    context.close()
    assert troubles == []


@pytest.fixture
def plain_page(browser: Browser, live_server: LiveServer, operator: User) -> Iterator[Page]:
    """A page in a browser that runs no script."""
    context = signed_in(browser, live_server, operator, java_script_enabled=False)
    yield context.new_page()
    context.close()


def enter(page: Page, *words: str) -> None:
    """Type each word and press Enter after it; an empty word is Enter alone."""
    for word in words:
        page.keyboard.type(word)
        page.keyboard.press("Enter")


def fill_header_by_keyboard(page: Page, transport: str) -> None:
    """From the first field of the header to the first field of the line, with nothing but keys."""
    expect(page.locator("#id_customs_code")).to_be_focused()
    page.keyboard.type("ldyw")
    expect(page.get_by_role("option", name="连大窑湾")).to_be_visible()
    enter(page, "", "车牌", "辽B12345", "bg", transport, "i", "12500.5", "")


@pytest.mark.covers("PRT-05", "PRT-04")
def test_a_filing_is_entered_by_keyboard_alone(page: Page) -> None:
    page.goto("/entry/")
    fill_header_by_keyboard(page, "2")
    expect(page.locator("#id_customs_code")).to_have_value("0908 连大窑湾")
    expect(page.locator("#id_transport_mode")).to_have_value("2 水路")
    expect(page.locator("#id_line-object_type")).to_be_focused()
    # A container at sea: the bill's own fields are grey and skipped.
    page.keyboard.press("Space")
    enter(page, "", "CSQU3054383", "远洋号", "026W", "bg")
    expect(page.locator("#id_line-container_no_1")).to_be_focused()
    enter(page, "", "第一行")
    expect(page.locator("#line-1")).to_contain_text("CSQU3054383")
    # A bill: its type and weight are required now.
    expect(page.locator("#id_line-object_type")).to_be_focused()
    enter(page, "b", "BL-1", "远洋号", "026W", "bg", "1", "800", "", "")
    expect(page.locator("#line-2")).to_contain_text("提单BL-1")
    page.locator("button[value=declare]").press("Enter")
    expect(page.get_by_role("alertdialog")).to_contain_text("是否要申报")
    expect(page.get_by_role("button", name="确认申报")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/saved/")
    [(event, header, lines)] = SAVED
    assert event == "declare"
    assert header["customs_code"] == "0908"
    assert header["bind_key_info"] == "辽B12345"
    assert [line["object_type"] for line in lines] == ["C", "B"]
    assert lines[0]["pickup_weight"] is None
    assert str(lines[1]["pickup_weight"]) == "800"


@pytest.mark.covers("PRT-05")
def test_a_code_field_opens_narrows_moves_and_closes(page: Page) -> None:
    page.goto("/entry/")
    field = page.locator("#id_bind_key_type")
    field.focus()
    page.keyboard.press("Space")
    options = page.get_by_role("option")
    expect(options).to_have_count(4)
    expect(field).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).to_have_text("VE电子车牌号")
    page.keyboard.press("Escape")
    expect(options).to_have_count(0)
    expect(field).to_have_value("")
    for typed, found in [("ic", "ICIC卡"), ("txm", "BC条形码"), ("电子", "VE电子车牌号")]:
        page.keyboard.type(typed)
        expect(options).to_have_count(1)
        expect(options).to_have_text(found)
        page.keyboard.press("Escape")
    page.keyboard.type("没有这种")
    expect(options).to_have_text("没有匹配的代码")
    page.keyboard.press("Enter")
    expect(field).to_be_focused()


@pytest.mark.covers("PRT-05")
def test_enter_waits_for_a_table_that_is_looked_up(page: Page) -> None:
    page.goto("/entry/")
    enter(page, "0940")
    expect(page.locator("#id_bind_key_type")).to_be_focused()
    expect(page.locator("#id_customs_code")).to_have_value("0940 营口海关")
    assert page.locator("[name=customs_code]").input_value() == "0940"


@pytest.mark.covers("PRT-04")
def test_rules_grey_and_require_while_one_types(page: Page) -> None:
    page.goto("/entry/")
    info, vessel = page.locator("#id_bind_key_info"), page.locator("#id_line-vessel_name")
    expect(info).to_be_disabled()
    page.locator("#id_bind_key_type").focus()
    enter(page, "vn")
    expect(info).to_be_focused()
    expect(info).to_have_attribute("aria-required", "true")
    vessel.fill("远洋号")
    page.locator("#id_transport_mode").focus()
    enter(page, "4")
    expect(vessel).to_be_disabled()
    expect(vessel).to_have_value("")
    page.locator("#id_transport_mode").focus()
    enter(page, "2")
    expect(vessel).to_be_enabled()
    expect(vessel).to_have_attribute("aria-required", "true")
    page.locator("#id_remark").focus()
    expect(page.get_by_text("最多1000个字符").first).to_be_in_viewport()


@pytest.mark.covers("PRT-04", "PRT-07")
def test_errors_are_listed_and_lead_to_their_fields(page: Page) -> None:
    page.goto("/entry/")
    page.locator("#id_customs_code").fill("9999")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="暂存").click()
    summary = page.get_by_role("alert").filter(has_text="处需要更正")
    expect(summary).to_be_focused()
    expect(page.locator("#id_customs_code")).to_have_value("9999")
    summary.get_by_role("link", name="代码“9999”不在关区代码表中").click()
    expect(page.locator("#id_customs_code")).to_be_focused()
    expect(page.locator("#id_customs_code")).to_have_attribute("aria-invalid", "true")
    assert SAVED == []


@pytest.mark.covers("PRT-05", "PRT-07")
def test_a_wrong_line_stays_in_the_editor_until_it_is_right(page: Page) -> None:
    page.goto("/entry/")
    page.locator("#id_line-object_type").focus()
    enter(page, "c")
    page.locator("#id_line-remark").press("Enter")
    expect(page.locator("#id_line-object_id")).to_be_focused()
    expect(page.locator("#entry-errors")).to_contain_text("表体第1行 绑定对象ID：绑定对象类型为“C 集装箱”时，“绑定对象ID”必填。")
    enter(page, "CSQU3054383", "", "026W", "bg", "", "")
    expect(page.locator("#line-1")).to_contain_text("CSQU3054383")
    expect(page.locator("#entry-errors")).to_be_empty()
    page.get_by_role("button", name="修改第 1 行").click()
    expect(page.locator("#id_line-object_type")).to_have_value("C 集装箱")
    page.locator("#id_line-voyage_no").fill("027E")
    page.get_by_role("button", name="保存", exact=True).click()
    expect(page.locator("#line-1")).to_contain_text("027E")
    page.get_by_label("选择第 1 行").check()
    page.get_by_role("button", name="删除").click()
    expect(page.locator("#line-1")).to_have_count(0)


@pytest.mark.covers("PRT-03")
def test_what_was_typed_comes_back_with_the_page(page: Page) -> None:
    page.goto("/entry/")
    fill_header_by_keyboard(page, "4")
    enter(page, "c", "CSQU3054383", "026W", "bg", "", "")
    expect(page.locator("#line-1")).to_be_visible()
    enter(page, "b")
    page.keyboard.type("BL-7")
    page.get_by_role("link", name="首页").click()
    page.wait_for_url("**/")
    page.goto("/entry/")
    expect(page.get_by_role("status").filter(has_text="已恢复未保存的内容")).to_be_visible()
    expect(page.locator("#id_bind_key_info")).to_have_value("辽B12345")
    expect(page.locator("#id_customs_code")).to_have_value("0908 连大窑湾")
    expect(page.locator("#line-1")).to_contain_text("CSQU3054383")
    expect(page.locator("#id_line-object_id")).to_have_value("BL-7")
    assert "csrf" not in json.dumps(page.evaluate("Object.entries(sessionStorage)"))
    page.get_by_role("button", name="放弃本行修改").click()
    expect(page.locator("#id_line-object_id")).to_have_value("")
    page.get_by_role("button", name="暂存").click()
    page.wait_for_url("**/saved/")
    page.goto("/entry/")
    expect(page.locator("#id_bind_key_info")).to_have_value("")
    expect(page.get_by_text("已恢复未保存的内容")).to_have_count(0)


@pytest.mark.covers("PRT-03")
@pytest.mark.parametrize("button", ["保存", "暂存", "放弃本行修改"])
def test_what_was_typed_outlives_the_session(page: Page, operator: User, button: str) -> None:
    page.goto("/work/")
    fill_header_by_keyboard(page, "4")
    enter(page, "c", "CSQU3054383", "026W", "bg", "", "")
    expect(page.locator("#line-1")).to_be_visible()
    page.get_by_role("button", name="修改第 1 行").click()
    expect(page.locator("#id_line-voyage_no")).to_have_value("026W")
    page.locator("#id_line-voyage_no").fill("027E")
    Session.objects.all().delete()
    cache.clear()
    questions: list[str] = []
    page.on("dialog", lambda dialog: (questions.append(dialog.message), dialog.accept()))
    page.get_by_role("button", name=button, exact=True).click()
    page.wait_for_url("**/accounts/login/?next=/work/")
    # All of the page, and only once: not the login page in the place of the lines.
    expect(page.locator("header.top-bar")).to_have_count(1)
    page.get_by_label("用户名").fill(operator.username)
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_label("验证码").fill("PASSED")
    page.get_by_label("验证码").press("Enter")
    page.wait_for_url("**/work/")
    expect(page.get_by_role("status").filter(has_text="已恢复未保存的内容")).to_be_visible()
    expect(page.locator("#id_bind_key_info")).to_have_value("辽B12345")
    expect(page.locator("#line-1")).to_contain_text("026W")
    expect(page.locator("#id_line-voyage_no")).to_have_value("027E")
    assert questions == []
    page.get_by_role("button", name="暂存").click()
    page.wait_for_url("**/saved/")
    assert [line["voyage_no"] for line in SAVED[0][2]] == ["027E"]


def type_and_keep(page: Page) -> None:
    """Type into the line of a new page; what the browser does when a page goes keeps it at once."""
    page.goto("/entry/")
    page.locator("#id_line-voyage_no").fill("026W")
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert "026W" in page.evaluate("Object.values(sessionStorage).join()")


def test_an_answer_without_a_body_takes_the_place_of_none(page: Page) -> None:
    type_and_keep(page)
    told: list[str] = []
    page.on("dialog", lambda dialog: (told.append(dialog.message), dialog.accept()))
    page.route("**/entry/", lambda route: route.fulfill(content_type="text/html", body="<h1>some other page</h1>"))
    with page.expect_event("dialog"):
        page.get_by_role("button", name="保存", exact=True).click()
    expect(page.locator("#id_line-voyage_no")).to_have_value("026W")
    assert "已录入的内容仍在页面上" in told[0]


@pytest.mark.parametrize("gone", ["#entry-lines", "#entry-form"])
def test_a_page_without_its_body_does_not_overwrite_the_draft(page: Page, gone: str) -> None:
    type_and_keep(page)
    page.evaluate(f"document.querySelector('{gone}').remove()")
    page.get_by_role("link", name="首页").click()
    page.wait_for_url("**/")
    page.goto("/entry/")
    expect(page.locator("#id_line-voyage_no")).to_have_value("026W")


def test_a_draft_that_cannot_be_drawn_waits(page: Page) -> None:
    type_and_keep(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.route("**/entry/", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    with page.expect_event("dialog"):
        page.reload()
    page.locator("#id_remark").fill("半途")
    page.get_by_role("link", name="首页").click()
    page.wait_for_url("**/")
    page.unroute("**/entry/")
    page.goto("/entry/")
    expect(page.locator("#id_line-voyage_no")).to_have_value("026W")


@pytest.mark.covers("PRT-03")
def test_a_draft_ends_with_its_page_and_with_the_session(page: Page) -> None:
    page.goto("/entry/")
    page.locator("#id_remark").fill("半途")
    answers = iter([False, True])
    page.on("dialog", lambda dialog: dialog.accept() if next(answers) else dialog.dismiss())
    page.get_by_role("button", name="关闭 散杂货新增").click()
    expect(page.locator("#id_remark")).to_have_value("半途")
    page.get_by_role("button", name="关闭 散杂货新增").click()
    page.wait_for_url("**/")
    page.goto("/entry/")
    expect(page.locator("#id_remark")).to_have_value("")
    page.locator("#id_remark").fill("又一半")
    page.get_by_role("link", name="operator1").hover()
    page.get_by_role("button", name="退出登录").click()
    page.wait_for_url("**/accounts/login/")
    assert page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('draft:'))") == []


@pytest.mark.covers("PRT-08")
def test_everything_works_without_a_script(plain_page: Page) -> None:
    page = plain_page
    page.goto("/entry/")
    page.get_by_label("关区代码").fill("连大窑湾")
    page.get_by_label("绑定介质类型").select_option("VN")
    page.get_by_label("绑定介质关键信息").fill("辽B12345")
    page.locator("[name=business_type]").select_option("1000000000")
    page.get_by_label("运输方式").select_option("2")
    page.get_by_label("进出口标志").select_option("I")
    page.get_by_label("车辆重量").fill("9000")
    page.get_by_label("绑定对象类型").select_option("C")
    page.get_by_label("绑定对象ID").fill("CSQU3054383")
    page.get_by_label("船名").fill("远洋号")
    page.locator("[name=line-business_type]").select_option("1000000000")
    # Enter without a script is the line's 保存, never 申报; what is missing is said and nothing is lost.
    page.get_by_label("船名").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("航次/货物运输批次号：此项必填。")
    expect(page.get_by_label("绑定对象ID")).to_have_value("CSQU3054383")
    page.get_by_label("航次").fill("026W")
    page.get_by_label("航次").press("Enter")
    expect(page.locator("#line-1")).to_contain_text("026W")
    expect(page.get_by_label("关区代码")).to_have_value("连大窑湾")
    page.get_by_role("button", name="修改第 1 行").click()
    page.get_by_label("航次").fill("027E")
    # 申报 takes the line that is still in the editor along.
    page.get_by_role("button", name="申报").click()
    page.get_by_role("button", name="确认申报").click()
    page.wait_for_url("**/saved/")
    [(event, header, lines)] = SAVED
    assert (event, header["customs_code"], [line["voyage_no"] for line in lines]) == ("declare", "0908", ["027E"])


@pytest.mark.covers("PRT-08")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 360])
def test_axe_finds_nothing_and_nothing_sticks_out(
    browser: Browser, live_server: LiveServer, operator: User, width: int, scheme: Any
) -> None:
    context = signed_in(browser, live_server, operator, viewport={"width": width, "height": 800}, color_scheme=scheme)
    context.add_init_script(path=AXE)
    page = context.new_page()

    def check() -> None:
        assert page.evaluate("axe.run().then((found) => found.violations.map((one) => [one.id, one.nodes.map((node) => node.html)]))") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width

    page.goto("/entry/")
    page.locator("#id_transport_mode").focus()
    page.keyboard.press("Space")
    check()
    page.locator("#id_line-object_type").focus()
    enter(page, "c", "CSQU3054383", "", "026W", "bg", "", "")
    expect(page.locator("#line-1")).to_be_visible()
    page.get_by_role("button", name="暂存").click()
    expect(page.locator("#entry-errors")).to_contain_text("处需要更正")
    check()
    page.goto("/stored/")
    expect(page.get_by_role("button", name="暂存")).to_be_disabled()
    check()
    context.close()
