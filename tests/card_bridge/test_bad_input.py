"""What pages must not send, and cards must not be: each gets an answer that says so, and the next call works."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError

from card_bridge.backends.software import SoftwareBackend
from card_bridge.server import MOST_MESSAGE
from tests.card_bridge.conftest import PIN, Running
from tests.card_bridge.page import ORIGIN, Page

SIGN = "cus-sec_SpcSignDataAsPEM"


@pytest.fixture(autouse=True)
def _still_answers(page: Page, bridge: Running):
    """Whatever a test did, the same page and another one get an answer afterwards."""
    yield
    for visitor in (page, bridge.page()):
        try:
            assert visitor.data("cus-sec_SpcGetCardID") == ["2100000000001"]
        except ConnectionClosedError:
            # The page that broke the protocol itself; the other one must work.
            assert visitor is page


@pytest.mark.covers("CARD-01")
@pytest.mark.parametrize(
    "method", ["SpcGetCardID", "cus-sec_", "cus-sec_ver", "security_ver", "cus-sec_Format", "x", "cus_sec-SpcGetCardID", "号" * 9]
)
def test_a_method_that_there_is_not(page: Page, method: str) -> None:
    assert page.code(method, passwd=PIN) == "Err:Base50000"


@pytest.mark.parametrize("call_id", [0, 1, -5, 10**30, 1.5, "1", "", "一", "\ud800", None, "x" * 1000])
def test_the_id_comes_back_as_it_was(page: Page, call_id: object) -> None:
    assert page.call("ver", call_id)["Result"] is True


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "{",
        '{"_method"',
        "null",
        "5",
        "[]",
        '"ver"',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"_method": "ver", "_id": NaN}',
        '{"_method": "ver", "_id": Infinity}',
        '{"_method": "ver", "_id": 1e999}',
        '{"_method": "ver", "_id": ' + "9" * 10_000 + "}",
        '{"_method": "ver", "_id": true}',
        '{"_method": "ver", "_id": {}}',
        '{"_method": "ver", "_id": [1]}',
        '{"_method": 5, "_id": 1}',
        '{"_method": "", "_id": 1}',
        '{"_method": ["ver"], "_id": 1}',
        '{"_id": 1}',
        '{"_method": "ver", "_id": 1, "args": []}',
        '{"_method": "ver", "_id": 1, "args": "x"}',
        '{"_method": "ver", "_id": 1, "args": 5}',
        "BLOCK",
        "\x00",
    ],
    ids=lambda text: text[:30],
)
def test_json_that_is_none(page: Page, text: str) -> None:
    page.send(text)
    answer = page.receive()["_args"]
    assert answer["Result"] is False
    assert answer["Error"][1] == "Err:Base50000"


@pytest.mark.parametrize("data", [b"", b"\x00", b'{"_method":"ver"}', b"BLOCKTXT", bytes(200_000)])
def test_binary_frames(page: Page, data: bytes) -> None:
    page.send(data)
    assert page.receive()["_args"]["Error"] == ["请求应为文本帧，不支持二进制帧。", "Err:Base50000"]


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"inData": None, "passwd": PIN},
        {"inData": "", "passwd": PIN},
        {"inData": 5, "passwd": PIN},
        {"inData": ["x"], "passwd": PIN},
        {"inData": "\ud800", "passwd": PIN},
        {"inData": "x"},
        {"inData": "x", "passwd": None},
    ],
)
def test_arguments_that_are_missing_or_wrong(page: Page, args: dict[str, object]) -> None:
    assert page.code(SIGN, **args) == "Err:Base50000"


@pytest.mark.parametrize("method", ["SpcSignDataNoHashAsPEM", "SpcVerifySignData", "SpcSHA1DigestAsPEM", "SpcSignRandom", "SpcChangePIN"])
def test_no_arguments(page: Page, method: str) -> None:
    assert page.code(f"cus-sec_{method}") == "Err:Base50000"


@pytest.mark.covers("CARD-01")
@pytest.mark.parametrize(
    "pin",
    [
        "1",
        "12345",
        "123456789",
        "1234567",
        "12345a",
        "１２３４５６",
        "123456 ",
        "12 456",
        "\x00" * 6,
        "9" * 100_000,
        12345678,
        ["12345678"],
    ],
)
def test_a_pin_that_no_card_has_costs_no_try(page: Page, sm2_card: Path, pin: object) -> None:
    before = json.loads(sm2_card.read_text())["tries_left"]
    code = page.code("cus-sec_SpcVerifyPIN", passwd=pin)
    if pin == "1234567":
        # Odd, and yet one that a card can have.
        assert code == "Err:Bridge40101"
    else:
        assert code == "Err:Base50000"
        assert json.loads(sm2_card.read_text())["tries_left"] == before


@pytest.mark.covers("CARD-01")
def test_a_card_is_blocked_after_its_last_try(page: Page) -> None:
    for left in (5, 4, 3, 2, 1):
        answer = page.call(SIGN, inData="x", passwd="00000000")
        assert answer["Error"] == [f"卡密码错误，还可以再试 {left} 次。", "Err:Bridge40101"]
    blocked = ["卡密码错误次数过多，卡已锁定（剩余 0 次），请到制卡单位解锁。", "Err:Bridge40102"]
    assert page.call(SIGN, inData="x", passwd="00000000")["Error"] == blocked
    assert page.call(SIGN, inData="x", passwd=PIN)["Error"] == blocked
    assert page.call("cus-sec_SpcChangePIN", oldPin=PIN, newPin="123456")["Error"] == blocked


def test_no_card_and_another_one(page: Page, sm2_card: Path, card_files: dict[object, Path]) -> None:
    there = sm2_card.read_text()
    sm2_card.unlink()
    for method in ("SpcInitEnvEx", "SpcGetCardID", "SpcGetValidTimeFromCert"):
        assert page.code(f"cus-sec_{method}") == "Err:Custom51590"
    assert page.code(SIGN, inData="x", passwd=PIN) == "Err:Custom51590"
    others = [path for path in card_files.values() if "2100000000001" not in path.name]
    sm2_card.write_text(others[0].read_text())
    assert page.data("cus-sec_SpcGetCardID") == [others[0].stem]
    sm2_card.write_text(there)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _card: "", id="empty"),
        pytest.param(lambda _card: "[" * 50_000, id="deep"),
        pytest.param(lambda _card: "x" * 300_000, id="large"),
        pytest.param(lambda card: {**card, "format": "other/1"}, id="another-format"),
        pytest.param(lambda card: {**card, "key": 5}, id="no-key"),
        pytest.param(lambda card: {**card, "key": {}}, id="empty-key"),
        pytest.param(lambda card: {**card, "key": {**card["key"], "iterations": 10**12}}, id="for-ever"),
        pytest.param(lambda card: {**card, "key": {**card["key"], "nonce": ""}}, id="no-nonce"),
        pytest.param(lambda card: {**card, "tries_left": "5"}, id="tries-are-text"),
        pytest.param(lambda card: {**card, "tries_left": 99}, id="more-tries-than-there-are"),
        pytest.param(lambda card: {**card, "certificate": "AAAA"}, id="no-certificate"),
        pytest.param(lambda card: {**card, "certificate": None}, id="null-certificate"),
    ],
)
def test_a_card_file_that_is_none(page: Page, sm2_card: Path, change: Callable[[dict[str, object]], object]) -> None:
    there = sm2_card.read_text()
    contents = change(json.loads(there))
    sm2_card.write_text(contents if isinstance(contents, str) else json.dumps(contents))
    assert page.code(SIGN, inData="x", passwd=PIN) == "Err:Bridge50001"
    sm2_card.write_text(there)


def test_a_message_that_announces_a_gigabyte(bridge: Running, page: Page) -> None:
    # By the WebSocket's own length, before any of it is there.
    with socket.create_connection(("127.0.0.1", bridge.port)) as raw:
        raw.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{bridge.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {ORIGIN}\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        raw.settimeout(10)
        assert b" 101 " in raw.recv(4096)
        raw.sendall(b"\x81\xff" + (2**30).to_bytes(8, "big") + b"\x00\x00\x00\x00")
        received = b""
        while part := raw.recv(4096):
            received += part
        assert (1009).to_bytes(2, "big") in received


def test_a_message_that_is_too_long(page: Page) -> None:
    page.send("x" * (MOST_MESSAGE + 1))
    with pytest.raises(ConnectionClosedError, match="1009"):
        page.receive()


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(200), b"G" * 100_000]
)
def test_what_is_no_websocket(bridge: Running, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", bridge.port)) as raw:
        raw.settimeout(10)
        try:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass
        except ConnectionError:
            # Hung up on before all of it was read.
            assert len(data) > 1000


def test_a_fault_of_our_own_is_told_and_logged_without_what_was_sent(
    run: Callable[..., Running], sm2_card: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SoftwareBackend):
        def card(self):
            raise KeyError("the secret " + PIN)

    page = run(Broken(sm2_card)).page()
    with caplog.at_level("DEBUG"):
        assert page.code(SIGN, inData="very private", passwd=PIN) == "Err:Bridge50000"
        assert page.data("ver")
    assert "KeyError" in caplog.text
    assert PIN not in caplog.text
    assert "private" not in caplog.text
