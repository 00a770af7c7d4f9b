"""static/portal/js/card-bridge.js in a real browser, against our own bridge and against a control like the official one (CARD-01)."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, WebSocket

from card_bridge import VERSION, certificate
from card_bridge.backends.software import SoftwareBackend
from card_bridge.checksum import checksum
from simulators.cards.keys import KeyType
from tests.card_bridge.conftest import CARD_NUMBERS, PIN, RunningContext, card_files  # noqa: F401 - a fixture
from tests.card_bridge.page import check_code, js_length
from tests.card_control import Answer, HangUpError, OfficialControl, bad, good, running
from tests.e2e.conftest import free_port
from tests.e2e.panel_pages import CHALLENGE, served

pytestmark = [pytest.mark.e2e, pytest.mark.covers("CARD-01")]

CARD_ID, CERTIFICATE, SIGN = "cus-sec_SpcGetCardID", "cus-sec_SpcGetSignCertAsPEM", "cus-sec_SpcSignDataAsPEM"
#: Beyond a block, with characters of one, two and three bytes and surrogate pairs, so that a cut falls in every place.
LARGE = "".join(f"第{number}行：散装大豆 abc é 🚢🌾\n" for number in range(12_000))
#: Beginning of every script: what a promise came to, as it can be handed over.
TOOLS = """const { CardBridge, signTexts, checksum, split } = window.portal.cards;
const failure = ({ reason, text, code, message }) => ({ reason: reason ?? message, text, code });
const outcome = (promise) => promise.then((value) => ({ value }), failure);
"""


@pytest.fixture(scope="module")
def origin() -> Iterator[Callable[[Browser], tuple[Page, str]]]:
    """Opens the page that has the module; gives it and its origin. One for all tests."""
    opened: list[tuple[Page, str]] = []
    with served() as site:

        def page_of(browser: Browser) -> tuple[Page, str]:
            if not opened:
                page = browser.new_context().new_page()
                page.set_default_timeout(20_000)
                page.goto(site.add("", "ws://127.0.0.1:9"))
                opened.append((page, site.origin))
            return opened[0]

        yield page_of


@pytest.fixture
def page(browser: Browser, origin: Callable[[Browser], tuple[Page, str]]) -> Page:
    return origin(browser)[0]


@pytest.fixture(scope="module")
def bridge(
    browser: Browser,
    origin: Callable[[Browser], tuple[Page, str]],
    card_files: dict[KeyType, Path],  # noqa: F811
) -> Iterator[str]:
    """Our own bridge with a software card, for pages of that origin; gives its address."""
    with RunningContext(SoftwareBackend(card_files[KeyType.SM2]), origin=origin(browser)[1]) as bridge:
        yield f"ws://127.0.0.1:{bridge.port}"


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """Starts a control; gives its address."""
    with ExitStack() as stack:
        yield lambda control: f"ws://127.0.0.1:{stack.enter_context(running(control)).port}"


def run(page: Page, url: str, script: str, argument: Any = None) -> Any:
    """What the script gives; it has `url`, `argument`, `bridge` (not connected yet) and TOOLS. The connection ends with it."""
    return page.evaluate(
        f"""async ([url, argument]) => {{ {TOOLS}
          const bridge = new CardBridge(url, {{ times: {{ read: 3000, sign: 10000 }} }});
          const late = new Promise((_, reject) => setTimeout(() => reject(new Error('still waiting')), 30000));
          try {{ return await Promise.race([late, (async () => {{ {script} }})()]); }} finally {{ bridge.close(); }} }}""",
        [url, argument],
    )


def control(answers: dict[str, Answer] | None = None, **options: Any) -> OfficialControl:
    card = {CARD_ID: good("2100000000001"), CERTIFICATE: good("Q0VSVA=="), SIGN: good("U0lHTg==", "1a2b")}
    return OfficialControl({**card, **(answers or {})}, **options)


def frames(page: Page) -> list[tuple[str, str]]:
    """Frames of the page's connections from now on: sent or received, and their texts."""
    seen: list[tuple[str, str]] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framesent", lambda text: seen.append(("sent", str(text))))
        socket.on("framereceived", lambda text: seen.append(("received", str(text))))

    page.once("websocket", watch)
    return seen


