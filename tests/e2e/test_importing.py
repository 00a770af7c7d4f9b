"""Many vehicles from Excel to customs with one PIN entry, over the whole stack; and the pages on the way (SGW-10).

MANY_FILINGS says how many; 500 are what a large day brings.
"""

import io
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from devserver.cards import DEMO_PIN, NO_CARD
from tests.e2e.cards import OPERATORS, pin_field
from tests.e2e.conftest import Desk, Stack
from tests.e2e.looks import problems_of, problems_without_a_script

pytestmark = [pytest.mark.e2e, pytest.mark.covers("SGW-10")]

VEHICLES = int(os.environ.get("MANY_FILINGS") or 60)
#: The card signs and the server verifies one after the other; on a machine that others use at the same time.
LONG_MS = 900_000
HEADER = {
    "关区代码": "0908",
    "绑定介质类型": "VN 车牌号",
    "业务类型": "报关",
    "运输方式": "2",
    "进出口标志": "I",
    "车辆重量": 8600,
    "挂车重量": 6200.5,
    "集装箱重量": 0,
    "绑定对象类型": "B",
    "绑定对象ID": "COSU123456789",
    "船名": "新海天",
    "航次/货物运输批次号": "0126W",
    "表体业务类型": "1000000000",
    "提单类型": "1",
    "本次提货重量": 31500,
}

IS_IN_SIGHT = """element => {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return element.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2));
}"""


