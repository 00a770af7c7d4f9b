"""The main job as a user does it, over the whole stack: from the keyboard to customs' journal and back."""

import io
import json
import re
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.cards import declare_by_keyboard, declare_with_card
from tests.e2e.conftest import Desk, Stack, tab_to

pytestmark = pytest.mark.e2e

#: How long customs may take to be heard on the page, from 申报 on.
CUSTOMS_MS = 10_000
#: How the filing's own page names what customs has taken, and how the query does (M4 §3.1.1.1, §3.2.1).
ACCEPTED, ACCEPTED_IN_QUERY = "海关入库成功", "海关审核通过"
#: Red, green and blue of the page's ground, 0 to 255, whatever way of writing colours the style sheet has.
BACKGROUND = """() => {
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}"""


def accepted_by_customs(stack: Stack, trip_no: str) -> list[dict[str, Any]]:
    """What customs' journal says of one filing."""
    lines = [json.loads(line) for line in stack.journal.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["SureId"] == trip_no]


def enter(page: Page, *words: str) -> None:
    """Type each word and press Enter after it; an empty word is Enter alone."""
    for word in words:
        page.keyboard.type(word)
        page.keyboard.press("Enter")


def numbers_of(page: Page) -> tuple[str, str]:
    """数据中心统一编码 and 车次确认编号 as the page shows them."""
    expect(page.locator("#id_data_center_no")).to_have_text(re.compile(r"^\d{18}$"))
    expect(page.locator("#id_trip_no")).to_have_text(re.compile(r"^\d{6}[0-9A-Z]{13}\d{13}$"))
    return page.locator("#id_data_center_no").inner_text(), page.locator("#id_trip_no").inner_text()


def fill_without_script(page: Page, plate: str, *, bill_no: str = "COSU123456789") -> None:
    """A filing with one line, by plain form controls."""
    page.locator("#id_customs_code").select_option("0908")
    page.locator("#id_bind_key_type").select_option("VN")
    page.locator("#id_bind_key_info").fill(plate)
    page.locator("#id_business_type").select_option("1000000000")
    page.locator("#id_transport_mode").select_option("2")
    page.locator("#id_ie_flag").select_option("I")
    page.locator("#id_vehicle_weight").fill("8600")
    page.locator("#id_trailer_weight").fill("6200.5")
    page.locator("#id_container_weight").fill("0")
    fill_line_without_script(page, bill_no)


def fill_line_without_script(page: Page, bill_no: str) -> None:
    page.locator("#id_line-object_type").select_option("B")
    page.locator("#id_line-object_id").fill(bill_no)
    page.locator("#id_line-vessel_name").fill("新海天")
    page.locator("#id_line-voyage_no").fill("0126W")
    page.locator("#id_line-business_type").select_option("1000000000")
    page.locator("#id_line-bill_type").select_option("1")
    page.locator("#id_line-pickup_weight").fill("31500")


def save_filing(page: Page, plate: str) -> str:
    """A stored draft, entered with the script running; its 车次确认编号."""
    page.goto("/smartgate/filings/new/")
    expect(page.locator("#id_customs_code")).to_be_focused()
    enter(page, "0908")
    expect(page.locator("#id_bind_key_type")).to_be_focused()
    enter(page, "vn", plate, "bg", "2", "i", "", "8600", "6200.5", "0")
    page.locator("#id_line-object_type").focus()
    enter(page, "b", "COSU123456789", "新海天", "0126W", "1000000000", "1", "31500", "", "", "", "", "")
    expect(page.locator("#line-1")).to_contain_text("COSU123456789")
    page.get_by_role("button", name="暂存").click()
    page.wait_for_url("**/edit/")
    return numbers_of(page)[1]


def deletion_of(trip_no: str) -> str:
    """What 删除 asks."""
    return f"是否确认删除该数据？车次确认编号 {trip_no}，删除后不可恢复，只能重新录入，请谨慎操作！"


def row_of(page: Page, plate: str) -> Any:
    """The row of the query page with this plate."""
    return page.get_by_role("row").filter(has=page.get_by_role("cell", name=plate, exact=True))