# -- Checksum and blocks -----------------------------------------------------------------------------


def test_checksum_is_that_of_the_bridge(page: Page) -> None:
    texts = ["", "a", "123456789", "辽B8G521", "🚢🌾", "ÿĀ\x00", "\n" * 5, LARGE]
    found = run(page, "ws://127.0.0.1:9", "return argument.map(checksum)", texts)
    assert found == [checksum(text) for text in texts]
    assert found[2] == "374B"  # CRC-16/MODBUS of 123456789 is 4B37, low byte first


@pytest.mark.parametrize("offset", range(7))
def test_blocks_are_cut_between_characters(page: Page, offset: int) -> None:
    text = "x" * offset + "🚢" * 50_000 + "é" * 10
    blocks = run(page, "ws://127.0.0.1:9", "return split(argument)", text)
    assert "".join(blocks) == text
    assert len(blocks) == 3
    for block in blocks:
        # A half of a pair would not have come through as text.
        block.encode("utf-8")
        assert 0 < sum(3 * js_length(one) if ord(one) > 0xFF else 1 for one in block) <= 120 * 1024


def test_a_text_of_a_block_goes_whole(page: Page) -> None:
    lengths = "return [120 * 1024 - 6, 120 * 1024 - 5].map((length) => split('x'.repeat(length)).length)"
    assert run(page, "ws://127.0.0.1:9", lengths) == [1, 2]


# -- Our own bridge ----------------------------------------------------------------------------------


def test_each_call_at_our_bridge(page: Page, bridge: str) -> None:
    script = """return { version: await bridge.version(), number: await bridge.cardNumber(), certificate: await bridge.certificate(),
      text: await bridge.signText("车牌 🚢", argument.pin), random: await bridge.signRandom(argument.challenge, argument.pin),
      info: await bridge.call("security_getGetCardUserInfoAll", { userpin: argument.pin }) }"""
    found = run(page, bridge, script, {"pin": PIN, "challenge": CHALLENGE})
    assert found["version"].startswith(f"{VERSION} ")
    assert found["number"] == CARD_NUMBERS[KeyType.SM2]
    assert found["info"][0].split("||")[5] == CARD_NUMBERS[KeyType.SM2]
    key = certificate.load_from_page(found["certificate"]).key
    assert key.verifies("车牌 🚢".encode(), base64.b64decode(found["text"]))
    assert key.verifies(CHALLENGE.encode(), base64.b64decode(found["random"]))


def test_many_calls_at_once_at_our_bridge(page: Page, bridge: str) -> None:
    script = """const calls = [];
      for (let number = 0; number < 5; number++) calls.push(bridge.cardNumber(), bridge.version());
      return Promise.all(calls)"""
    found = run(page, bridge, script)
    assert found[::2] == [CARD_NUMBERS[KeyType.SM2]] * 5
    assert len(set(found[1::2])) == 1


def test_a_large_text_is_signed_by_our_bridge(page: Page, bridge: str) -> None:
    seen = frames(page)
    script = "return { certificate: await bridge.certificate(), signature: await bridge.signText(argument[0], argument[1]) }"
    found = run(page, bridge, script, [LARGE, PIN])
    key = certificate.load_from_page(found["certificate"]).key
    assert key.verifies(LARGE.encode(), base64.b64decode(found["signature"]))
    assert sum(way == "sent" and text.startswith("BLOCKTXT") for way, text in seen) > 3


def test_a_block_that_is_spoilt_on_the_way_goes_again(page: Page, bridge: str) -> None:
    script = """const send = WebSocket.prototype.send;
      let count = 0;
      WebSocket.prototype.send = function (text) {
        const isSpoilt = text.startsWith("BLOCKTXT") && ++count === 2;
        send.call(this, isSpoilt ? `${text.slice(0, -1)}?` : text);
      };
      try { return { signature: await bridge.signText(argument[0], argument[1]), certificate: await bridge.certificate() }; }
      finally { WebSocket.prototype.send = send; }"""
    seen = frames(page)
    found = run(page, bridge, script, [LARGE, PIN])
    assert certificate.load_from_page(found["certificate"]).key.verifies(LARGE.encode(), base64.b64decode(found["signature"]))
    sent = [text[80:84] for way, text in seen if way == "sent" and text.startswith("BLOCKTXT")]
    assert sent[:4] == ["0000", "0001", "0001", "0002"]


