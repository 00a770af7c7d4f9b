"""The pictures of docs/manual/, taken from the running portal on the way that the manual tells.

`PICTURES=docs/manual/images pytest tests/e2e/test_manual_pictures.py` takes them anew; without it they are only proved to come out. Every
picture that the pages show is taken here, and no other.
"""

import os
import re
from pathlib import Path

import pypdfium2
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.cards import ADMINISTRATORS, ask_to_declare, bind_card, declare_with_card, pin_field, unbind_card
from tests.e2e.conftest import Desk, Stack, visit_until_there
from tests.e2e.people import PASSED, ask_for_code, fill_enterprise, log_out, new_firm
from tests.e2e.test_filing_journey import ACCEPTED, CUSTOMS_MS, save_filing
from tests.e2e.test_importing import HEADER, filled_in, store, template_of, upload

pytestmark = pytest.mark.e2e

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "manual"
MOST_BYTES = 400_000
WIDTH, HEIGHT = 1200, 800


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.environ.get("PICTURES") or tmp_path_factory.mktemp("manual"))


def take(page: Page, album: Path, name: str) -> None:
    """The whole page, as long as it is, without the hint of the field that has the focus."""
    page.evaluate("document.activeElement.blur()")
    path = album / f"{name}.png"
    page.screenshot(path=path, animations="disabled", caret="hide", full_page=True)
    assert 10_000 < path.stat().st_size < MOST_BYTES


def sit(desk: Desk, user: str = "") -> Page:
    return desk.sit(user, width=WIDTH, height=HEIGHT)


def test_pictures_of_the_registration_and_the_first_login(desk: Desk, stack: Stack, album: Path) -> None:
    firm, page = new_firm(), sit(desk)
    page.goto("/")
    page.get_by_role("link", name="注册", exact=True).hover()
    page.screenshot(path=album / "home.png", animations="disabled")
    page.get_by_role("link", name="注册", exact=True).click()
    fill_enterprise(page, firm)
    page.get_by_role("button", name="上一步").click()
    expect(page.get_by_label("企业名称")).to_have_value(firm.name)
    take(page, album, "register-enterprise")
    page.get_by_role("button", name="下一步").click()
    page.get_by_label("登录用户名").fill(firm.administrator.username)
    page.get_by_label("手机号").fill(firm.administrator.mobile)
    page.get_by_label("验证码").fill(ask_for_code(page, stack, firm.administrator, "用户注册"))
    take(page, album, "register-user")
    page.locator("#id_password1").fill(firm.administrator.password)
    page.locator("#id_password2").fill(firm.administrator.password)
    page.get_by_label("姓名").fill(firm.administrator.full_name)
    page.get_by_label("身份证号").fill(firm.administrator.id_no)
    page.get_by_label("邮箱").fill(firm.administrator.email)
    page.get_by_role("button", name="下一步").click()
    page.get_by_label("货物申报").check()
    page.get_by_label("智能卡口散杂货").check()
    page.get_by_label("企业报检注册号").fill("2100000000")
    page.locator("#id_accept_agreements").check()
    take(page, album, "register-services")
    page.get_by_role("button", name="注册", exact=True).click()
    expect(page.get_by_text("是否继续注册本公司其他用户？")).to_be_visible()
    take(page, album, "register-done")

    page.goto("/accounts/login/")
    page.get_by_label("用户名").fill(firm.administrator.username)
    page.screenshot(path=album / "login.png", animations="disabled", caret="hide")
    page.get_by_label("密码").fill(firm.administrator.password)
    page.get_by_label("验证码").fill(PASSED)
    page.get_by_role("button", name="登录", exact=True).click()
    expect(page.get_by_text("请通过预留的手机号码，验证账户")).to_be_visible()
    page.screenshot(path=album / "first-login.png", animations="disabled", caret="hide")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/accounts/profile/", "profile"),
        ("/accounts/operators/", "operators"),
        ("/accounts/applications/", "applications"),
        ("/accounts/qualifications/", "qualifications"),
        ("/accounts/audit/", "audit"),
        ("/accounts/security/", "security"),
    ],
)
def test_pictures_of_the_account_pages(desk: Desk, album: Path, path: str, name: str) -> None:
    page = sit(desk, "demo_admin")
    page.goto(path)
    expect(page.locator("main h1")).to_be_visible()
    take(page, album, name)


def test_picture_of_the_forgotten_password(desk: Desk, album: Path) -> None:
    page = sit(desk)
    page.goto("/accounts/password/forgotten/")
    page.screenshot(path=album / "forgotten-password.png", animations="disabled", caret="hide")


def test_pictures_of_single_sign_on(desk: Desk, album: Path) -> None:
    page = sit(desk)
    page.goto("/accounts/login/")
    page.get_by_role("button", name="中央标准版").click()
    page.get_by_label("用户名").fill("jz_operator")
    page.get_by_label("密码").fill("Demo12345")
    page.get_by_role("button", name="登录", exact=True).click()
    expect(page.get_by_role("heading", name="首次登录设置")).to_be_visible()
    take(page, album, "standard-edition-first")
    page.get_by_label("快速注册").check()
    page.get_by_role("button", name="下一步").click()
    expect(page.get_by_role("heading", name="快速注册", exact=True)).to_be_visible()
    take(page, album, "standard-edition-register")