@pytest.mark.covers("OPS-01", "ACC-07", "SGW-01", "SGW-02", "SGW-03", "SGW-05", "SGW-06", "SGW-07")
@pytest.mark.covers("PRT-03", "PRT-04", "PRT-05", "PRT-06", "RLY-01", "RLY-06")
def test_a_filing_goes_to_customs_and_back_by_keyboard_alone(desk: Desk, stack: Stack, new_plate: Callable[..., str]) -> None:
    plate, page = new_plate(), desk.sit()
    keys = page.keyboard
    # 登录; the page after it is the one asked for.
    page.goto("/smartgate/filings/")
    tab_to(page, "#id_username")
    keys.type("demo_operator")
    tab_to(page, "#id_password")
    keys.type("Demo12345")
    tab_to(page, "#id_captcha_1")
    keys.type("PASSED")
    keys.press("Enter")
    page.wait_for_url("**/smartgate/filings/")
    tab_to(page, ".menu-entry:has-text('新增')")
    keys.press("Enter")
    page.wait_for_url("**/filings/new/")

    # 表头: Space opens the list, pinyin initials narrow it, Enter picks and goes on.
    expect(page.locator("#id_customs_code")).to_be_focused()
    keys.press("Space")
    expect(page.get_by_role("option").first).to_be_visible()
    keys.type("ldyw")
    expect(page.get_by_role("option")).to_have_text(["0908连大窑湾"])
    keys.press("Enter")
    expect(page.locator("#id_customs_code")).to_have_value("0908 连大窑湾")
    expect(page.locator("#id_bind_key_type")).to_be_focused()
    expect(page.locator("#id_bind_key_info")).to_be_disabled()
    keys.press("Space")
    expect(page.get_by_role("option", name="电子车牌号")).to_be_visible()
    enter(page, "cph", plate, "bg", "sl", "jk", "kjzc")
    expect(page.locator("#id_vehicle_flow_type")).to_have_value("02 空进重出")
    expect(page.locator("#id_vehicle_weight")).to_be_focused()
    enter(page, "8600", "6200.5", "0")
    expect(page.locator("#id_remark")).to_be_focused()
    keys.type("散装大豆，键盘录入")
    keys.press("Control+Enter")

    # 表体: Enter in the last field saves the line; what a container's line must not have is grey and passed over.
    expect(page.locator("#id_line-direction")).to_be_focused()
    enter(page, "i", "td", "COSU260001001", "新海天", "0126W", "bg", "1", "31500", "", "", "", "", "第一行")
    expect(page.locator("#line-1")).to_contain_text("COSU260001001")
    expect(page.locator("#id_line-object_type")).to_have_value("")
    enter(page, "i", "jzx", "CSQU3054383", "新海天", "0126W", "bg")
    expect(page.locator("#id_line-container_no_1")).to_be_focused()
    expect(page.locator("#id_line-pickup_weight")).to_be_disabled()
    enter(page, "CSQU3054383", "", "DL000001|DL000002", "", "")
    expect(page.locator("#line-2")).to_contain_text("DL000001|DL000002")
    enter(page, "", "b", "COSU260001002", "新海天", "0126W", "bg", "2", "18000.25", "", "", "", "", "")
    expect(page.locator("#line-3")).to_contain_text("18000.25")

    # 暂存: the numbers appear.
    expect(page.locator("#id_trip_no")).to_be_empty()
    tab_to(page, "button[value=save]", backwards=True)
    keys.press("Enter")
    page.wait_for_url("**/edit/")
    expect(page.get_by_role("status").filter(has_text="暂存成功")).to_be_visible()
    data_center_no, trip_no = numbers_of(page)
    expect(page.locator("#id_status")).to_have_text("暂存")
    expect(page.locator(".line-table tbody tr")).to_have_count(3)
    assert accepted_by_customs(stack, trip_no) == []

    # 申报 asks first and shows what the card will sign; then everything is grey, and the page follows what customs does.
    declare_by_keyboard(page, signs=plate)
    page.evaluate("window.hasNotBeenLoadedAgain = true")
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    assert page.evaluate("window.hasNotBeenLoadedAgain")
    expect(page.get_by_role("button", name="申报")).to_be_disabled()
    expect(page.locator("#entry-form input:not([type=hidden]), #entry-form select, #entry-form textarea")).to_have_count(0)

    # 查询 by plate, 查看回执.
    tab_to(page, ".menu-entry:has-text('查询')")
    keys.press("Enter")
    page.wait_for_url("**/smartgate/filings/")
    tab_to(page, "#id_bind_key_info")
    enter(page, plate)
    expect(page.locator("#listing-results tbody tr")).to_have_count(1)
    expect(row_of(page, plate)).to_contain_text(ACCEPTED_IN_QUERY)
    assert plate in page.evaluate("decodeURIComponent(location.search)")
    tab_to(page, "#listing-results a:has-text('查看回执')")
    keys.press("Enter")
    page.wait_for_url("**/receipts/")
    expect(page.get_by_role("definition").filter(has_text=trip_no)).to_be_visible()
    expect(page.get_by_role("definition").filter(has_text=data_center_no)).to_be_visible()
    receipts = page.locator("main tbody tr")
    expect(receipts).to_have_count(1)
    expect(receipts).to_contain_text("海关入库成功")
    expect(receipts).to_contain_text("已生效")

    [accepted] = accepted_by_customs(stack, trip_no)
    assert accepted["SeqNo"] == data_center_no
    assert accepted["BindKeyInfo"] == plate
    assert (accepted["function"], accepted["version"], accepted["lines"]) == ("ADD", 1, 3)


