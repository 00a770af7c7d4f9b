"""The card panel in a real browser: what it asks the card, what it posts, and what the user reads when it does not work."""

import base64
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from accounts.forms.card import CardSignatureForm
from card_bridge import certificate
from card_bridge.backends.software import SoftwareBackend
from simulators.cards.keys import KeyType
from tests.card_bridge.conftest import CARD_NUMBERS, PIN, RunningContext, card_files  # noqa: F401 - a fixture
from tests.card_control import Answer, HangUpError, OfficialControl, bad, good, running
from tests.e2e.conftest import AXE, free_port
from tests.e2e.looks import OVERFLOW, PHONE, axe
from tests.e2e.panel_pages import CHALLENGE, CHALLENGE_PATH, Site, served

pytestmark = pytest.mark.e2e

CARD_NO = CARD_NUMBERS[KeyType.SM2]
TEXT = "车牌号：辽B8G521\n重量：8600 千克 🚢\n  <散装大豆> & “后八轮”"
LOGIN = (
    '<form method="post" action="/login/" id="form">{% csrf_token %}'
    '{% include "accounts/card_panel.html" with purpose="login" %}<button class="btn btn-primary">登录</button></form>'
)
DECLARE = (
    '<form method="post" action="/declare/" id="form" {attributes}>{{% csrf_token %}}'
    '<input name="plate" value="辽B8G521" aria-label="车牌">'
    '<pre id="sign-text" class="sign-text">{{{{ text }}}}</pre>'
    '{{% include "accounts/card_panel.html" with text_id="sign-text" bound_card="{bound}" %}}'
    '<button class="btn" name="action" value="save">暂存</button></form>'
    '<button class="btn btn-primary" form="form" name="action" value="declare" data-card-sign>申报</button>'
)


def declare(bound: str = CARD_NO, attributes: str = "") -> str:
    shown = TEXT.replace("&", "&amp;").replace("<", "&lt;")
    return DECLARE.format(bound=bound, attributes=attributes).replace("{{ text }}", shown)


def control(**answers: Answer) -> OfficialControl:
    """The official control with a card; `answers` by the methods' names without prefix."""
    all_answers = {
        "SpcGetCardID": good(CARD_NO),
        "SpcGetSignCertAsPEM": good("Q0VSVA=="),
        "SpcSignDataAsPEM": good("U0lHTg==", "1a2b"),
        "SpcSignRandom": good("U0lHTg==", "1a2b"),
        **answers,
    }
    return OfficialControl({f"cus-sec_{name}": answer for name, answer in all_answers.items()})


def hang_up(_args: object) -> None:
    raise HangUpError


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as site:
        yield site


@pytest.fixture
def start() -> Iterator[Callable[[OfficialControl], str]]:
    """Starts a control; gives its address."""
    with ExitStack() as stack:
        yield lambda control: f"ws://127.0.0.1:{stack.enter_context(running(control)).port}"


@pytest.fixture
def card(card_files: dict[KeyType, Path], tmp_path: Path) -> Path:  # noqa: F811
    return Path(shutil.copy(card_files[KeyType.SM2], tmp_path / "card.json"))


