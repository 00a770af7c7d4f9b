"""Large texts in blocks, in both directions: through the bridge's own port, from a page that behaves as the official library does."""

import json
from uuid import uuid4

import pytest

from card_bridge import frames
from card_bridge.checksum import checksum
from card_bridge.errors import TooMuchError
from tests.card_bridge.conftest import PIN, Running
from tests.card_bridge.page import Page, check_code, frames_of, header, js_length

GROUP = "01234567-89ab-cdef-0123-456789abcdef"


def sha1_call(text: str, call_id: object = 7) -> str:
    return json.dumps({"_method": "cus-sec_SpcSHA1DigestAsPEM", "_id": call_id, "args": {"szInfo": text}}, ensure_ascii=False)


@pytest.mark.covers("CARD-01")
@pytest.mark.parametrize("filling", ["货", "a", "é", "😀", "货a😀é"])
def test_a_long_call_in_blocks(page: Page, filling: str) -> None:
    text = filling * (600_000 // len(filling.encode()))
    blocks = frames_of(sha1_call(text))
    assert len(blocks) >= 2
    answer = page.send_frames(blocks)
    expected = page.data("cus-sec_SpcSHA1DigestAsPEM", szInfo=text)
    assert Page.args_of(answer, "cus-sec_SpcSHA1DigestAsPEM", 7) == {"Result": True, "Data": expected, "Error": []}
    assert [asked["Data"][0]["next"] for asked in page.asked] == [*range(1, len(blocks)), len(blocks)]
    assert [asked["Data"][0]["finish"] for asked in page.asked] == [False] * (len(blocks) - 1) + [True]
    assert all(asked["Result"] is True and asked["Error"] == [] for asked in page.asked)


@pytest.mark.covers("CARD-01")
def test_a_long_text_is_signed_from_blocks(page: Page) -> None:
    text = "货物" * 150_000
    call = {"_method": "cus-sec_SpcSignDataAsPEM", "_id": "s1", "args": {"inData": text, "passwd": PIN}}
    answer = page.send_frames(frames_of(json.dumps(call)))
    signature = Page.args_of(answer, "cus-sec_SpcSignDataAsPEM", "s1")["Data"][0]
    assert page.data("cus-sec_SpcVerifySignData", inData=text, signData=signature) == []


def test_one_block_is_finished_too(page: Page) -> None:
    # The library keeps even a text of a single block until it is told that it has arrived.
    page.send_frames(frames_of(sha1_call("abc"), GROUP))
    assert page.asked == [{"Result": True, "Data": [{"id": 1, "guid": GROUP, "next": 1, "finish": True}], "Error": []}]


def spoil_once(how):
    """Spoil the second frame that is sent, and no other."""
    return lambda sent, frame: how(frame) if sent == 1 else frame


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(lambda frame: frame[:-1], id="truncated"),
        pytest.param(lambda frame: frame[:128], id="without-a-block"),
        pytest.param(lambda frame: frame[:-1] + ("y" if frame[-1] == "x" else "x"), id="other-contents"),
        pytest.param(lambda frame: frame[:12] + "0000" + frame[16:], id="checksum-of-the-block"),
        pytest.param(lambda frame: frame[:8] + "0000" + frame[12:], id="checksum-of-the-whole"),
        pytest.param(lambda frame: frame[:80] + "0002" + frame[84:], id="another-index"),
        pytest.param(lambda frame: frame[:16] + "9" * 16 + frame[32:], id="another-total"),
        pytest.param(lambda frame: frame + "x", id="longer"),
    ],
)
def test_a_wrong_block_is_asked_for_again(page: Page, how) -> None:
    blocks = frames_of(sha1_call("x" * 300_000))
    answer = page.send_frames(blocks, spoil_once(how))
    assert answer["_args"]["Result"] is True
    again = page.asked[1]
    assert again["Result"] is False
    assert again["Data"][0]["next"] == 1
    assert again["Data"][0]["finish"] is False
    assert again["Error"][1] == "Err:Base50000"


def test_blocks_out_of_order(page: Page) -> None:
    blocks = frames_of(sha1_call("x" * 300_000), GROUP)
    page.send(blocks[2])
    assert page.receive()["_args"]["Data"] == [{"id": 0, "guid": GROUP, "next": 0, "finish": False}]
    page.send(blocks[0])
    assert page.receive()["_args"]["Data"][0]["next"] == 1
    page.send(blocks[2])
    wrong = page.receive()["_args"]
    assert (wrong["Result"], wrong["Data"][0]["next"]) == (False, 1)
    page.send(blocks[0])
    assert page.receive()["_args"]["Data"][0]["next"] == 1
    assert page.send_frames([blocks[1], blocks[1], blocks[2]])["_args"]["Result"] is True