@pytest.mark.covers("PRT-08", "ACC-07", "SGW-01", "SGW-02", "SGW-03", "SGW-05", "SGW-06", "SGW-07", "RLY-01", "RLY-06")
def test_the_same_with_javascript_off(desk: Desk, stack: Stack, new_plate: Callable[..., str]) -> None:
    plate, page = new_plate(), desk.sit("demo_operator", javascript=False)
    page.goto("/")
    page.get_by_role("link", name="新增").first.click()
    fill_without_script(page, plate, bill_no="COSU260002001")
    page.get_by_role("button", name="保存", exact=True).click()
    expect(page.locator("#line-1")).to_contain_text("COSU260002001")
    fill_line_without_script(page, "COSU260002002")
    page.locator("#id_line-remark").press("Enter")
    expect(page.locator("#line-2")).to_contain_text("COSU260002002")
    fill_line_without_script(page, "COSU260002003")
    # The line that is still being entered is saved along.
    page.get_by_role("button", name="暂存").click()
    data_center_no, trip_no = numbers_of(page)
    expect(page.locator(".line-table tbody tr")).to_have_count(3)
    # Declaring takes the card, and no page reaches that without a script: it says so, and nothing goes out.
    draft = page.url
    page.get_by_role("button", name="申报").click()
    expect(page.get_by_role("alertdialog").locator("#sign-text")).to_contain_text("COSU260002003")
    expect(page.get_by_text("使用IC卡需要浏览器允许运行脚本")).to_be_visible()
    page.get_by_role("button", name="确认申报").click()
    expect(page.get_by_role("alertdialog")).to_contain_text("未检测到 IC 卡或 Ikey，无法进行申报")
    expect(page.locator("#id_status")).to_have_text("暂存")
    assert accepted_by_customs(stack, trip_no) == []
    scripted = desk.sit("demo_operator")
    scripted.goto(draft)
    declare_with_card(scripted)
    # Without a script one asks again oneself.
    page.goto(scripted.url)
    label, refresh = page.locator("#filing-status-label"), page.get_by_role("link", name="刷新")
    for _asked in range(200):
        if label.inner_text() == ACCEPTED:
            break
        refresh.click()
    expect(label).to_have_text(ACCEPTED)

    page.get_by_role("navigation", name="主菜单").get_by_role("link", name="查询").click()
    page.locator("#id_bind_key_info").fill(plate)
    page.get_by_role("button", name="查询", exact=True).click()
    expect(page.locator("#listing-results tbody tr")).to_have_count(1)
    row_of(page, plate).get_by_role("link", name="查看回执").click()
    expect(page.locator("main tbody tr")).to_contain_text("海关入库成功")
    [accepted] = accepted_by_customs(stack, trip_no)
    assert (accepted["SeqNo"], accepted["function"], accepted["lines"]) == (data_center_no, "ADD", 3)