def test_picture_of_a_second_factor(desk: Desk, album: Path) -> None:
    page = sit(desk, "demo_terminal")
    page.goto("/accounts/2fa/totp/activate/")
    if page.get_by_label("密码").count():
        page.get_by_label("密码").fill("Demo12345")
        page.locator("main form button.btn-primary").click()
    expect(page.locator("main img")).to_be_visible()
    take(page, album, "totp")


def test_pictures_of_the_cards(desk: Desk, stack: Stack, album: Path) -> None:
    with stack.reader_with(ADMINISTRATORS):
        page = sit(desk, "demo_admin")
        page.goto("/accounts/cards/bind/")
        expect(pin_field(page)).to_be_visible()
        take(page, album, "card-bind")
        bind_card(page)
        take(page, album, "card-confirm")
        page.get_by_role("button", name="确定").click()
        expect(page.get_by_role("rowheader").filter(has_text=ADMINISTRATORS)).to_be_visible()
        take(page, album, "cards")
        save_filing(page, "辽B6Z018")
        ask_to_declare(page)
        # The question and what is signed; the entry below it is told of elsewhere.
        page.screenshot(path=album / "card-declare.png", animations="disabled", caret="hide")
        unbind_card(page, ADMINISTRATORS)
        log_out(page)
        page.goto("/accounts/login/card/")
        expect(pin_field(page)).to_be_visible()
        page.screenshot(path=album / "login-card.png", animations="disabled", caret="hide")


def test_pictures_of_the_query_the_print_and_the_statistics(desk: Desk, album: Path) -> None:
    page = sit(desk, "demo_operator")
    # The last state that customs gives: by then the others are there, too.
    visit_until_there(page, "/smartgate/filings/?status=departed", page.locator("#listing-results tbody tr").first)
    number = page.locator("#listing-results tbody tr").first.get_by_role("link", name="打印", exact=True).get_attribute("href")
    page.goto("/smartgate/filings/")
    take(page, album, "smart-gate-query")
    # What the browser's own viewer would show.
    paper = pypdfium2.PdfDocument(page.request.get(number or "").body())
    paper[0].render(scale=1.5).to_pil().quantize(64).save(album / "smart-gate-print.png")
    paper.close()
    page.goto("/smartgate/statistics/")
    expect(page.locator("#stat-total")).to_be_visible()
    take(page, album, "smart-gate-statistics")


def test_pictures_of_the_checks_and_the_base_data(desk: Desk, album: Path) -> None:
    page = sit(desk, "demo_operator")
    page.goto("/smartgate/base/vehicles/")
    expect(page.locator("#listing-results tbody tr").first).to_be_visible()
    take(page, album, "smart-gate-vehicles")
    save_filing(page, "辽B6Z019")
    page.locator("#id_vehicle_weight").fill("8.6")
    page.locator("#id_trailer_weight").fill("21000")
    page.get_by_role("button", name="暂存").click()
    expect(page.locator("#entry-cautions li")).to_have_count(3)
    page.screenshot(path=album / "smart-gate-cautions.png", animations="disabled", caret="hide")


def test_pictures_of_the_entry_a_change_and_a_voiding(desk: Desk, album: Path) -> None:
    page = sit(desk, "demo_operator")
    save_filing(page, "辽B6Z020")
    take(page, album, "smart-gate-entry")
    declare_with_card(page)
    expect(page.locator("#filing-status-label")).to_have_text(ACCEPTED, timeout=CUSTOMS_MS)
    page.reload()
    page.get_by_role("link", name="变更", exact=True).click()
    page.locator("#id_vehicle_weight").fill("8700")
    page.get_by_role("button", name="暂存").click()
    expect(page.get_by_text("变更内容已暂存，尚未申报")).to_be_visible()
    page.screenshot(path=album / "smart-gate-amend.png", animations="disabled", caret="hide")
    page.get_by_role("link", name="查看单据").click()
    page.get_by_role("link", name="删单", exact=True).click()
    page.wait_for_url("**/void/")
    page.get_by_role("button", name="申报").click()
    expect(pin_field(page)).to_be_visible()
    page.screenshot(path=album / "smart-gate-void.png", animations="disabled", caret="hide")


def test_pictures_of_many_filings_at_once(desk: Desk, album: Path) -> None:
    page = sit(desk, "demo_operator")
    template = template_of(page)
    take(page, album, "import-upload")
    rows = [{**HEADER, "绑定介质关键信息": f"辽B7Z{number:03d}"} for number in range(3)]
    upload(
        page,
        filled_in(template, [*rows, {**HEADER, "绑定介质关键信息": "辽BO2345"}, {**HEADER, "绑定介质关键信息": "辽B7Z009", "船名": None}]),
    )
    take(page, album, "import-checked")
    store(page, "只暂存无误的 3 票")
    page.get_by_role("button", name="批量申报").click()
    expect(pin_field(page)).to_be_visible()
    page.locator("summary").filter(has_text="签名原文").first.click()
    take(page, album, "declare-many")


def test_the_manual_shows_the_pictures_that_are_taken_and_no_other() -> None:
    shown = {name for page in MANUAL.glob("*.md") for name in re.findall(r"\(images/([\w-]+)\.png\)", page.read_text(encoding="utf-8"))}
    kept = {path.stem for path in (MANUAL / "images").glob("*.png")}
    assert shown == kept