def filled_in(template: bytes, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The template with these rows, as a file that a browser uploads."""
    book = openpyxl.load_workbook(io.BytesIO(template))
    sheet = book["申报单"]
    places = {cell.value: cell.column for cell in sheet[1]}
    for number, row in enumerate(rows, start=2):
        for heading, value in row.items():
            sheet.cell(number, places[heading]).value = value
    saved = io.BytesIO()
    book.save(saved)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return {"name": "车辆.xlsx", "mimeType": kind, "buffer": saved.getvalue()}


def template_of(page: Page) -> bytes:
    """What 下载模板 gives."""
    page.goto("/smartgate/import/")
    with page.expect_download() as download:
        page.get_by_role("link", name="下载模板").click()
    return Path(download.value.path()).read_bytes()


def upload(page: Page, file: dict[str, Any]) -> None:
    """Upload, and wait until it is checked."""
    page.goto("/smartgate/import/")
    page.locator("#id_workbook").set_input_files(file)
    page.get_by_role("button", name="上传并检查").click()
    expect(page.get_by_role("heading", name="检查完成")).to_be_visible(timeout=LONG_MS)


def store(page: Page, button: str) -> None:
    """暂存全部, and wait until all is stored."""
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("heading", name="已暂存", exact=True)).to_be_visible(timeout=LONG_MS)


@pytest.mark.covers("CARD-05", "SGW-04")
def test_many_vehicles_with_one_pin(desk: Desk, stack: Stack, new_plate: Callable[..., str]) -> None:
    page = desk.sit("demo_operator")
    plates = [new_plate() for _ in range(VEHICLES)]
    file = filled_in(template_of(page), [{**HEADER, "绑定介质关键信息": plate} for plate in plates])
    took = Laps()
    upload(page, file)
    took.lap("checked")
    store(page, f"暂存全部 {VEHICLES} 票")
    took.lap("stored")
    page.get_by_role("button", name="批量申报").click()
    page.wait_for_url("**/smartgate/declare/*/")
    took.lap("page")
    trips = page.locator("[data-item] a").all_inner_texts()
    assert len(set(trips)) == VEHICLES
    pin_field(page).fill(DEMO_PIN)
    page.get_by_role("button", name=f"确认申报 {VEHICLES} 票").click()
    expect(page.get_by_role("heading", name="全部已申报")).to_be_visible(timeout=LONG_MS)
    expect(page.locator("[data-count=declared]")).to_have_text(str(VEHICLES))
    took.lap("declared")
    # Customs has each of them once, and its answers came back.
    for plate in {plates[0], plates[VEHICLES // 2], plates[-1]}:
        visit_until(page, f"/smartgate/filings/?bind_key_info={plate}", "海关审核通过")
    took.lap("accepted")
    print(f"{VEHICLES} filings, seconds: {took}")
    said = [json.loads(line)["SureId"] for line in stack.journal.read_text(encoding="utf-8").splitlines()]
    assert sorted(trip for trip in said if trip in set(trips)) == sorted(trips)


class Laps:
    """How long each part took."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """A part is over."""
        now = time.monotonic()
        self._laps[name], self._last = now - self._last, now

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.1f}" for name, seconds in self._laps.items())


def visit_until(page: Page, address: str, text: str) -> None:
    """Look at the list again and again until it says so."""
    until, said = time.monotonic() + LONG_MS / 1000, page.get_by_role("table").get_by_text(text)
    page.goto(address)
    while not said.count() and time.monotonic() < until:
        page.wait_for_timeout(500)
        page.reload()
    expect(said).to_be_visible()


def test_a_break_in_the_middle_and_a_wrong_pin(desk: Desk, stack: Stack, new_plate: Callable[..., str]) -> None:
    page = desk.sit("demo_operator")
    plates = [new_plate() for _ in range(4)]
    rows = [{**HEADER, "绑定介质关键信息": plate} for plate in plates]
    rows.insert(1, {**HEADER, "绑定介质关键信息": "辽BO2345", "关区代码": "9999"})
    upload(page, filled_in(template_of(page), rows))
    table = page.get_by_role("table")
    expect(table.get_by_role("row").filter(has_text="关区代码")).to_contain_text("代码“9999”不在关区代码表中")
    with page.expect_download() as download:
        page.get_by_role("link", name="下载错误文件").click()
    marked = openpyxl.load_workbook(io.BytesIO(Path(download.value.path()).read_bytes()))["申报单"]
    assert "辽BO2345" in str(marked.cell(3, marked.max_column).value)
    store(page, "只暂存无误的 4 票")
    page.get_by_role("button", name="批量申报").click()
    page.wait_for_url("**/smartgate/declare/*/")
    confirm = page.get_by_role("button", name="确认申报")
    # A wrong PIN costs one try, however many filings there are.
    pin_field(page).fill("12345678")
    confirm.click()
    expect(page.get_by_role("alert").filter(has_text="还可以再试 5 次")).to_be_visible()
    assert stack.cards.cards()[OPERATORS].tries_left == 5
    # The user leaves while the third one is on its way: what was sent is declared.
    page.locator("[data-sign-many]").evaluate("form => form.dataset.mostSent = 1")
    sent: list[str] = []

    def pass_two(route: Any) -> None:
        sent.append(route.request.url)
        if len(sent) <= 2:
            route.continue_()

    page.route("**/items/", pass_two)
    address = page.url
    pin_field(page).fill(DEMO_PIN)
    confirm.click()
    expect(page.locator("[data-count=declared]")).to_have_text("2", timeout=LONG_MS)
    page.goto("/smartgate/filings/")
    page.unroute("**/items/")
    page.goto(address)
    expect(page.get_by_role("heading", name="待申报 2 票")).to_be_visible()
    # Without the card nothing goes on; with it the rest does.
    with stack.reader_with(NO_CARD):
        pin_field(page).fill(DEMO_PIN)
        confirm.click()
        expect(page.get_by_role("alert").filter(has_text="没有检测到IC卡")).to_be_visible()
    pin_field(page).fill(DEMO_PIN)
    confirm.click()
    expect(page.get_by_role("heading", name="全部已申报")).to_be_visible(timeout=LONG_MS)


@pytest.mark.covers("PRT-08")
def test_ticking_all_but_one(desk: Desk) -> None:
    page = desk.sit("demo_operator", axe=True)
    page.goto("/smartgate/declare/")
    ticks, all_ticked = page.locator("[name=filing]"), page.get_by_label("全选")
    count, said = ticks.count(), page.locator("[data-tick-count]")
    assert count > 1
    expect(said).to_have_text(f"已选 0 / {count} 票")
    all_ticked.check()
    expect(said).to_have_text(f"已选 {count} / {count} 票")
    ticks.first.uncheck()
    expect(said).to_have_text(f"已选 {count - 1} / {count} 票")
    expect(all_ticked).not_to_be_checked()
    assert all_ticked.evaluate("tick => tick.indeterminate")
    assert problems_of(page) == []
    # Nothing lies under the bar that is always in sight.
    for place in (ticks.first, ticks.last):
        place.focus()
        assert place.evaluate(IS_IN_SIGHT)
    page.get_by_role("button", name="下一步：核对并申报").click()
    expect(page.get_by_role("heading", name=f"待申报 {count - 1} 票")).to_be_visible()
    # Back, the browser brings the ticks with it, or has none; either is what is counted.
    page.go_back()
    expect(said).to_have_text(f"已选 {page.locator('[name=filing]:checked').count()} / {count} 票")


@pytest.mark.covers("PRT-08")
def test_without_a_script_all_that_are_listed_are_one_button_away(desk: Desk) -> None:
    page = desk.sit("demo_operator", javascript=False)
    page.goto("/smartgate/declare/")
    count = page.locator("[name=filing]").count()
    page.get_by_role("button", name=f"核对列出的全部 {count} 票").click()
    expect(page.get_by_role("heading", name=f"待申报 {count} 票")).to_be_visible()


@pytest.mark.covers("PRT-08")
@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_the_pages_on_the_way_look_as_all_others(desk: Desk, new_plate: Callable[..., str], script: bool) -> None:
    page = desk.sit("demo_operator", axe=True) if script else desk.sit("demo_operator", javascript=False, width=360, height=740)
    of = problems_of if script else problems_without_a_script
    file = filled_in(template_of(page), [{**HEADER, "绑定介质关键信息": new_plate()}, {**HEADER, "绑定介质关键信息": "辽BO2345"}])
    page.locator("#id_workbook").set_input_files(
        {"name": "旧.xls", "mimeType": "application/vnd.ms-excel", "buffer": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"}
    )
    page.get_by_role("button", name="上传并检查").click()
    expect(page.get_by_text("旧版 Excel 格式")).to_be_visible()
    problems = [f"upload refused: {one}" for one in of(page)]
    page.goto("/smartgate/import/")
    page.locator("#id_workbook").set_input_files(file)
    page.get_by_role("button", name="上传并检查").click()
    # Without a script the page looks again by itself every few seconds.
    expect(page.get_by_role("heading", name="检查完成")).to_be_visible(timeout=LONG_MS)
    problems += [f"checked: {one}" for one in of(page)]
    store(page, "只暂存无误的 1 票")
    problems += [f"stored: {one}" for one in of(page)]
    page.get_by_role("button", name="批量申报").click()
    page.wait_for_url(re.compile(r"/smartgate/declare/\d+/$"))
    problems += [f"batch: {one}" for one in of(page)]
    assert not problems, "\n".join(problems)
