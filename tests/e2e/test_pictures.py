"""The README's pictures, taken from the running portal.

`PICTURES=docs/images pytest tests/e2e/test_pictures.py` takes them anew; without it they are only proved to come out.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Desk, visit_until_there
from tests.e2e.test_filing_journey import enter

pytestmark = pytest.mark.e2e

MOST_BYTES = 300_000


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return Path(os.environ.get("PICTURES") or tmp_path)


def take(page: Page, path: Path) -> None:
    page.screenshot(path=path, animations="disabled", caret="hide")
    assert 20_000 < path.stat().st_size < MOST_BYTES


def test_picture_of_the_entry_page(desk: Desk, album: Path) -> None:
    page = desk.sit("demo_operator", width=1440, height=1200)
    page.goto("/smartgate/filings/")
    page.goto("/smartgate/filings/new/")
    expect(page.locator("#id_customs_code")).to_be_focused()
    enter(page, "0908")
    expect(page.locator("#id_bind_key_type")).to_be_focused()
    enter(page, "vn", "辽B8G521", "bg", "2", "i", "02", "8600", "6200", "0")
    page.keyboard.type("散装大豆，后八轮自卸")
    page.keyboard.press("Control+Enter")
    enter(page, "i", "b", "COSU260115001", "新海天", "0126W", "1000000000", "1", "31500", "", "", "", "", "")
    expect(page.locator("#line-1")).to_be_visible()
    enter(page, "i", "c", "CSQU3054383", "新海天", "0126W", "1000000000", "CSQU3054383", "", "DL000001|DL000002", "", "")
    expect(page.locator("#line-2")).to_be_visible()
    enter(page, "i", "b", "COSU260115002", "新海天", "0126W")
    expect(page.locator("#id_line-business_type")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_role("option", name=re.compile("多式联运")).first).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    take(page, album / "filing.png")


def test_picture_of_the_query_page(desk: Desk, album: Path) -> None:
    page = desk.sit("demo_operator", width=1440, height=900)
    page.goto("/smartgate/filings/new/")
    # The last state that customs gives: by then the others are there, too.
    visit_until_there(page, "/smartgate/filings/?status=departed", page.locator("#listing-results tbody tr").first)
    page.goto("/smartgate/filings/")
    expect(page.locator("#listing-results tbody tr").nth(15)).to_be_visible()
    take(page, album / "query.png")
