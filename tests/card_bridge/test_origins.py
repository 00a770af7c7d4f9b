"""Which pages may use the card; what the others get, and that nothing is read for them."""

import json
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus

from card_bridge.backends import Backend
from card_bridge.origins import Origins, normalise
from card_bridge.server import MOST_STRANGERS
from tests.card_bridge.conftest import PIN, Running
from tests.card_bridge.page import ORIGIN, Page, frames_of, opened

STRANGERS = [
    "http://evil.example",
    "https://127.0.0.1:8000",
    "http://127.0.0.1",
    "http://127.0.0.1:8001",
    "http://127.0.0.1:8000.evil.example",
    "http://evil.example/http://127.0.0.1:8000",
    "http://127.0.0.1:8000@evil.example",
    "null",
    "file://",
    "",
    "http://[::1",
    None,
]


class Untouched(Backend):
    """Cards that nobody may look for."""

    remark = ""

    def card(self):
        raise AssertionError("a card was looked for")


@pytest.mark.covers("CARD-01")
@pytest.mark.parametrize("origin", STRANGERS)
def test_strangers_get_nothing(run: Callable[..., Running], origin: str | None) -> None:
    page = run(Untouched()).page(origin)
    assert page.greeting["_method"] == "open"
    assert page.greeting["_args"]["Result"] is False
    for method in ("ver", "cus-sec_SpcGetCardID", "cus-sec_SpcSHA1DigestAsPEM", "nothing"):
        assert page.code(method, passwd=PIN, szInfo="x") == "Err:Bridge40301"
    for wrong in ("x", b"x", "BLOCKTXT", '{"_id": 5}', "[]"):
        page.send(wrong)
        assert page.receive()["_args"]["Error"][1] == "Err:Bridge40301"


def test_a_strangers_blocks_are_not_kept(run: Callable[..., Running]) -> None:
    running = run(Untouched())
    page = running.page("http://evil.example")
    before = running.bridge.budget.left
    page.send(frames_of(json.dumps({"_method": "ver", "_id": 1, "args": {"x": "x" * 300_000}}))[0])
    answer = page.receive()
    assert answer["_method"] == "_nextBlock"
    assert answer["_args"]["Data"][0]["finish"] is True
    assert answer["_args"]["Error"][1] == "Err:Bridge40301"
    # Whoever waits for the call itself is told as well.
    assert Page.args_of(page.receive(), "ver", 1)["Error"] == answer["_args"]["Error"]
    assert running.bridge.budget.left == before


@pytest.mark.parametrize("origin", [ORIGIN, "HTTP://127.0.0.1:8000", "http://127.0.0.1:8000/"])
def test_allowed(bridge: Running, origin: str) -> None:
    page = bridge.page(origin)
    assert page.greeting == {"_id": 0, "_method": "open", "_status": "00", "_args": {"Result": True, "Data": [], "Error": []}}
    assert page.data("cus-sec_SpcGetCardID")


def test_strangers_cannot_take_the_room_of_others(run: Callable[..., Running]) -> None:
    running = run(Untouched())
    with ExitStack() as stack:
        for _ in range(MOST_STRANGERS):
            stack.enter_context(opened(running.port, "http://evil.example"))
        with pytest.raises(InvalidStatus, match="503"):
            stack.enter_context(opened(running.port, "http://evil.example"))
        assert Page.data(running.page(), "ver")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://SW.example.cn", "https://sw.example.cn"),
        ("https://sw.example.cn:443/", "https://sw.example.cn"),
        ("http://sw.example.cn:80", "http://sw.example.cn"),
        ("http://sw.example.cn:8080", "http://sw.example.cn:8080"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_origin_in_its_one_form(given: str, expected: str) -> None:
    assert normalise(given) == expected
    assert Origins([given]).allow(expected)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "*",
        "null",
        "sw.example.cn",
        "ftp://x",
        "http://",
        "http://x/path",
        "http://x?y",
        "http://u@x",
        "http://x:port",
        "http://x:99999",
    ],
)
def test_what_is_no_origin(given: str) -> None:
    with pytest.raises(ValueError):
        normalise(given)
