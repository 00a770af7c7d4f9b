"""Every function of the smart gate's manual (M4 §3) in its words, with nothing but keys; the main way is in test_filing_journey.py.

Addresses are opened as a bookmark would open them; from there on nothing is clicked and nothing is filled in by a script.
"""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Dialog, Locator, Page, expect

from tests.e2e.cards import ADMINISTRATORS, OPERATORS, ask_by_keyboard, confirm_by_keyboard, declare_by_keyboard, mismatch
from tests.e2e.conftest import Desk, Stack, tab_to
from tests.e2e.test_change_journey import until_answered
from tests.e2e.test_filing_journey import (
    ACCEPTED,
    ACCEPTED_IN_QUERY,
    CUSTOMS_MS,
    accepted_by_customs,
    deletion_of,
    enter,
    numbers_of,
    row_of,
)

pytestmark = pytest.mark.e2e

NEW = "/smartgate/filings/new/"
#: What is typed into the fields of a line, from 进出方向 on; an empty word is Enter alone.
BILL = ("i", "b", "COSU260009001", "新海天", "0126W", "bg", "1", "31500", "", "", "", "", "")
CONTAINER = ("", "c", "CSQU3054383", "新海天", "0126W", "bg", "CSQU3054383", "", "", "", "")


@pytest.fixture(autouse=True)
def first_card_again(stack: Stack) -> Iterator[None]:
    """The demo's operator has his card in the reader."""
    with stack.reader_with(OPERATORS):
        yield


def press(page: Page, selector: str, *, backwards: bool = False) -> None:
    """Go to a button or a link by Tab, and press it."""
    tab_to(page, selector, backwards=backwards)
    page.keyboard.press("Enter")


def save(page: Page) -> None:
    """暂存, from anywhere in the form."""
    press(page, "button[value=save]", backwards=True)
    page.wait_for_url("**/edit/")
    expect(page.get_by_role("status").filter(has_text="暂存成功")).to_be_visible()


def fill_header(page: Page, media: str, key: str, *, business: str = "bg", transport: str = "2", ie_flag: str = "i") -> None:
    """表头 of a new filing; the cursor stands in the first field of the body afterwards."""
    expect(page.locator("#id_customs_code")).to_be_focused()
    enter(page, "0908")
    expect(page.locator("#id_bind_key_type")).to_be_focused()
    enter(page, media, key, business, transport, ie_flag, "kjzc", "8600", "6200.5", "0")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#id_line-direction")).to_be_focused()


def enter_line(page: Page, number: int, *words: str) -> Locator:
    """A line of the body, saved by Enter in its last field; its row."""
    enter(page, *words)
    row = page.locator(f"#line-{number}")
    expect(row).to_be_visible()
    expect(page.locator("#id_line-direction")).to_be_focused()
    return row


def draft(page: Page, plate: str) -> str:
    """A stored filing of a vehicle with one bill, on its page 修改; its 车次确认编号."""
    page.goto(NEW)
    fill_header(page, "vn", plate)
    enter_line(page, 1, *BILL)
    save(page)
    return numbers_of(page)[1]


def listed(page: Page, plate: str, rows: int = 1) -> None:
    """查询 with the filings of one vehicle."""
    page.goto(f"/smartgate/filings/?bind_key_info={plate}")
    expect(page.locator("#listing-results tbody tr")).to_have_count(rows)


def offered(page: Page) -> list[str]:
    """What the first row's 操作 offers."""
    return page.locator("#listing-results tbody tr").first.locator(".listing-actions a, .listing-actions summary").all_inner_texts()


def expect_grey(page: Page) -> None:
    """查看 and 删单: nothing can be typed, 暂存 cannot be pressed (M4 §3.2.2.1, §3.2.2.4)."""
    expect(page.locator("#entry-form input:not([type=hidden]), #entry-form select, #entry-form textarea")).to_have_count(0)
    expect(page.get_by_role("button", name="暂存")).to_be_disabled()


