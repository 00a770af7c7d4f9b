"""What is offered while one types on the entry page of a filing: with keys, with the mouse, and without a script (SGW-11)."""

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from tests.e2e.test_entry_page import signed_in
from tests.smartgate.factories import make_bill, make_vehicle

pytestmark = [pytest.mark.e2e, pytest.mark.covers("SGW-11"), pytest.mark.django_db(transaction=True)]
NEW = "/smartgate/filings/new/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture(autouse=True)
def _base_data(operator: User, other_operator: User) -> None:
    call_command("seed_reference", verbosity=0)
    make_vehicle(operator, vehicle_flow_type="02")
    make_vehicle(operator, bind_key_info="辽B12399", vehicle_weight=Decimal(9000), trailer_weight=None)
    make_vehicle(other_operator, bind_key_info="辽B12300")
    make_bill(operator)


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, operator: User) -> Iterator[Page]:
    context = signed_in(browser, live_server, operator)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    context.close()
    assert troubles == []


def choose(page: Page, field: str, code: str) -> None:
    page.locator(field).fill(code)
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Enter")


def test_a_vehicle_is_found_by_a_part_chosen_by_keys_and_fills_what_is_empty(page: Page) -> None:
    page.goto(NEW)
    choose(page, "#id_bind_key_type", "VN")
    expect(page.locator("#id_bind_key_info")).to_be_focused()
    page.locator("#id_trailer_weight").fill("7000")
    page.locator("#id_bind_key_info").focus()
    page.keyboard.type("b123")
    offers = page.get_by_role("option")
    expect(offers).to_have_count(2)
    expect(page.get_by_role("option", name="辽B12300")).to_have_count(0)
    expect(page.get_by_role("option", selected=True)).to_have_count(0)
    expect(offers.nth(1)).to_contain_text("8600 + 6200.5 千克")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#id_bind_key_info")).to_have_value("辽B12345")
    expect(page.locator("#id_vehicle_weight")).to_have_value("8600")
    expect(page.locator("#id_trailer_weight")).to_have_value("7000")
    expect(page.locator("#id_vehicle_flow_type")).to_have_value("02 空进重出")
    expect(page.locator("#id_business_type")).to_be_focused()


def test_what_is_typed_stays_as_it_is_typed(page: Page) -> None:
    page.goto(NEW)
    choose(page, "#id_bind_key_type", "VN")
    field = page.locator("#id_bind_key_info")
    field.press_sequentially("辽B1234")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(field).to_have_value("辽B1234")
    page.keyboard.type("6")
    page.keyboard.press("Enter")
    expect(field).to_have_value("辽B12346")
    expect(page.locator("#id_vehicle_weight")).to_have_value("")
    expect(page.locator("#id_business_type")).to_be_focused()


def test_a_bill_says_what_is_left_and_brings_vessel_and_voyage(page: Page) -> None:
    page.goto(NEW)
    choose(page, "#id_transport_mode", "2")
    page.locator("#id_line-object_id").press_sequentially("COSU")
    expect(page.get_by_role("option")).to_have_count(0)
    choose(page, "#id_line-object_type", "B")
    page.locator("#id_line-object_id").fill("")
    page.locator("#id_line-object_id").press_sequentially("cosu")
    offer = page.get_by_role("option", name="COSU123456789")
    expect(offer).to_contain_text("剩余 50000 / 50000 千克")
    offer.click()
    expect(page.locator("#id_line-object_id")).to_have_value("COSU123456789")
    expect(page.locator("#id_line-vessel_name")).to_have_value("新海天")
    expect(page.locator("#id_line-voyage_no")).to_have_value("0126W")


def test_without_a_script_the_browser_offers_them_itself(browser: Browser, live_server: LiveServer, operator: User) -> None:
    options: dict[str, Any] = {"java_script_enabled": False}
    context = signed_in(browser, live_server, operator, **options)
    page = context.new_page()
    page.goto(NEW)
    expect(page.locator("#id_bind_key_info")).to_have_attribute("list", "usual-vehicles")
    expect(page.locator("#usual-vehicles option")).to_have_count(2)
    expect(page.locator("#known-bills option")).to_have_count(1)
    page.get_by_role("link", name="沿用上一票").click()
    expect(page.get_by_text("还没有可沿用的单据")).to_be_visible()
    context.close()