@pytest.mark.parametrize("in_blocks", [True, False])
def test_a_large_answer_of_our_bridge(page: Page, bridge: str, in_blocks: bool) -> None:
    # An answer names its method: the longest answer is to the method with the longest name.
    seen = frames(page)
    script = """const first = await outcome(bridge.call(argument[0], {}, { blocks: argument[1] }));
      return [first, await bridge.cardNumber()]"""
    first, number = run(page, bridge, script, [f"没有的方法🚢{'长' * 60_000}", in_blocks])
    assert (first["reason"], first["code"], first["text"]) == ("refused", "Base50000", "读卡程序没有这个方法。")
    assert number == CARD_NUMBERS[KeyType.SM2]
    assert any(way == "received" and text.startswith("BLOCKTXT") for way, text in seen) is in_blocks


def test_refusals_of_our_bridge(page: Page, bridge: str) -> None:
    script = """const wrong = await outcome(bridge.signText("x", "00000000"));
      const right = await outcome(bridge.signText("x", argument));
      return [wrong, right, await outcome(bridge.signText("x", "1")), await outcome(bridge.signText("\\ud800", argument))]"""
    wrong, right, short, broken = run(page, bridge, script, PIN)
    assert (wrong["reason"], wrong["code"]) == ("refused", "Bridge40101")
    assert "还可以再试" in wrong["text"]
    assert right["value"]
    assert (short["code"], broken["code"]) == ("Base50000", "Base50000")


def test_more_than_our_bridge_takes(page: Page, bridge: str) -> None:
    found = run(page, bridge, "return outcome(bridge.signText('x'.repeat(17 * 1024 * 1024), argument))", PIN)
    assert (found["reason"], found["code"]) == ("refused", "Bridge41301")


def test_a_page_that_our_bridge_does_not_know(page: Page, card_files: dict[KeyType, Path]) -> None:  # noqa: F811
    with RunningContext(SoftwareBackend(card_files[KeyType.SM2]), origin="https://sw.example.cn") as bridge:
        found = run(page, f"ws://127.0.0.1:{bridge.port}", "return [await outcome(bridge.connect()), await outcome(bridge.cardNumber())]")
    assert [one["code"] for one in found] == ["Bridge40301", "Bridge40301"]


# -- The official control ----------------------------------------------------------------------------


def test_two_calls_of_one_method(page: Page, start: Callable[..., str]) -> None:
    numbers = iter(["1", "2", "3"])
    official = control({CARD_ID: lambda _args: {"Result": True, "Data": [next(numbers)], "Error": []}})
    found = run(page, start(official), "return Promise.all([bridge.cardNumber(), bridge.cardNumber(), bridge.cardNumber()])")
    # The control itself complains when a call comes before the one before it is answered.
    assert found == ["1", "2", "3"]
    assert official.connections == 1


def test_answers_whose_id_is_another(page: Page, start: Callable[..., str]) -> None:
    def answer(_args: object) -> list[Any]:
        arguments = {"Result": True, "Data": ["right"], "Error": []}
        wrong = {"_id": 1, "_method": "cus-sec_SpcGetUName", "_status": "00", "_args": {**arguments, "Data": ["wrong"]}}
        return [json.dumps(wrong), json.dumps({"_id": 99, "_method": CARD_ID, "_status": "00", "_args": arguments})]

    official = control({CARD_ID: answer})
    assert run(page, start(official), "return [await bridge.cardNumber(), await bridge.certificate()]") == ["right", "Q0VSVA=="]


def test_certificates_with_header_lines(page: Page, start: Callable[..., str]) -> None:
    official = control({CERTIFICATE: good("-----BEGIN CERTIFICATE-----\r\nQ0VS\r\nVA==\r\n-----END CERTIFICATE-----\r\n")})
    assert run(page, start(official), "return bridge.certificate()") == "Q0VSVA=="