@pytest.mark.covers("SGW-02", "SGW-06", "SGW-07")
def test_looked_at_changed_copied_and_deleted_from_the_list(desk: Desk, new_plate: Callable[..., str]) -> None:
    page, plate = desk.sit("demo_operator"), new_plate()
    trip_no = draft(page, plate)

    # 查看 (§3.2.2.1): 暂存 and 申报 are grey; a draft can be deleted here, too.
    listed(page, plate)
    assert offered(page) == ["查看", "修改", "删除", "打印"]
    press(page, "#listing-results .listing-actions a:text-is('查看')")
    page.wait_for_url(re.compile(r"/filings/\d+/$"))
    expect_grey(page)
    expect(page.get_by_role("button", name="申报")).to_be_disabled()
    expect(page.locator("#id_status")).to_have_text("暂存")
    press(page, ".page-head-actions summary:text-is('删除')")
    expect(page.get_by_text(deletion_of(trip_no))).to_be_visible()

    # 修改 (§3.2.2.2).
    listed(page, plate)
    press(page, "#listing-results a[href$='/edit/']")
    page.wait_for_url("**/edit/")
    tab_to(page, "#id_vehicle_weight")
    page.keyboard.type("8700")
    save(page)
    expect(page.locator("#id_vehicle_weight")).to_have_value("8700")
    assert numbers_of(page)[1] == trip_no

    # 复制: the contents in a new filing, which has no numbers before 暂存.
    press(page, "a[href$='/copy/']", backwards=True)
    page.wait_for_url("**/copy/")
    expect(page.locator("#id_trip_no")).to_be_empty()
    expect(page.locator("#id_status")).to_have_text("未暂存")
    expect(page.locator("#id_bind_key_info")).to_have_value(plate)
    expect(page.locator("#id_vehicle_weight")).to_have_value("8700")
    expect(page.locator("#line-1")).to_contain_text("COSU260009001")
    save(page)
    copy_no = numbers_of(page)[1]
    assert copy_no != trip_no
    listed(page, plate, rows=2)

    # 删除 on the page (§3.1.2) asks first, and so does 删除 in the list (§3.2.2.3).
    page.go_back()
    expect(page.locator("#id_trip_no")).to_have_text(copy_no)
    press(page, ".page-head-actions summary:text-is('删除')", backwards=True)
    expect(page.get_by_text(deletion_of(copy_no))).to_be_visible()
    press(page, ".page-head-actions details button:text-is('确认')")
    page.wait_for_url("**/smartgate/filings/")
    expect(page.get_by_role("status").filter(has_text="删除成功")).to_be_visible()
    expect(page.get_by_role("navigation", name="已打开的页面").get_by_role("link", name=f"修改 {plate}")).to_have_count(1)
    listed(page, plate)
    press(page, ".listing-confirm summary")
    expect(page.get_by_text(deletion_of(trip_no))).to_be_visible()
    press(page, ".listing-confirm button:text-is('确认')")
    expect(page.get_by_role("status").filter(has_text="删除成功")).to_be_visible()
    expect(page.get_by_text("没有符合条件的数据")).to_be_visible()