@pytest.mark.covers("SGW-05", "SGW-07", "PRT-07", "RLY-06")
def test_a_rejected_filing_says_why_and_is_declared_again(desk: Desk, stack: Stack, new_plate: Callable[..., str]) -> None:
    page, good = desk.sit("demo_operator"), new_plate()
    trip_no = save_filing(page, new_plate("REJ01"))
    declare_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text("退单", timeout=CUSTOMS_MS)
    expect(page.locator("#filing-status")).to_contain_text("车辆重量与备案不符，请核对后重新申报")
    page.reload()
    page.get_by_role("main").get_by_role("link", name="修改").click()
    page.locator("#id_vehicle_weight").fill("8700")
    page.locator("#id_bind_key_info").fill(good)
    declare_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    page.goto(page.url + "receipts/")
    expect(page.locator("main tbody tr")).to_have_count(2)
    assert [(one["version"], one["function"]) for one in accepted_by_customs(stack, trip_no)] == [(1, "ADD"), (2, "ADD")]
    assert accepted_by_customs(stack, trip_no)[1]["BindKeyInfo"] == good


@pytest.mark.covers("PRT-04", "PRT-07", "SGW-02")
@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_what_was_typed_stays_when_the_filing_is_wrong(desk: Desk, new_plate: Callable[..., str], javascript: bool) -> None:
    plate, page = new_plate(), desk.sit("demo_operator", javascript=javascript)
    page.goto("/smartgate/filings/new/")
    if javascript:
        enter(page, "0908")
        expect(page.locator("#id_bind_key_type")).to_be_focused()
        enter(page, "vn", "辽I12345", "bg")
    else:
        page.locator("#id_customs_code").select_option("0908")
        page.locator("#id_bind_key_type").select_option("VN")
        page.locator("#id_bind_key_info").fill("辽I12345")
    page.locator("#id_vehicle_weight").fill("八吨")
    page.locator("#id_line-voyage_no").fill("0126W")
    page.get_by_role("button", name="暂存").click()
    summary = page.locator("#entry-errors")
    expect(summary).to_contain_text("处需要更正，内容没有保存")
    expect(summary).to_contain_text("车牌号“辽I12345”不正确")
    expect(summary).to_contain_text("表体第1行 绑定对象类型：此项必填。")
    expect(page.locator("#id_vehicle_weight")).to_have_value("八吨")
    expect(page.locator("#id_bind_key_info")).to_have_value("辽I12345")
    expect(page.locator("#id_customs_code")).to_have_value(re.compile("^0908"))
    expect(page.locator("#id_line-voyage_no")).to_have_value("0126W")
    expect(page.locator("[data-field=bind_key_info]")).to_contain_text("车牌号“辽I12345”不正确")
    summary.get_by_role("link", name="车牌号“辽I12345”不正确").click()
    if javascript:
        expect(page.locator("#id_bind_key_info")).to_be_focused()
    # Nothing was stored.
    page.goto(f"/smartgate/filings/?bind_key_info={plate}")
    expect(page.get_by_text("没有符合条件的数据")).to_be_visible()


@pytest.mark.covers("PRT-03", "PRT-07")
def test_an_unsaved_filing_comes_back_when_one_comes_back(desk: Desk, new_plate: Callable[..., str]) -> None:
    plate, page = new_plate(), desk.sit("demo_operator")
    page.goto("/smartgate/filings/")
    page.goto("/smartgate/filings/new/")
    enter(page, "0908")
    expect(page.locator("#id_bind_key_type")).to_be_focused()
    enter(page, "vn", plate)
    page.locator("#id_line-object_type").focus()
    enter(page, "c", "CSQU3054383", "新海天", "0126W", "1000000000", "CSQU3054383", "", "", "", "")
    expect(page.locator("#line-1")).to_contain_text("CSQU3054383")
    strip = page.get_by_role("navigation", name="已打开的页面")
    strip.get_by_role("link", name="查询").click()
    page.wait_for_url("**/smartgate/filings/")
    strip.get_by_role("link", name="新增").click()
    expect(page.get_by_role("status").filter(has_text="已恢复未保存的内容")).to_be_visible()
    expect(page.locator("#id_customs_code")).to_have_value("0908 连大窑湾")
    expect(page.locator("#id_bind_key_info")).to_have_value(plate)
    expect(page.locator("#line-1")).to_contain_text("CSQU3054383")