def test_a_whole_that_does_not_add_up_begins_anew_and_is_given_up(bridge: Running, page: Page) -> None:
    text = sha1_call("x" * 200_000)
    blocks = [frame[:8] + "0000" + frame[12:] for frame in frames_of(text)]
    answer = page.send_frames(blocks)
    assert Page.args_of(answer, "cus-sec_SpcSHA1DigestAsPEM", 7) == {
        "Result": False,
        "Data": [],
        "Error": ["分块数据多次校验失败，已放弃接收。", "Err:Base50000"],
    }
    assert page.asked[-1]["Data"][0]["finish"] is True
    assert sum(not asked["Result"] for asked in page.asked) == 3 * len(blocks) + 1
    assert bridge.bridge.budget.left == frames.MOST_UNITS_IN_ALL
    assert page.data("cus-sec_SpcSHA1DigestAsPEM", szInfo="x")


def test_a_block_that_stays_wrong_is_given_up(page: Page) -> None:
    blocks = frames_of(sha1_call("x" * 200_000))
    page.send_frames(blocks, lambda sent, frame: frame if sent == 0 else frame[:-1])
    assert len(page.asked) == 1 + 3 * len(blocks) + 1
    assert page.asked[-1]["Data"][0]["finish"] is True


@pytest.mark.parametrize("cut", [8, 20, 79, 127])
def test_a_truncated_header(page: Page, cut: int) -> None:
    page.send(frames_of(sha1_call("x"))[0][:cut])
    answer = page.receive()
    assert answer["_id"] is None
    assert answer["_args"]["Error"] == ["分块数据的 128 位报头不完整或格式不对。", "Err:Base50000"]
    assert page.data("cus-sec_SpcSHA1DigestAsPEM", szInfo="x")


@pytest.mark.parametrize("total", ["00000000 1234567", "0000000000001_00", "٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠١", "-000000000000001"])
def test_numbers_of_a_header_are_digits(page: Page, total: str) -> None:
    frame = frames_of(sha1_call("x"))[0]
    page.send(frame[:16] + total + frame[32:])
    assert page.receive()["_args"]["Error"][1] == "Err:Base50000"


def test_a_gigabyte_announced_is_refused_at_once(bridge: Running, page: Page) -> None:
    block = sha1_call("x" * 1000)
    frame = header("0000", check_code(block), total=2**30, length=js_length(block), count=9000, group=GROUP, index=0) + block
    page.send(frame)
    refused = page.receive()
    assert refused["_method"] == "_nextBlock"
    assert refused["_args"]["Data"][0]["finish"] is True
    assert refused["_args"]["Error"][1] == "Err:Bridge41301"
    # The call itself is answered as well, so that the page does not wait for ever.
    assert Page.args_of(page.receive(), "cus-sec_SpcSHA1DigestAsPEM", 7)["Error"] == refused["_args"]["Error"]
    assert bridge.bridge.budget.left == frames.MOST_UNITS_IN_ALL


@pytest.mark.parametrize(("total", "count"), [(0, 0), (0, 1), (100, 0), (5, 6)])
def test_lengths_that_cannot_be(page: Page, total: int, count: int) -> None:
    page.send(header("0000", "FFFF", total=total, length=0, count=count, group=GROUP, index=0))
    assert page.receive()["_args"]["Error"][1] == "Err:Base50000"


def test_what_is_unfinished_is_bounded_and_forgotten_with_the_page(bridge: Running) -> None:
    page = bridge.page()
    for _ in range(frames.MOST_TEXTS):
        page.send(frames_of(sha1_call("x" * 300_000))[0])
        assert page.receive()["_args"]["Result"] is True
    page.send(frames_of(sha1_call("x" * 300_000))[0])
    assert page.receive()["_args"]["Error"][1] == "Err:Bridge41301"
    assert Page.args_of(page.receive(), "cus-sec_SpcSHA1DigestAsPEM", 7)["Result"] is False
    assert bridge.bridge.budget.left < frames.MOST_UNITS_IN_ALL - 4 * 100_000
    page.connection.close()
    assert bridge.eventually(lambda: bridge.bridge.budget.left == frames.MOST_UNITS_IN_ALL)