@pytest.mark.parametrize("ask_again", [set(), {0}, {1}, {1, 2, 3}])
def test_a_large_text_for_the_official_control(page: Page, start: Callable[..., str], ask_again: set[int]) -> None:
    official = control(ask_again=ask_again)
    assert run(page, start(official), "return bridge.signText(argument[0], argument[1])", [LARGE, PIN]) == "U0lHTg=="
    assert official.calls == [(SIGN, {"inData": LARGE, "passwd": PIN})]
    assert len(official.texts) == 1


def test_a_control_that_never_takes_a_block(page: Page, start: Callable[..., str]) -> None:
    official = control(ask_again=set(range(1000)))
    found = run(page, start(official), "return outcome(bridge.signText(argument, '88888888'))", LARGE)
    assert found["reason"] == "unreadable"


def test_a_control_that_refuses_the_blocks(page: Page, start: Callable[..., str]) -> None:
    official = control(refuse_blocks=["数据过长", "Err:Custom1"])
    found = run(
        page, start(official), "return [await outcome(bridge.signText(argument, '88888888')), await outcome(bridge.cardNumber())]", LARGE
    )
    # What else it may say of that text has nowhere to go.
    assert found == [{"reason": "refused", "text": "数据过长", "code": "Custom1"}] * 2


def spoil_once(number: int, frame: str) -> str:
    return frame[:-1] + "?" if number == 1 else frame


def other_text_at_first(number: int, frame: str) -> str:
    """A block that is right in itself and not one of this text: only the checksum of the whole tells."""
    block = frame[128:-1] + "?"
    return f"{frame[:12]}{check_code(block)}{frame[16:128]}{block}" if number == 1 else frame


def small_letters(_number: int, frame: str) -> str:
    return frame[:8] + frame[8:16].lower() + frame[16:]


@pytest.mark.parametrize(
    ("spoil", "asked_again"), [(lambda _number, frame: frame, []), (spoil_once, [1]), (other_text_at_first, [0]), (small_letters, [])]
)
def test_a_large_answer_in_blocks(page: Page, start: Callable[..., str], spoil: Callable[[int, str], str], asked_again: list[int]) -> None:
    official = control({CARD_ID: good(LARGE)}, spoil=spoil)
    script = "const [text] = await bridge.call(argument); return [text, await bridge.certificate()]"
    assert run(page, start(official), script, CARD_ID) == [LARGE, "Q0VSVA=="]
    assert official.asked_again == asked_again


def test_a_large_answer_whole(page: Page, start: Callable[..., str]) -> None:
    official = control({CARD_ID: good(LARGE)}, in_blocks=False)
    assert run(page, start(official), f"return bridge.call('{CARD_ID}')") == [LARGE]


def test_a_large_answer_that_stays_wrong(page: Page, start: Callable[..., str]) -> None:
    official = control({CARD_ID: good(LARGE)}, spoil=lambda number, frame: frame[:-1] + "?" if number else frame)
    found = run(page, start(official), f"return [await outcome(bridge.call('{CARD_ID}')), await outcome(bridge.certificate())]")
    assert [one["reason"] for one in found] == ["unreadable", "unreadable"]


def test_texts_are_signed_in_their_order(page: Page, start: Callable[..., str]) -> None:
    official = control({SIGN: lambda args: {"Result": True, "Data": [f"<{args['inData']}>", "1a2b"], "Error": []}})
    found = run(page, start(official), "return signTexts({ bridge, texts: ['一', '二', '三'], pin: argument })", PIN)
    assert found == {"cardNo": "2100000000001", "certificate": "Q0VSVA==", "signatures": ["<一>", "<二>", "<三>"]}
    assert official.methods() == [CARD_ID, CERTIFICATE, SIGN, SIGN, SIGN]


# -- What goes wrong ---------------------------------------------------------------------------------


def test_nobody_answers(page: Page) -> None:
    assert run(page, f"ws://127.0.0.1:{free_port()}", "return outcome(bridge.cardNumber())")["reason"] == "unreachable"