@pytest.mark.covers("PRT-03")
@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_the_strip_closes_one_the_others_and_all(desk: Desk, javascript: bool) -> None:
    page = desk.sit("demo_operator", javascript=javascript)
    strip = page.get_by_role("navigation", name="已打开的页面")
    page.goto("/smartgate/filings/")
    for number in (0, 1):
        page.locator("#listing-results tbody tr").nth(number).get_by_role("link", name="查看", exact=True).click()
        page.goto("/smartgate/filings/")
    expect(strip.locator(".strip-page")).to_have_count(3)
    strip.get_by_role("button", name=re.compile("^关闭 查看")).first.click()
    expect(strip.locator(".strip-page")).to_have_count(2)
    expect(page).to_have_url(re.compile("/smartgate/filings/$"))
    page.goto("/smartgate/filings/new/")
    strip.get_by_label("选项卡操作").click()
    strip.get_by_role("button", name="关闭其他选项卡").click()
    expect(strip.locator(".strip-page")).to_have_text(["新增"])
    strip.get_by_label("选项卡操作").click()
    strip.get_by_role("button", name="关闭全部选项卡").click()
    expect(page).to_have_url(re.compile("^http://127.0.0.1:[0-9]+/$"))
    page.goto("/smartgate/filings/")
    expect(strip.locator(".strip-page")).to_have_text(["查询"])


@pytest.mark.covers("PRT-03")
def test_the_strip_shows_the_current_page_on_a_phone(desk: Desk) -> None:
    page = desk.sit("demo_operator", width=360, height=740)
    current = page.locator(".strip-page.is-current")
    inside = """tab => { const own = tab.getBoundingClientRect(), list = tab.parentElement.getBoundingClientRect();
      return own.left >= list.left - 1 && own.right <= list.right + 1; }"""
    paths = ("/smartgate/filings/", "/smartgate/filings/new/", "/accounts/profile/", "/accounts/cards/", "/accounts/security/")
    for path in (*paths, paths[2], paths[0]):
        page.goto(path)
        expect(current).to_have_count(1)
        page.wait_for_timeout(300)
        assert current.evaluate(inside), f"{path} is not to be seen in the strip"
        if path == paths[-1]:
            expect(page.get_by_role("button", name="向左移动")).to_be_visible()


