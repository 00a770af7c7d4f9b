"""批量导入 and 批量申报 in a browser: a workbook uploaded, checked and stored, and the pages on the way (SGW-10)."""

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Desk
from tests.e2e.looks import problems_without_a_script

pytestmark = [pytest.mark.e2e, pytest.mark.covers("SGW-10")]

#: A worker checks and stores, on a machine that others use at the same time.
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


@pytest.mark.covers("PRT-08")
def test_the_pages_on_the_way_without_a_script(desk: Desk, new_plate: Callable[..., str]) -> None:
    page = desk.sit("demo_operator", javascript=False, width=360, height=740)
    file = filled_in(template_of(page), [{**HEADER, "绑定介质关键信息": new_plate()}, {**HEADER, "绑定介质关键信息": "辽BO2345"}])
    page.locator("#id_workbook").set_input_files(
        {"name": "旧.xls", "mimeType": "application/vnd.ms-excel", "buffer": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"}
    )
    page.get_by_role("button", name="上传并检查").click()
    expect(page.get_by_text("旧版 Excel 格式")).to_be_visible()
    problems = [f"upload refused: {one}" for one in problems_without_a_script(page)]
    page.goto("/smartgate/import/")
    page.locator("#id_workbook").set_input_files(file)
    page.get_by_role("button", name="上传并检查").click()
    # Without a script the page looks again by itself every few seconds.
    expect(page.get_by_role("heading", name="检查完成")).to_be_visible(timeout=LONG_MS)
    problems += [f"checked: {one}" for one in problems_without_a_script(page)]
    store(page, "只暂存无误的 1 票")
    problems += [f"stored: {one}" for one in problems_without_a_script(page)]
    page.get_by_role("button", name="批量申报").click()
    page.wait_for_url(re.compile(r"/smartgate/declare/\d+/$"))
    problems += [f"batch: {one}" for one in problems_without_a_script(page)]
    assert not problems, "\n".join(problems)
