"""变更 and 删单 with the card over the whole stack: amended, refused, amended again, voided; what changed is to be seen (SGW-08)."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.cards import OPERATORS, confirm_with_card, declare_with_card
from tests.e2e.conftest import Desk, Stack
from tests.e2e.looks import problems_of
from tests.e2e.test_filing_journey import ACCEPTED, CUSTOMS_MS, accepted_by_customs, row_of, save_filing

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def first_card_again(stack: Stack) -> Iterator[None]:
    """The demo's operator has his card in the reader."""
    with stack.reader_with(OPERATORS):
        yield


def ask(page: Page, question: str, function: str) -> None:
    """申报 on the page of a 变更 or 删单, up to the text that is to be signed."""
    page.get_by_role("button", name="申报").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text(question)
    expect(dialog.locator("#sign-text")).to_contain_text(f"业务功能 Function：{function}")


def amend(page: Page, remark: str, **fields: str) -> None:
    """变更 from 查看, up to 查看 again, where it waits or has its answer already."""
    page.get_by_role("link", name="变更", exact=True).click()
    page.wait_for_url("**/amend/")
    for name, value in {"remark": remark, **fields}.items():
        page.locator(f"#id_{name}").fill(value)
    ask(page, "是否要申报该票单据的变更？", "MOD 变更申报")
    confirm_with_card(page)
    page.wait_for_url(re.compile(r"/filings/\d+/$"))
    expect(page.get_by_text("变更已发往海关")).to_be_visible()


def until_answered(page: Page, number: int, outcome: str) -> None:
    """Until 查看 tells of the answer by itself."""
    row = page.locator("#filing-versions tbody tr").filter(has=page.get_by_role("rowheader", name=re.compile(rf"^{number}\b")))
    expect(row).to_contain_text(outcome, timeout=CUSTOMS_MS)


@pytest.mark.covers("SGW-08", "SGW-07", "CARD-05", "CARD-07")
def test_changed_refused_changed_again_and_voided(desk: Desk, stack: Stack, new_plate: Callable[..., str]) -> None:
    page, plate = desk.sit("demo_operator", axe=True), new_plate()
    trip_no = save_filing(page, plate)
    declare_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)

    # 变更 from the list, stored first; discarded after a question.
    page.goto(f"/smartgate/filings/?bind_key_info={plate}")
    row_of(page, plate).get_by_role("link", name="变更").click()
    page.wait_for_url("**/amend/")
    page.locator("#id_remark").fill("不要了")
    page.get_by_role("button", name="暂存").click()
    expect(page.get_by_text("变更内容已暂存，尚未申报")).to_be_visible()
    page.get_by_role("link", name="放弃变更").click()
    page.wait_for_url("**/discard/")
    assert problems_of(page) == []
    page.get_by_role("button", name="放弃变更").click()
    page.wait_for_url(re.compile(r"/filings/\d+/$"))
    expect(page.locator("#filing-draft")).to_have_count(0)

    # Amended, with another vehicle and another line: the accepted version stands until customs has answered.
    other_plate = new_plate()
    amend(page, "请改走二号通道", bind_key_info=other_plate, vehicle_weight="9000")
    until_answered(page, 2, "海关已接受")
    page.reload()
    expect(page.locator("#id_bind_key_info")).to_have_text(other_plate)

    # Refused, with the reason; everything as before.
    amend(page, "再改一次 CRJ01")
    until_answered(page, 3, "海关已退回")
    expect(page.locator("#filing-change")).to_contain_text("车辆已到达卡口，不予变更")
    page.reload()
    expect(page.locator("#id_remark")).to_have_text("请改走二号通道")

    amend(page, "第三次变更")
    until_answered(page, 4, "海关已接受")
    page.reload()
    expect(page.locator("#id_remark")).to_have_text("第三次变更")

    # What changed, side by side; at a desk and on a phone.
    page.get_by_role("link", name="第 2 版变更对比").click()
    page.wait_for_url("**/versions/2/")
    changed = page.locator("tr.is-changed")
    expect(changed.filter(has_text="绑定介质关键信息")).to_contain_text(plate)
    expect(changed.filter(has_text="绑定介质关键信息")).to_contain_text(other_plate)
    expect(changed).to_have_count(3)
    expect(changed.first).to_contain_text("已改")
    assert problems_of(page) == []
    page.get_by_role("link", name="查看单据").click()

    # Voided.
    page.get_by_role("link", name="删单", exact=True).click()
    page.wait_for_url("**/void/")
    ask(page, "是否确认申报该数据？", "DEL 删单申报")
    confirm_with_card(page)
    page.wait_for_url(re.compile(r"/filings/\d+/$"))
    expect(page.locator("#filing-status-label")).to_have_text("已删单", timeout=CUSTOMS_MS)
    expect(page.get_by_role("link", name="变更", exact=True)).to_have_count(0)

    taken: list[dict[str, Any]] = accepted_by_customs(stack, trip_no)
    assert [(one["function"], one["version"], one["base"]) for one in taken] == [
        ("ADD", 1, None),
        ("MOD", 2, 1),
        ("MOD", 3, 2),
        ("MOD", 4, 2),
        ("DEL", 5, 4),
    ]
    page.reload()
    expect(page.locator("#filing-signatures tbody tr")).to_have_count(5)