@pytest.mark.covers("PRT-03")
@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_folded_menu_and_theme_are_remembered(desk: Desk, javascript: bool) -> None:
    page = desk.sit("demo_operator", javascript=javascript)
    page.goto("/smartgate/filings/")
    label = page.get_by_role("navigation", name="主菜单").locator(".menu-label", has_text="查询")
    expect(label).to_be_visible()
    page.get_by_role("button", name="折叠菜单").click()
    expect(page.get_by_role("button", name="展开菜单")).to_be_visible()
    page.goto("/smartgate/filings/new/")
    expect(page.get_by_role("button", name="展开菜单")).to_be_visible()
    assert page.locator("#menu").bounding_box()["width"] < 100  # type: ignore[index]
    # Only its icon shows, but it has its name still.
    page.get_by_role("navigation", name="主菜单").get_by_role("link", name="查询").click()
    page.wait_for_url("**/smartgate/filings/")
    page.locator("[data-user-menu]").hover()
    page.get_by_role("button", name="深色").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.goto("/smartgate/filings/new/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    assert max(page.evaluate(BACKGROUND)) < 80


@pytest.mark.covers("PRT-03", "ACC-07")
def test_logging_out_by_keyboard(desk: Desk) -> None:
    page = desk.sit("demo_operator")
    page.goto("/smartgate/filings/")
    tab_to(page, "[data-user-menu] > button")
    tab_to(page, "[data-logout] button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts/login/")
    page.goto("/smartgate/filings/")
    page.wait_for_url("**/accounts/login/?next=/smartgate/filings/")


@pytest.mark.covers("SGW-07", "PRT-06")
@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_deleting_asks_first(desk: Desk, new_plate: Callable[..., str], javascript: bool) -> None:
    plate, page = new_plate(), desk.sit("demo_operator", javascript=javascript)
    page.goto("/smartgate/filings/new/")
    if javascript:
        save_filing(page, plate)
    else:
        fill_without_script(page, plate)
        page.get_by_role("button", name="暂存").click()
    _data_center_no, trip_no = numbers_of(page)
    page.goto(f"/smartgate/filings/?bind_key_info={plate}")
    row = row_of(page, plate)
    question = row.get_by_text(deletion_of(trip_no))
    expect(question).to_be_hidden()
    row.get_by_text("删除", exact=True).click()
    expect(question).to_be_visible()
    row.get_by_role("button", name="确认").click()
    expect(page.get_by_role("status").filter(has_text="删除成功")).to_be_visible()
    expect(page.get_by_text("没有符合条件的数据")).to_be_visible()


@pytest.mark.covers("SGW-02", "SGW-07")
def test_a_copy_is_a_filing_of_its_own(desk: Desk, new_plate: Callable[..., str]) -> None:
    plate, page = new_plate(), desk.sit("demo_operator")
    trip_no = save_filing(page, plate)
    page.get_by_role("link", name="复制").click()
    page.wait_for_url("**/copy/")
    expect(page.locator("#id_trip_no")).to_be_empty()
    expect(page.locator("#id_bind_key_info")).to_have_value(plate)
    expect(page.locator("#line-1")).to_contain_text("COSU123456789")
    page.get_by_role("button", name="暂存").click()
    page.wait_for_url("**/edit/")
    assert numbers_of(page)[1] != trip_no
    page.goto(f"/smartgate/filings/?bind_key_info={plate}")
    expect(page.locator("#listing-results tbody tr")).to_have_count(2)


@pytest.mark.covers("PRT-06")
@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_chosen_columns_are_remembered(desk: Desk, javascript: bool) -> None:
    page = desk.sit("demo_admin", javascript=javascript)
    page.goto("/smartgate/filings/")
    for label in ("车辆重量", "操作人员"):
        page.locator(".listing-columns summary").click()
        page.get_by_role("group", name="要显示的列").get_by_label(label).set_checked(True)
        page.get_by_role("button", name="应用").click()
        expect(page.get_by_role("columnheader", name=label)).to_be_visible()
    again = desk.sit("demo_admin", javascript=javascript)
    again.goto("/smartgate/filings/")
    expect(again.get_by_role("columnheader", name="车辆重量")).to_be_visible()
    again.locator(".listing-columns summary").click()
    again.get_by_role("button", name="恢复默认").click()
    expect(again.get_by_role("columnheader", name="车辆重量")).to_have_count(0)
    expect(again.get_by_role("columnheader", name="关区代码")).to_be_visible()


@pytest.mark.covers("PRT-06", "SGW-06")
def test_the_back_button_goes_back_through_the_query(desk: Desk) -> None:
    page = desk.sit("demo_operator")
    page.goto("/smartgate/filings/")
    first = page.locator("#listing-results tbody tr").first
    number = first.locator("a").first
    newest = number.inner_text()
    page.locator("#id_customs_code").select_option("0940")
    page.get_by_role("button", name="查询", exact=True).click()
    expect(first).to_contain_text("营口海关")
    expect(page).to_have_url(re.compile("customs_code=0940"))
    page.get_by_role("link", name="重置").click()
    expect(page.locator("#id_customs_code")).to_have_value("")
    expect(number).to_have_text(newest)
    page.get_by_role("link", name="下一页").click()
    expect(number).not_to_have_text(newest)
    page.go_back()
    expect(number).to_have_text(newest)
    page.go_back()
    expect(first).to_contain_text("营口海关")
    expect(page).to_have_url(re.compile("customs_code=0940"))
    expect(page.locator("#id_customs_code")).to_have_value("0940")


@pytest.mark.covers("PRT-06")
def test_the_exported_page_is_the_page(desk: Desk) -> None:
    page = desk.sit("demo_operator")
    page.goto("/smartgate/filings/?status=stored")
    results = page.locator("#listing-results")
    headings = [text for text in results.get_by_role("columnheader").all_inner_texts() if text != "操作"]
    shown = [row.locator("td, th").all_inner_texts()[: len(headings)] for row in results.locator("tbody tr").all()]
    with page.expect_download() as download:
        results.get_by_role("link", name="导出本页 Excel").click()
    content = download.value.path().read_bytes()
    [first, *rows] = openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True)
    assert list(first) == headings
    assert len(rows) == len(shown) > 5
    assert [["" if value is None else str(value) for value in row] for row in rows] == shown
