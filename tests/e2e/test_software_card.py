"""Cards without hardware, as a newcomer uses them after `make run`: bind one, log in with it, declare, swap it (CARD-02 to CARD-05)."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Request, WebSocket, expect

from devserver.cards import DEMO_PIN, NO_CARD
from tests.e2e.cards import (
    ADMINISTRATORS,
    OPERATORS,
    OTHERS,
    ask_to_declare,
    bind_card,
    confirm_with_card,
    declare_with_card,
    log_in_by_card,
    mismatch,
    unbind_card,
)
from tests.e2e.conftest import ROOT, Desk, Stack
from tests.e2e.people import log_out
from tests.e2e.test_filing_journey import ACCEPTED, CUSTOMS_MS, accepted_by_customs, save_filing

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def first_card_again(stack: Stack) -> Iterator[None]:
    """Whatever a test puts in, the next one finds the card of the start."""
    with stack.reader_with(OPERATORS):
        yield


def put_in(stack: Stack, card: str) -> None:
    """By the command that the start names."""
    command = [sys.executable, "-m", "devserver", "card", card]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "VAR_DIR": str(stack.var_dir)}, check=True, capture_output=True, timeout=60)


def refused(page: Page, text: str) -> None:
    """The question is still there and says why; the filing is a draft."""
    expect(page.get_by_role("alertdialog").get_by_role("alert").filter(has_text=text)).to_be_visible()
    expect(page.locator("#id_status")).to_have_text("暂存")


@pytest.mark.covers("CARD-01", "CARD-02", "CARD-03", "CARD-04", "CARD-05", "SGW-04", "OPS-01", "ACC-07")
def test_a_newcomer_binds_a_card_logs_in_with_it_declares_and_swaps_it(desk: Desk, stack: Stack, new_plate: Callable[..., str]) -> None:
    page = desk.sit("demo_admin")
    sent: list[str] = []
    sockets: list[str] = []

    def remember(request: Request) -> None:
        sent.append(f"{request.url} {request.post_data}")

    def remember_socket(socket: WebSocket) -> None:
        sockets.append(socket.url)

    page.context.on("request", remember)
    page.on("websocket", remember_socket)
    # 绑卡: the card says whose it is, 确定.
    put_in(stack, ADMINISTRATORS)
    bind_card(page)
    for fact in (ADMINISTRATORS, "王管理", "大连示范国际货运代理有限公司", "912102002026000129"):
        expect(page.get_by_role("definition").filter(has_text=fact).first).to_be_visible()
    page.get_by_role("button", name="确定").click()
    expect(page.get_by_role("rowheader").filter(has_text=ADMINISTRATORS)).to_be_visible()

    # 退出登录, and in again with the card, to the page that was asked for.
    log_out(page)
    page.wait_for_url("**/accounts/login/")
    page.goto("/smartgate/filings/new/")
    log_in_by_card(page)
    page.wait_for_url("**/smartgate/filings/new/")
    expect(page.locator("[data-user-menu]")).to_contain_text("王管理")

    # 申报 with it.
    trip_no = save_filing(page, new_plate())
    assert trip_no[6:19] == ADMINISTRATORS
    declare_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    assert [one["version"] for one in accepted_by_customs(stack, trip_no)] == [1]

    # Another card: it is not even asked for a signature, and nothing is sent.
    trip_no = save_filing(page, new_plate())
    ask_to_declare(page)
    put_in(stack, OPERATORS)
    untouched, before = stack.cards.cards()[OPERATORS].path.stat().st_mtime_ns, len(sent)
    confirm_with_card(page)
    refused(page, mismatch(OPERATORS, ADMINISTRATORS))
    assert page.get_by_role("alertdialog").get_by_role("alert").filter(has_text="无法进行申报").inner_text() == mismatch(
        OPERATORS, ADMINISTRATORS
    )
    assert stack.cards.cards()[OPERATORS].path.stat().st_mtime_ns == untouched, "the PIN went to the wrong card"
    assert not [one for one in sent[before:] if "declare_confirmed" in one]
    # His own again, on the same page.
    put_in(stack, ADMINISTRATORS)
    confirm_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    assert len(accepted_by_customs(stack, trip_no)) == 1

    assert set(sockets) == {f"{stack.bridge_url}/"}
    assert not [one for one in sent if DEMO_PIN in one], "the PIN left the computer"
    unbind_card(page, ADMINISTRATORS)


@pytest.mark.covers("CARD-05")
def test_nothing_reaches_customs_from_another_card_no_card_or_a_wrong_pin(desk: Desk, stack: Stack, new_plate: Callable[..., str]) -> None:
    page = desk.sit("demo_operator")
    trip_no = save_filing(page, new_plate())
    ask_to_declare(page)
    with stack.reader_with(OTHERS) as reader:
        confirm_with_card(page)
        refused(page, mismatch(OTHERS, OPERATORS))
        reader.put(NO_CARD)
        confirm_with_card(page)
        refused(page, "没有检测到IC卡")
    confirm_with_card(page, pin="12345678")
    refused(page, "还可以再试 5 次")
    assert stack.cards.cards()[OPERATORS].tries_left == 5
    assert accepted_by_customs(stack, trip_no) == []
    confirm_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    assert [one["version"] for one in accepted_by_customs(stack, trip_no)] == [1]
    assert stack.cards.cards()[OPERATORS].tries_left == 6


@pytest.mark.covers("CARD-02", "CARD-08")
@pytest.mark.parametrize("keys", ["rsa2048", "p256"])
def test_cards_with_other_keys_do_the_same(desk: Desk, stack: Stack, new_plate: Callable[..., str], keys: str) -> None:
    page = desk.sit()
    with stack.reader_with(f"{keys}/{OPERATORS}"):
        page.goto("/accounts/login/?next=/smartgate/filings/new/")
        log_in_by_card(page)
        expect(page.locator("[data-user-menu]")).to_contain_text("李操作")
        trip_no = save_filing(page, new_plate())
        declare_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    assert len(accepted_by_customs(stack, trip_no)) == 1


@pytest.mark.covers("CARD-05")
def test_who_has_no_card_is_told_where_to_bind_one(desk: Desk, new_plate: Callable[..., str]) -> None:
    page = desk.sit("demo_admin")
    save_filing(page, new_plate())
    page.get_by_role("button", name="申报").click()
    question = page.get_by_role("alertdialog")
    expect(question).to_contain_text("当前账号尚未绑定IC卡，无法进行申报")
    expect(question.get_by_role("button", name="确认申报")).to_have_count(0)
    question.get_by_role("link", name="我的IC卡").click()
    expect(page.get_by_role("link", name="绑卡")).to_be_visible()