def hang_up(_args: object) -> None:
    raise HangUpError


def test_closed_in_the_middle(page: Page, start: Callable[..., str]) -> None:
    script = "return Promise.all([outcome(bridge.cardNumber()), outcome(bridge.certificate()), outcome(bridge.cardNumber())])"
    found = run(page, start(control({CARD_ID: hang_up})), script)
    assert [one["reason"] for one in found] == ["closed"] * 3


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html>",
        "null",
        "[]",
        "1",
        '"text"',
        '{"_method":',
        f'{{"_method":"{CARD_ID}"}}',
        f'{{"_method":"{CARD_ID}","_args":{{"Result":true}}}}',
    ],
)
def test_answers_that_are_none(page: Page, start: Callable[..., str], answer: str) -> None:
    found = run(page, start(control({CARD_ID: lambda _args: answer})), "return outcome(bridge.cardNumber())")
    assert found["reason"] == "unreadable"


@pytest.mark.parametrize("data", [[], [""], [None], [7]])
def test_no_card_number_in_the_answer(page: Page, start: Callable[..., str], data: list[Any]) -> None:
    assert run(page, start(control({CARD_ID: good(*data)})), "return outcome(bridge.cardNumber())")["reason"] == "unreadable"


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (["没有卡", "Err:Custom50200"], "没有卡", "Custom50200"),
        (["Err:Custom50200"], "", "Custom50200"),
        (["没有卡"], "没有卡", ""),
        ("没有卡", "没有卡", ""),
        (None, "", ""),
    ],
)
def test_what_a_refusal_says(page: Page, start: Callable[..., str], error: Any, text: str, code: str) -> None:
    official = control({CARD_ID: lambda _args: {"Result": False, "Data": [], "Error": error}})
    found = run(page, start(official), "return [await outcome(bridge.cardNumber()), await bridge.certificate()]")
    assert found == [{"reason": "refused", "text": text, "code": code}, "Q0VSVA=="]


def test_an_answer_of_nobody_is_that_of_the_call_under_way(page: Page, start: Callable[..., str]) -> None:
    refusal = {"_id": None, "_method": "", "_args": {"Result": False, "Data": [], "Error": ["不是有效的 JSON", "Err:Base50000"]}}
    found = run(page, start(control({CARD_ID: lambda _args: json.dumps(refusal)})), "return outcome(bridge.cardNumber())")
    assert found["code"] == "Base50000"


def test_no_answer_in_time(page: Page, start: Callable[..., str]) -> None:
    # An answer of another method is no answer; one that came later would pass for that to the next call.
    official = control({CARD_ID: lambda _args: json.dumps({"_method": "cus-sec_Other", "_args": {"Result": True, "Data": ["x"]}})})
    script = """const hasty = new CardBridge(url, { times: { read: 200 } });
      return [await outcome(hasty.cardNumber()), await outcome(hasty.cardNumber())]"""
    assert [one["reason"] for one in run(page, start(official), script)] == ["timeout", "timeout"]
    assert official.methods() == [CARD_ID]


def test_a_control_that_says_nothing_at_first(page: Page, start: Callable[..., str]) -> None:
    assert run(page, start(control(greeting=None)), "return bridge.cardNumber()") == "2100000000001"


def test_a_program_that_is_no_control(page: Page, start: Callable[..., str]) -> None:
    assert run(page, start(control(greeting="hello")), "return outcome(bridge.connect())")["reason"] == "unreadable"


def test_what_is_closed_stays_closed(page: Page, start: Callable[..., str]) -> None:
    script = "const call = outcome(bridge.cardNumber()); bridge.close(); return [await call, await outcome(bridge.certificate())]"
    assert [one["reason"] for one in run(page, start(control()), script)] == ["aborted", "aborted"]


def test_no_error_tells_the_pin(page: Page, start: Callable[..., str]) -> None:
    official = control({SIGN: bad("卡密码错误", "Custom1")})
    script = "return bridge.signText('x', argument).catch((error) => JSON.stringify(error) + error.stack + String(error))"
    assert PIN not in run(page, start(official), script, PIN)