@pytest.mark.covers("SGW-05", "SGW-07", "SGW-08", "CARD-05")
def test_changed_discarded_compared_and_voided_from_the_list(desk: Desk, stack: Stack, new_plate: Callable[..., str]) -> None:
    page, plate = desk.sit("demo_operator"), new_plate()
    trip_no = draft(page, plate)

    # Another card than one's own: the manual's words (§3.1.2), and nothing is sent. Then one's own.
    with stack.reader_with(ADMINISTRATORS):
        ask_by_keyboard(page, signs=plate)
        confirm_by_keyboard(page)
        refusal = page.get_by_role("alertdialog").get_by_role("alert").filter(has_text="无法进行申报")
        expect(refusal).to_have_text(mismatch(ADMINISTRATORS, OPERATORS))
        assert accepted_by_customs(stack, trip_no) == []
    confirm_by_keyboard(page)
    page.wait_for_url(re.compile(r"/filings/\d+/$"))
    expect(page.get_by_text("申报成功")).to_be_visible()
    expect_grey(page)
    expect(page.get_by_role("button", name="申报")).to_be_disabled()
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    expect(page.locator("#id_status")).to_have_text(ACCEPTED)
    expect(page.get_by_role("button", name="删除", exact=True)).to_be_disabled()

    # 变更 (§3.2.2.6): 暂存 and 申报 can both be pressed; what was stored is given up after a question.
    listed(page, plate)
    expect(row_of(page, plate)).to_contain_text(ACCEPTED_IN_QUERY)
    assert offered(page) == ["查看", "删单", "查看回执", "变更", "打印"]
    press(page, "#listing-results a[href$='/amend/']")
    page.wait_for_url("**/amend/")
    tab_to(page, "#id_remark")
    page.keyboard.type("不要了")
    press(page, "button[value=save]", backwards=True)
    expect(page.get_by_text("变更内容已暂存，尚未申报")).to_be_visible()
    press(page, "a[href$='/discard/']", backwards=True)
    page.wait_for_url("**/discard/")
    press(page, ".account-buttons button")
    page.wait_for_url(re.compile(r"/filings/\d+/$"))
    expect(page.get_by_text("已放弃变更")).to_be_visible()

    # Accepted; then refused, with the reason and everything as before.
    for number, remark, outcome in ((2, "请改走二号通道", "海关已接受"), (3, "再改一次 CRJ01", "海关已退回")):
        press(page, ".page-head-actions a[href$='/amend/']")
        page.wait_for_url("**/amend/")
        tab_to(page, "#id_remark")
        page.keyboard.type(remark)
        declare_by_keyboard(page, "是否要申报该票单据的变更？", signs="MOD 变更申报")
        until_answered(page, number, outcome)
        page.reload()
    expect(page.locator("#filing-change")).to_contain_text("车辆已到达卡口，不予变更")
    expect(page.locator("#id_remark")).to_have_text("请改走二号通道")
    press(page, "#filing-versions a[href$='/versions/2/']")
    page.wait_for_url("**/versions/2/")
    expect(page.locator("tr.is-changed")).to_have_count(1)
    expect(page.locator("tr.is-changed")).to_contain_text("请改走二号通道")

    # 删单 (§3.2.2.4): everything grey, only 申报 can be pressed.
    listed(page, plate)
    press(page, "#listing-results a[href$='/void/']")
    page.wait_for_url("**/void/")
    expect_grey(page)
    declare_by_keyboard(page, "是否确认申报该数据？", signs="DEL 删单申报")
    expect(page.locator("#filing-status-label")).to_have_text("已删单", timeout=CUSTOMS_MS)
    taken = [(one["function"], one["version"], one["base"]) for one in accepted_by_customs(stack, trip_no)]
    assert taken == [("ADD", 1, None), ("MOD", 2, 1), ("MOD", 3, 2), ("DEL", 4, 2)]

    # 查看回执 (§3.2.2.5).
    listed(page, plate)
    assert offered(page) == ["查看", "查看回执", "打印"]
    press(page, "#listing-results a[href$='/receipts/']")
    page.wait_for_url("**/receipts/")
    receipts = page.locator("main tbody tr")
    expect(receipts).to_have_count(4)
    expect(receipts.filter(has_text="变更或删单已接受")).to_have_count(2)
    expect(receipts.filter(has_text="变更或删单被退回")).to_contain_text("车辆已到达卡口，不予变更")