@pytest.fixture
def bridge(card: Path, site: Site) -> Iterator[str]:
    """Our own bridge with a software card; gives its address."""
    with RunningContext(SoftwareBackend(card), origin=site.origin) as bridge:
        yield f"ws://127.0.0.1:{bridge.port}"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A browser window in which no script may fail."""
    context = browser.new_context(locale="zh-CN", reduced_motion="reduce")
    context.set_default_timeout(10_000)
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context.new_page()
    context.close()
    assert errors == []


PIN_FIELD, ERROR, STATUS, HELP = "[data-card-pin]", "[data-card-error]", "[data-card-status]", "[data-card-help]"


def sign(page: Page, button: str, pin: str = PIN) -> None:
    page.locator(PIN_FIELD).fill(pin)
    page.get_by_role("button", name=button).click()


def refused(page: Page, site: Site, text: str) -> None:
    """The user reads this, and nothing was submitted; he may try again."""
    expect(page.locator(ERROR)).to_have_text(text)
    expect(page.locator("[data-card-panel]")).not_to_have_attribute("aria-busy", "true")
    assert site.submitted == []


@pytest.mark.covers("CARD-01", "CARD-02")
def test_a_challenge_is_signed_by_our_bridge(page: Page, site: Site, bridge: str) -> None:
    page.goto(site.add(LOGIN, bridge))
    page.locator(PIN_FIELD).fill(PIN)
    page.locator(PIN_FIELD).press("Enter")
    expect(page.locator("#done")).to_be_visible()
    asked, posted = site.posted
    assert (asked.path, asked.fields) == (CHALLENGE_PATH, {"purpose": "login"})
    assert asked.headers["X-CSRFToken"] == posted.fields["csrfmiddlewaretoken"]
    form = CardSignatureForm(posted.fields)
    assert form.is_valid(), form.errors
    assert form.cleaned_data["challenge"] == CHALLENGE
    found = certificate.load_from_page(posted.fields["certificate"])
    assert found.card_number == CARD_NO
    assert found.key.verifies(CHALLENGE.encode(), base64.b64decode(posted.fields["signature"]))
    assert set(posted.fields) == {"csrfmiddlewaretoken", "challenge", "certificate", "signature"}
    assert PIN not in asked.body + posted.body


@pytest.mark.covers("CARD-01", "CARD-05")
def test_a_text_is_signed_as_it_is_shown(page: Page, site: Site, bridge: str) -> None:
    page.goto(site.add(declare(), bridge))
    sign(page, "申报")
    expect(page.locator("#done")).to_be_visible()
    (posted,) = site.posted
    assert set(posted.fields) == {"csrfmiddlewaretoken", "plate", "certificate", "signature", "action"}
    assert posted.fields["action"] == "declare"
    found = certificate.load_from_page(posted.fields["certificate"])
    assert found.key.verifies(TEXT.encode(), base64.b64decode(posted.fields["signature"]))
    assert PIN not in posted.body


@pytest.mark.covers("CARD-01", "CARD-05")
def test_the_official_control(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    official = control()
    page.goto(site.add(declare(), start(official)))
    sign(page, "申报")
    expect(page.locator("#done")).to_be_visible()
    assert official.calls == [
        ("cus-sec_SpcGetCardID", {}),
        ("cus-sec_SpcGetSignCertAsPEM", {}),
        ("cus-sec_SpcSignDataAsPEM", {"inData": TEXT, "passwd": PIN}),
    ]
    fields = site.submitted[0].fields
    assert (fields["certificate"], fields["signature"]) == ("Q0VSVA==", "U0lHTg==")


@pytest.mark.covers("CARD-05")
def test_another_card(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    official = control(SpcGetCardID=good("2100000000009"))
    page.goto(site.add(declare(), start(official)))
    sign(page, "申报")
    refused(page, site, f"当前卡号 2100000000009 与用户注册信息卡号 {CARD_NO} 不一致，无法进行申报")
    assert official.methods() == ["cus-sec_SpcGetCardID"]
    expect(page.locator(PIN_FIELD)).to_have_value("")


def test_buttons_that_need_no_card_submit_as_they_are(page: Page, site: Site) -> None:
    page.goto(site.add(declare(), f"ws://127.0.0.1:{free_port()}"))
    sign(page, "暂存")
    expect(page.locator("#done")).to_be_visible()
    assert site.submitted[0].fields["action"] == "save"
    assert set(site.submitted[0].fields) == {"csrfmiddlewaretoken", "plate", "action"}


def test_a_double_click_signs_once(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    official = control()
    page.goto(site.add(declare(), start(official)))
    page.locator(PIN_FIELD).fill(PIN)
    button = page.get_by_role("button", name="申报")
    # Both within the same turn of the page's script, and a third by Enter.
    button.evaluate("button => { button.click(); button.click(); }")
    page.locator(PIN_FIELD).press("Enter")
    expect(page.locator("#done")).to_be_visible()
    assert official.methods().count("cus-sec_SpcSignDataAsPEM") == 1
    assert official.connections == 1
    assert len(site.submitted) == 1


def test_nothing_of_the_card_stays_behind(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    address = site.add(declare(attributes="data-entry"), start(control()), scripts=("drafts.js",))
    # Drafts are kept for who is logged in.
    site.pages["/"] = site.pages["/"].replace('data-user=""', 'data-user="7"')
    page.goto(address)
    page.get_by_label("车牌").fill("辽B00001")
    sign(page, "申报")
    expect(page.locator("#done")).to_be_visible()
    draft = page.evaluate("sessionStorage.getItem('draft:7:/')")
    assert "辽B00001" in draft
    for word in ("signature", "certificate", PIN):
        assert word not in draft
    page.go_back()
    expect(page.locator(PIN_FIELD)).to_have_value("")
    expect(page.locator("[data-card-panel]")).not_to_have_attribute("aria-busy", "true")
    page.get_by_role("button", name="申报").click()
    expect(page.locator(ERROR)).to_have_text("请输入IC卡密码。")
    assert len(site.submitted) == 1


def test_enter_in_an_entry_form(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    official = control()
    content = declare(attributes="data-entry").replace("</form>", '<input name="after" aria-label="后面"></form>', 1)
    page.goto(site.add(content, start(official), scripts=("enter-key.js", "submit-once.js", "drafts.js")))
    page.get_by_label("车牌").press("Enter")
    expect(page.locator(PIN_FIELD)).to_be_focused()
    page.keyboard.type("000000")
    official.answers["cus-sec_SpcSignDataAsPEM"] = bad("卡密码错误，还可以再试 9 次。", "Bridge40101")
    page.locator(PIN_FIELD).press("Enter")
    # Not on to the next field, as from others.
    assert page.locator(PIN_FIELD).evaluate("pin => pin === document.activeElement")
    refused(page, site, "卡密码错误，还可以再试 9 次。")
    # submit-once.js has not counted that as a submit.
    official.answers["cus-sec_SpcSignDataAsPEM"] = good("U0lHTg==", "1a2b")
    page.keyboard.type(PIN)
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_be_visible()
    assert site.submitted[0].fields["action"] == "declare"


def test_a_panel_that_htmx_brings(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    official = control()
    address = start(official)
    site.add(declare(attributes='hx-post="/declare/" hx-target="#answer"'), address, path="/part/")
    page.goto(site.add('<div id="place"></div><div id="answer"></div>', address))
    page.evaluate("htmx.ajax('GET', '/part/', {target: '#place', select: 'main > *'})")
    for number in (1, 2):
        sign(page, "申报")
        expect(page.locator("#answer")).to_contain_text("done")
        expect(page.locator("[data-card-panel]")).to_have_attribute("aria-busy", "false")
        assert len(site.submitted) == number
        assert site.submitted[-1].fields["signature"] == "U0lHTg=="
        page.evaluate("document.querySelector('#answer').textContent = ''")
    # What one submit has had is not there for the next.
    page.get_by_role("button", name="暂存").click()
    expect(page.locator("#answer")).to_contain_text("done")
    assert "signature" not in site.submitted[-1].fields


def test_a_panel_that_htmx_takes_away_signs_no_more(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    official = control()
    page.goto(site.add(declare(), start(official)))
    page.evaluate(
        """() => new MutationObserver((_, observer) => {
          if (!document.querySelector('[data-card-status]').textContent.startsWith('正在读卡')) return;
          observer.disconnect();
          document.querySelector('#form').outerHTML = '<p id="gone">gone</p>';
        }).observe(document.querySelector('[data-card-status]'), { childList: true })"""
    )
    sign(page, "申报")
    expect(page.locator("#gone")).to_be_visible()
    page.wait_for_timeout(500)
    assert "cus-sec_SpcSignDataAsPEM" not in official.methods()
    assert site.submitted == []


# -- What the user reads -----------------------------------------------------------------------------


@pytest.mark.covers("CARD-01")
def test_no_program_answers(page: Page, site: Site, card: Path) -> None:
    port = free_port()
    page.goto(site.add(declare(), f"ws://127.0.0.1:{port}"))
    expect(page.locator(HELP)).to_be_hidden()
    sign(page, "申报")
    refused(page, site, "没有连接到读卡程序。请按下面的说明检查，再点“重试”。")
    expect(page.locator(HELP)).to_contain_text("本地网络")
    retry = page.get_by_role("button", name="重试")
    expect(retry).to_be_focused()
    with RunningContext(SoftwareBackend(card), origin=site.origin, port=port):
        # The PIN was not used; 重试 goes on where it stopped.
        page.keyboard.press("Enter")
        expect(page.locator("#done")).to_be_visible()
    assert site.submitted[0].fields["action"] == "declare"


def test_retry_without_a_pin_asks_for_it(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    page.goto(site.add(declare(), f"ws://127.0.0.1:{free_port()}"))
    sign(page, "申报")
    expect(page.locator(HELP)).to_be_visible()
    page.locator(PIN_FIELD).fill("")
    page.evaluate("address => document.querySelector('[data-card-panel]').dataset.bridge = address", start(control()))
    page.get_by_role("button", name="重试").click()
    expect(page.locator(STATUS)).to_have_text("已连接读卡程序，请插入IC卡并输入密码。")
    expect(page.locator(PIN_FIELD)).to_be_focused()
    expect(page.locator(HELP)).to_be_hidden()
    assert site.submitted == []


def test_no_pin(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    official = control()
    page.goto(site.add(declare(), start(official)))
    sign(page, "申报", pin="")
    refused(page, site, "请输入IC卡密码。")
    expect(page.locator(PIN_FIELD)).to_be_focused()
    assert official.connections == 0


@pytest.mark.covers("CARD-01", "CARD-02")
def test_wrong_pin_until_the_card_is_blocked(page: Page, site: Site, bridge: str, card: Path) -> None:
    page.goto(site.add(LOGIN, bridge))
    for _try in range(20):
        sign(page, "登录", pin="00000000")
        expect(page.locator(ERROR)).to_contain_text("卡")
        text = page.locator(ERROR).inner_text()
        expect(page.locator(PIN_FIELD)).to_have_value("")
        expect(page.locator(PIN_FIELD)).to_be_focused()
        if "已锁定" in text:
            break
        assert "卡密码错误，还可以再试 " in text
    refused(page, site, "卡密码错误次数过多，卡已锁定。请到制卡单位解锁。")
    # The right one is too late now.
    sign(page, "登录")
    refused(page, site, "卡密码错误次数过多，卡已锁定。请到制卡单位解锁。")


def test_no_card(page: Page, site: Site, bridge: str, card: Path) -> None:
    page.goto(site.add(declare(), bridge))
    pulled = card.rename(card.with_suffix(".pulled"))
    sign(page, "申报")
    refused(page, site, "没有检测到IC卡。请插入电子口岸IC卡或Ikey后重试。")
    # Put in again, the same PIN goes: it was not used.
    pulled.rename(card)
    page.get_by_role("button", name="申报").click()
    expect(page.locator("#done")).to_be_visible()


def test_a_card_pulled_out_while_it_signs(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    official = control(SpcSignDataAsPEM=bad("读卡器复位失败", "Custom50070"))
    page.goto(site.add(declare(), start(official)))
    sign(page, "申报")
    refused(page, site, "读卡器没有读到卡：卡可能被拔出、没有插好，或正被其他程序使用。请重新插卡后再试。")
    expect(page.locator(PIN_FIELD)).to_have_value("")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("Custom50200", "没有检测到读卡器或IC卡。请连接读卡器、插入IC卡或Ikey后重试。"),
        ("Custom51590", "没有检测到IC卡。请插入电子口岸IC卡或Ikey后重试。"),
        ("Base60408", "电脑的智能卡服务没有运行。请启动该服务（插上读卡器后通常自动启动），或重新启动电脑后再试。"),
        ("Custom77777", "读卡程序没有完成：口令校验失败（Custom77777）"),
    ],
)
def test_refusals_by_code(page: Page, site: Site, start: Callable[[OfficialControl], str], code: str, said: str) -> None:
    page.goto(site.add(declare(), start(control(SpcGetCardID=bad("口令校验失败", code)))))
    sign(page, "申报")
    refused(page, site, said)


@pytest.mark.covers("CARD-01")
def test_a_site_that_is_not_allowed(page: Page, site: Site, card: Path) -> None:
    with RunningContext(SoftwareBackend(card), origin="https://sw.example.cn") as bridge:
        page.goto(site.add(declare(), f"ws://127.0.0.1:{bridge.port}"))
        sign(page, "申报")
        here = site.origin
        said = f"读卡程序不允许本网站（{here}）使用IC卡，没有读卡。请在启动读卡程序时用 --origin {here} 加入本网站的地址，再点“重试”。"
        refused(page, site, said)
        expect(page.get_by_role("button", name="重试")).to_be_focused()


@pytest.mark.covers("CARD-01")
def test_a_browser_that_was_told_not_to_reach_this_computer(browser: Browser, site: Site, start: Callable[[OfficialControl], str]) -> None:
    chromium = shutil.which("chromium")
    # The portal is elsewhere, as it is for everybody but its developers. Nobody sits here to allow it: that counts as no.
    elsewhere = f"--ip-address-space-overrides=127.0.0.1:{site.port}=public"
    with browser.browser_type.launch(executable_path=chromium, args=["--no-sandbox", elsewhere]) as careful:
        context = careful.new_context()
        page = context.new_page()
        page.goto(site.add(declare(), start(control())))
        sign(page, "申报")
        said = (
            "浏览器禁止了本网站访问本机的读卡程序，没有读卡。"
            "请点地址栏左侧的图标，在网站设置中把“本地网络访问”（新版为“设备上的应用”）改为“允许”，再点“重试”。"
        )
        refused(page, site, said)
        context.grant_permissions(["local-network-access"], origin=site.origin)
        page.get_by_role("button", name="重试").click()
        expect(page.locator("#done")).to_be_visible()


def test_a_connection_that_ends_in_the_middle(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    page.goto(site.add(declare(), start(control(SpcSignDataAsPEM=hang_up))))
    sign(page, "申报")
    refused(page, site, "与读卡程序的连接中断，没有提交。请确认读卡程序仍在运行、卡没有拔出，再重新输入密码。")
    expect(page.locator(PIN_FIELD)).to_have_value("")


def test_an_answer_that_is_none(page: Page, site: Site, start: Callable[[OfficialControl], str]) -> None:
    page.goto(site.add(declare(), start(control(SpcGetSignCertAsPEM=lambda _args: "<html>"))))
    sign(page, "申报")
    refused(page, site, "读卡程序的应答无法识别，没有提交。请重新启动或更新读卡程序；也可能是别的程序占用了它的端口。")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((429, {"error": "操作过于频繁，请稍后再试。"}), "操作过于频繁，请稍后再试。"),
        ((403, "<html>"), "页面已过期，请刷新页面后重试。"),
        ((500, "<html>"), "没有取得验证信息，网络或服务器暂时不可用，请稍后重试。"),
        ((200, {}), "没有取得验证信息，网络或服务器暂时不可用，请稍后重试。"),
    ],
)
def test_no_challenge(page: Page, site: Site, start: Callable[[OfficialControl], str], answer: tuple[int, object], said: str) -> None:
    official = control()
    site.challenge = answer
    page.goto(site.add(LOGIN, start(official)))
    sign(page, "登录")
    refused(page, site, said)
    assert official.methods() == ["cus-sec_SpcGetSignCertAsPEM"]


def test_without_script_the_page_says_what_to_do(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.add(LOGIN, "ws://127.0.0.1:9"))
    expect(page.get_by_text("使用IC卡需要浏览器允许运行脚本")).to_be_visible()
    expect(page.locator(PIN_FIELD)).to_be_hidden()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_how_it_looks(browser: Browser, site: Site, scheme: Any) -> None:
    context = browser.new_context(viewport=PHONE, color_scheme=scheme, reduced_motion="reduce")
    context.add_init_script(path=AXE)
    page = context.new_page()
    page.goto(site.add(f"<h1>申报</h1>{declare()}", f"ws://127.0.0.1:{free_port()}"))
    assert (axe(page), page.evaluate(OVERFLOW)) == ([], [])
    sign(page, "申报")
    expect(page.locator(HELP)).to_be_visible()
    assert (axe(page), page.evaluate(OVERFLOW)) == ([], [])
    context.close()
