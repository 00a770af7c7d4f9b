"""A card in a PC/SC reader, with the bridge between it and a real browser: bound, logged in with, declared with, swapped.

The reader is vpcd's, behind pcscd; the bridge talks PIV to it as to any card. Once for each kind of key that a card may have.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from devserver import services
from devserver.cards import DEMO_PIN
from simulators.cards.keys import KeyType
from tests.card_bridge.page import opened
from tests.e2e.cards import (
    ADMINISTRATORS,
    OPERATORS,
    ask_to_declare,
    bind_card,
    confirm_with_card,
    declare_with_card,
    log_in_by_card,
    mismatch,
    pin_field,
    unbind_card,
)
from tests.e2e.conftest import ROOT, Desk, Stack, running_stack
from tests.e2e.people import log_out
from tests.e2e.test_filing_journey import ACCEPTED, CUSTOMS_MS, accepted_by_customs, save_filing
from tests.pcsc import Slot, card_in_reader, needs_reader, running_service, wait_until

pytestmark = [pytest.mark.e2e, needs_reader]
WRONG_PIN = "11111111"
#: What `verify_signature` calls the algorithm of each kind of key.
ALGORITHMS = {KeyType.SM2: "SM2-with-SM3", KeyType.RSA_2048: "RSA-SHA256", KeyType.P256: "ECDSA-SHA256"}


@dataclass
class Place:
    """A portal whose bridge looks for cards in PC/SC readers, and the reader."""

    stack: Stack
    slot: Slot

    def put(self, card: str) -> None:
        """Another card into the reader: NUMBER, or KEY_TYPE/NUMBER. Comes back when the bridge sees it."""
        assert self.slot.order(f"insert {self.file_of(card)}").startswith("ok")
        port = int(self.stack.bridge_url.rpartition(":")[2])
        with opened(port, origin=self.stack.url) as page:
            number = card.rpartition("/")[2]
            wait_until(lambda: page.call("cus-sec_SpcGetCardID")["Data"] == [number], f"card {number} is not seen")

    def file_of(self, card: str) -> Path:
        """The card's file among the demo's."""
        return Path(self.stack.cards.cards()[card].path)

    def manage(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of the portal over its database."""
        postgres, redis = services.servers(self.stack.var_dir)
        cards = self.stack.cards
        environment = {
            **os.environ,
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "CELERY_BROKER_URL": redis.broker_url,
            "PORTAL_MODE": "demo",
            "VAR_DIR": str(self.stack.var_dir),
            "CARD_TRUST_ANCHORS": str(cards.anchors),
            "CARD_CRL_DIR": str(cards.lists),
        }
        return subprocess.run([sys.executable, "manage.py", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Reader first, so that the bridge finds it; the demo's first card in it."""
    with running_service() as service, running_stack(CARD_BACKEND="pcsc") as stack:
        home = tmp_path_factory.mktemp("reader")
        with card_in_reader(service, home, Path(stack.cards.cards()[OPERATORS].path)) as slot:
            yield Place(stack, slot)


@pytest.fixture
def reader_desk(browser: Browser, place: Place) -> Iterator[Desk]:
    """Where to open windows onto that portal."""
    with ExitStack() as closing:
        yield Desk(browser, place.stack, closing)


@pytest.mark.covers("CARD-01", "CARD-02", "CARD-03", "CARD-05", "CARD-07", "CARD-08", "SGW-04")
@pytest.mark.parametrize("kind", list(KeyType), ids=str)
def test_a_card_in_a_reader_is_bound_logged_in_with_declared_with_and_swapped(
    place: Place, reader_desk: Desk, new_plate: Callable[..., str], kind: KeyType
) -> None:
    card = OPERATORS if kind == KeyType.SM2 else f"{kind}/{OPERATORS}"
    page = reader_desk.sit("demo_operator")
    sent: list[str] = []
    page.context.on("request", lambda request: sent.append(f"{request.url} {request.post_data}"))

    # 绑卡. The demo's account comes with its card bound; a wrong PIN costs one try and binds nothing.
    unbind_card(page, OPERATORS)
    place.put(card)
    page.goto("/accounts/cards/bind/")
    pin_field(page).fill(WRONG_PIN)
    page.get_by_role("button", name="读取卡信息").click()
    expect(page.get_by_role("alert").filter(has_text=re.compile("密码.*错误|还可|剩余"))).to_be_visible()
    bind_card(page)
    page.get_by_role("button", name="确定").click()
    expect(page.get_by_role("rowheader").filter(has_text=OPERATORS)).to_be_visible()

    # 退出登录, and in again through 卡介质.
    log_out(page)
    page.goto("/smartgate/filings/new/")
    log_in_by_card(page)
    page.wait_for_url("**/smartgate/filings/new/")

    # 申报: customs has it once, and what was signed can be verified from the database alone.
    trip_no = save_filing(page, new_plate())
    assert trip_no[6:19] == OPERATORS
    declare_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    assert len(accepted_by_customs(place.stack, trip_no)) == 1
    verified = place.manage("verify_signature", "--filing", trip_no)
    assert verified.returncode == 0, verified.stderr
    assert ALGORITHMS[kind] in verified.stdout
    assert OPERATORS in verified.stdout

    # Another card: said in the manual's words, and nothing is sent.
    unsent = save_filing(page, new_plate())
    ask_to_declare(page)
    place.put(ADMINISTRATORS)
    before = len(sent)
    confirm_with_card(page)
    expect(page.get_by_role("alertdialog").get_by_role("alert").filter(has_text="无法进行申报")).to_have_text(
        mismatch(ADMINISTRATORS, OPERATORS)
    )
    expect(page.locator("#id_status")).to_have_text("暂存")
    assert not [one for one in sent[before:] if "declare_confirmed" in one]
    # Out of the reader in the middle of it, and his own again: no restart of anything.
    assert place.slot.order("remove").startswith("ok")
    confirm_with_card(page)
    expect(page.get_by_role("alertdialog").get_by_role("alert").filter(has_text=re.compile("没有检测到|没有读到"))).to_be_visible()
    assert accepted_by_customs(place.stack, unsent) == []
    assert place.manage("verify_signature", "--filing", unsent).returncode == 1
    place.put(card)
    confirm_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    assert len(accepted_by_customs(place.stack, unsent)) == 1
    assert not [one for one in sent if DEMO_PIN in one or WRONG_PIN in one], "the PIN left the computer"