def test_all_pages_share_what_can_be_held() -> None:
    incoming = frames.Incoming(frames.Budget(150_000))
    first, second = frames_of(sha1_call("x" * 300_000)), frames_of(sha1_call("y" * 300_000))
    assert incoming.take(first[0]).error is None
    refused = incoming.take(second[0])
    assert isinstance(refused.error, TooMuchError)
    assert refused.beginning.startswith('{"_method"')
    assert isinstance(incoming.take(first[1]).error, TooMuchError)
    assert incoming.take(second[0]).error is None


def test_a_text_of_which_nothing_comes_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(frames, "monotonic", lambda: now[0])
    incoming = frames.Incoming(frames.Budget())
    for _ in range(frames.MOST_TEXTS):
        incoming.take(frames_of(sha1_call("x" * 300_000))[0])
    assert incoming.take(frames_of(sha1_call("x" * 300_000))[0]).error is not None
    now[0] += frames.PATIENCE + 1
    assert incoming.take(frames_of(sha1_call("x" * 300_000))[0]).error is None


# From the bridge to the page


def fetch(page: Page, first: str) -> str:
    """Put a long answer together as a page does that said it can."""
    blocks, frame = [], first
    while True:
        read = frames.read_header(frame)
        block = frame[128:]
        assert read.length == js_length(block) <= 120 * 1024
        assert read.block == check_code(block)
        assert read.index == len(blocks)
        blocks.append(block)
        if len(blocks) == read.count:
            break
        data = {"guid": read.group, "next": len(blocks), "finish": False}
        page.send(json.dumps({"_method": "_nextBlock", "_args": {"Result": True, "Data": [data], "Error": []}}))
        frame = page.connection.recv(timeout=20)
    page.send(json.dumps({"_method": "_nextBlock", "_args": {"Result": True, "Data": [{"guid": read.group, "next": 0, "finish": True}]}}))
    text = "".join(blocks)
    assert (js_length(text), check_code(text)) == (read.total, read.whole)
    return text


LONG_ID = "号" * 50_000


def long_call(in_blocks: bool) -> str:
    return json.dumps({"_method": "ver", "_id": LONG_ID, "_blocks": in_blocks, "args": {}}, ensure_ascii=False)


@pytest.mark.covers("CARD-01")
def test_a_long_answer_in_blocks(bridge: Running, page: Page) -> None:
    page.send(long_call(in_blocks=True))
    answer = json.loads(fetch(page, page.connection.recv(timeout=20)))
    assert Page.args_of(answer, "ver", LONG_ID)["Result"] is True
    assert page.data("ver")
    assert bridge.bridge.budget.left == frames.MOST_UNITS_IN_ALL


def test_a_page_that_does_not_say_that_it_can_gets_it_whole(page: Page) -> None:
    # The official page library reads nothing but JSON.
    page.send(long_call(in_blocks=False))
    assert Page.args_of(page.receive(), "ver", LONG_ID)["Result"] is True


def test_a_block_is_sent_again_when_the_page_asks(page: Page) -> None:
    page.send(long_call(in_blocks=True))
    first = page.connection.recv(timeout=20)
    group = frames.read_header(first).group
    for result, index in ((True, 1), (False, 1), (False, 0)):
        page.send(
            json.dumps({"_method": "_nextBlock", "_args": {"Result": result, "Data": [{"guid": group, "next": index, "finish": False}]}})
        )
        frame = page.connection.recv(timeout=20)
        assert frames.read_header(frame).index == index
        assert frames.read_header(frame).block == checksum(frame[128:])


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"Data": []},
        {"Data": ["x"]},
        {"Data": [{"guid": 1, "next": 0}]},
        {"Data": [{"guid": str(uuid4()), "next": 0}]},
        {"Data": [{"guid": GROUP, "next": -1}]},
        {"Data": {}},
    ],
)
def test_asking_for_what_is_not_there_gets_nothing(page: Page, args) -> None:
    page.send(json.dumps({"_method": "_nextBlock", "_args": args}))
    assert page.data("ver")


def test_answers_that_nobody_fetches_are_bounded(page: Page) -> None:
    for _ in range(frames.MOST_TEXTS):
        page.send(long_call(in_blocks=True))
        assert page.connection.recv(timeout=20).startswith("BLOCKTXT")
    page.send(long_call(in_blocks=True))
    assert Page.args_of(page.receive(), "ver", LONG_ID)["Error"][1] == "Err:Bridge41301"