@pytest.mark.covers("SGW-02", "SGW-03", "PRT-05")
def test_lines_are_entered_changed_and_deleted_and_the_page_is_cleared(desk: Desk, new_plate: Callable[..., str]) -> None:
    page, plate = desk.sit("demo_operator"), new_plate()
    asked: list[str] = []

    def agree(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", agree)
    page.goto(NEW)
    fill_header(page, "vn", plate)
    # 保存 by Enter in the last field, and by the button.
    enter_line(page, 1, *BILL)
    enter(page, *CONTAINER[:-1])
    expect(page.locator("#id_line-remark")).to_be_focused()
    page.keyboard.type("第二行")
    press(page, "button[value=line_save]", backwards=True)
    expect(page.locator("#line-2")).to_contain_text("第二行")

    # 修改第 1 行, 保存.
    press(page, "button[value='line_edit:0']")
    expect(page.locator("#line-editor-title")).to_have_text("修改第 1 行")
    tab_to(page, "#id_line-voyage_no")
    page.keyboard.type("0127E")
    press(page, "button[value=line_save]", backwards=True)
    expect(page.locator("#line-1")).to_contain_text("0127E")
    expect(page.locator(".line-table tbody tr")).to_have_count(2)

    # 新增 empties the fields of the line.
    press(page, "button[value='line_edit:1']")
    expect(page.locator("#id_line-remark")).to_have_value("第二行")
    press(page, "button[value=line_new]", backwards=True)
    expect(page.locator("#line-editor-title")).to_have_text("录入新的一行")
    expect(page.locator("#id_line-remark")).to_have_value("")

    # 删除 takes what is ticked, and says so when nothing is.
    press(page, "button[value=line_delete]", backwards=True)
    expect(page.get_by_role("alert").filter(has_text="请先在列表中勾选要删除的行")).to_be_visible()
    tab_to(page, "input[name=tick][value='0']")
    page.keyboard.press("Space")
    press(page, "button[value=line_delete]", backwards=True)
    expect(page.locator(".line-table tbody tr")).to_have_count(1)
    expect(page.locator("#line-1")).to_contain_text("第二行")

    # 新增 on top clears everything, after a question while something is not stored.
    press(page, "a[data-discards-draft]:text-is('新增')", backwards=True)
    expect(page.locator("#id_bind_key_info")).to_have_value("")
    expect(page.locator("#id_customs_code")).to_be_focused()
    assert len(asked) == 1
    assert "不能恢复" in asked[0]

    # 申报成功; then 新增 gives an empty page, without a question.
    draft(page, plate)
    declare_by_keyboard(page, signs=plate)
    expect(page.get_by_text("申报成功")).to_be_visible()
    press(page, "a:text-is('新增').btn-primary")
    page.wait_for_url(f"**{NEW}")
    expect(page.locator("#id_bind_key_info")).to_have_value("")
    expect(page.locator("#id_status")).to_have_text("未暂存")
    expect(page.locator(".line-table")).to_have_count(0)
    assert len(asked) == 1


@pytest.mark.covers("SGW-01", "PRT-04", "PRT-05")
def test_every_medium_and_object_with_its_rules(desk: Desk) -> None:
    page = desk.sit("demo_operator")
    problems = page.locator("#entry-errors")

    # VE 电子车牌号 by road: 船名 is grey. 转关单, 车辆海关编号, 车辆车牌: 提单类型 and 本次提货重量 are grey.
    page.goto(NEW)
    fill_header(page, "dzcph", "LN-E-000123", business="zg", transport="gl")
    expect(page.locator("#id_line-vessel_name")).to_be_disabled()
    objects = (("zgd", "090812345678901", "转关单"), ("vc", "4100000001", "车辆海关编号"), ("clcp", "辽B12345", "车辆车牌"))
    for number, (typed, key, name) in enumerate(objects, start=1):
        enter(page, "i", typed, key)
        expect(page.locator("#id_line-voyage_no")).to_be_focused()
        for field in ("vessel_name", "bill_type", "pickup_weight"):
            expect(page.locator(f"#id_line-{field}")).to_be_disabled()
        row = enter_line(page, number, "PC001", "zg", "", "", "", "", "")
        expect(row).to_contain_text(name)
        expect(row).to_contain_text(key)
    save(page)
    expect(page.locator("#id_bind_key_type")).to_have_value("VE 电子车牌号")
    expect(page.locator("#id_transport_mode")).to_have_value("4 公路")
    expect(page.locator(".line-table tbody tr")).to_have_count(3)

    # IC卡 on water: 船名 must be there; a bill needs its number for import, and none for export.
    page.goto(NEW)
    fill_header(page, "ic", "2100000000009", ie_flag="e")
    enter(page, "e", "td", "")
    expect(page.locator("#id_line-vessel_name")).to_be_focused()
    enter(page, "", "0126W", "bg", "2", "18000", "", "", "", "", "")
    expect(problems).to_contain_text("运输方式为水路时，船名必填。")
    expect(page.locator("#id_line-vessel_name")).to_be_focused()
    row = enter_line(page, 1, "新海天", "", "", "", "", "", "", "", "", "")
    expect(row).to_contain_text("二程")
    save(page)
    expect(page.locator("#id_bind_key_type")).to_have_value("IC IC卡")

    # BC 条形码 by air, 空箱: both containers are required; of seals three at most.
    page.goto(NEW)
    fill_header(page, "txm", "BC-2026/0001", business="kx", transport="hk")
    expect(page.locator("#id_line-vessel_name")).to_be_disabled()
    enter(page, "", "jzx", "CSQU3054383", "HK001", "kx", "", "", "A1|A2|A3|A4", "", "")
    expect(problems).to_contain_text("业务类型为空箱时，集装箱号1和集装箱号2必填。")
    expect(problems).to_contain_text("安全智能锁号最多 3 个，以“|”分隔；当前有 4 个。")
    expect(page.locator("#id_line-container_no_1")).to_be_focused()
    enter(page, "CSQU3054383", "TEMU6079348")
    page.keyboard.press("Control+A")
    row = enter_line(page, 1, "A1|A2|A3", "", "")
    expect(row).to_contain_text("A1|A2|A3")
    save(page)
    expect(page.locator("#id_bind_key_info")).to_have_value("BC-2026/0001")


def choose(page: Page, selector: str, label: str) -> None:
    """An option of the browser's own list, by the arrow keys."""
    tab_to(page, selector)
    chosen = page.locator(f"{selector} option:checked")
    for _pressed in range(60):
        if chosen.inner_text() == label:
            return
        page.keyboard.press("ArrowDown")
    raise AssertionError(f"{label} is not reached in {selector}")


def type_day(page: Page, selector: str, year: str, month: str, day: str) -> None:
    """A day into the browser's own field, part by part, in the order that the browser has on this machine."""
    tab_to(page, selector)
    field = page.locator(selector)
    for parts in ((month, day, year), (year, month, day)):
        for part in parts:
            page.keyboard.press("Delete")
            page.keyboard.type(part)
            if part == year:
                # The only part that does not know when it is full.
                page.keyboard.press("ArrowRight")
        if field.input_value() == f"{year}-{month}-{day}":
            return
        for _part in parts:
            page.keyboard.press("ArrowLeft")
    raise AssertionError(f"{year}-{month}-{day} cannot be typed into {selector}: {field.input_value()}")


@pytest.mark.covers("SGW-06", "SGW-09", "PRT-06")
def test_asked_for_by_every_condition_printed_and_counted(desk: Desk, new_plate: Callable[..., str]) -> None:
    page, plate = desk.sit("demo_operator"), new_plate()
    trip_no = draft(page, plate)
    year, month, day = page.locator("#id_entered_at").inner_text().split("-")
    press(page, ".menu-entry:has-text('查询')")
    page.wait_for_url("**/smartgate/filings/")

    # 查询 with all eight conditions of §3.2.1 at once.
    tab_to(page, "#id_trip_no")
    page.keyboard.type(trip_no)
    choose(page, "#id_status", "暂存")
    choose(page, "#id_bind_key_type", "VN 车牌号")
    tab_to(page, "#id_bind_key_info")
    page.keyboard.type(plate)
    choose(page, "#id_business_type", "报关")
    choose(page, "#id_customs_code", "0908 连大窑湾")
    choose(page, "#id_ie_flag", "I-进口")
    type_day(page, "#id_entered_at_from", year, month, day)
    type_day(page, "#id_entered_at_to", year, month, day)
    press(page, "#listing-filters button[type=submit]")
    expect(page.locator("#listing-filters .listing-set")).to_have_text("已设 8 项")
    expect(page.locator("#listing-results tbody tr")).to_have_count(1)
    expect(row_of(page, plate)).to_contain_text(trip_no)

    # 打印 of what was found, and of the filing; the browser shows the paper, and asks for an icon of its own for it.
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    found = page.url
    for link in ("#listing-results .listing-tools a:text-is('打印')", "#listing-results .listing-actions a:text-is('打印')"):
        with page.expect_response(lambda response: "pdf" in response.headers.get("content-type", "")) as paper:
            press(page, link)
        assert paper.value.status == 200
        page.wait_for_url(re.compile("export=pdf|/print/$"))
        page.goto(found)

    # Each condition is heeded: with another one of any of them nothing is found. 重置 clears them all.
    for selector, other in (("#id_ie_flag", "E-出口"), ("#id_status", "退单")):
        choose(page, selector, other)
        press(page, "#listing-filters button[type=submit]")
        expect(page.get_by_text("没有符合条件的数据")).to_be_visible()
    press(page, "#listing-filters a:text-is('重置')")
    page.wait_for_url(re.compile(r"/smartgate/filings/\??$"))
    for field in page.locator("#listing-filters input:not([type=hidden]), #listing-filters select").all():
        expect(field).to_have_value("")

    # 业务数据统计: today's, and from a name of a table to the filings that were counted.
    press(page, ".menu-entry:has-text('业务数据统计')")
    page.wait_for_url("**/statistics/")
    type_day(page, "#id_entered_at_from", year, month, day)
    type_day(page, "#id_entered_at_to", year, month, day)
    press(page, "#statistics-period button[type=submit]")
    expect(page.locator("#stat-total-title")).to_have_text(f"{year}-{month}-{day} 至 {year}-{month}-{day}")
    press(page, "section[aria-labelledby=stat-status] a:text-is('暂存')")
    page.wait_for_url(re.compile("status=draft"))
    expect(page.locator("#id_status option:checked")).to_have_text("暂存")
    expect(page.locator("#listing-results tbody tr").first).to_contain_text("暂存")
