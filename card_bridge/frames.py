"""Large texts in blocks (`domain.md` §2): a header of 128 characters, then up to about 120 KiB of the text.

Whoever receives asks for each block by `_nextBlock`, and for a wrong one again. Lengths count UTF-16 units.
"""

import json
import re
from dataclasses import dataclass, field
from time import monotonic
from uuid import uuid4

from card_bridge.checksum import Checksum, checksum, units
from card_bridge.errors import BadArgumentsError, BridgeError, TooMuchError

MARK = "BLOCKTXT"
HEADER_LENGTH = 128
#: What a block that we send holds at most. What we send is ASCII: units, characters and bytes are the same number.
BLOCK_UNITS = 120 * 1024
#: What a block that we take holds at most; the official page library may go over its 120 KiB by a few characters.
MOST_BLOCK_UNITS = 128 * 1024
#: What one text holds at most. A page that announces more is told so before anything of it is kept.
MOST_UNITS = 16 * 1024 * 1024
#: What all connections together hold unfinished at most, in UTF-16 units.
MOST_UNITS_IN_ALL = 64 * 1024 * 1024
#: Unfinished texts of one connection at most, each way.
MOST_TEXTS = 4
#: The official page library gives up after three wrong blocks for each block of the text; so do we.
TRIES_PER_BLOCK = 3
#: A text of which nothing has come for so many seconds makes room for another.
PATIENCE = 60.0
#: As much of a text as tells which call it is.
_BEGINNING = 512

_HEADER = re.compile(
    r"BLOCKTXT(?P<whole>[0-9A-Fa-f]{4})(?P<block>[0-9A-Fa-f]{4})(?P<total>[0-9]{16})(?P<length>[0-9]{8})(?P<count>[0-9]{4})"
    r"(?P<group>[0-9A-Za-z-]{36})(?P<index>[0-9]{4}).{44}",
    re.DOTALL,
)


class Budget:
    """How much all connections together may hold."""

    def __init__(self, most: int = MOST_UNITS_IN_ALL) -> None:
        self.left = most

    def take(self, amount: int) -> bool:
        """Whether there was room for so much more."""
        if amount > self.left:
            return False
        self.left -= amount
        return True

    def give_back(self, amount: int) -> None:
        """So much is held no longer."""
        self.left += amount


@dataclass(frozen=True)
class Header:
    """The 128 characters in front of a block."""

    whole: str
    block: str
    total: int
    length: int
    count: int
    group: str
    index: int

    def __str__(self) -> str:
        text = f"{MARK}{self.whole}{self.block}{self.total:016}{self.length:08}{self.count:04}{self.group}{self.index:04}"
        return text.ljust(HEADER_LENGTH, "0")


def read_header(frame: str) -> Header:
    """The header of a frame that begins with MARK. Raises BadArgumentsError when it is cut off or not of that form."""
    match = _HEADER.match(frame)
    if match is None:
        raise BadArgumentsError("分块数据的 128 位报头不完整或格式不对。")
    return Header(
        whole=match["whole"].upper(),
        block=match["block"].upper(),
        total=int(match["total"]),
        length=int(match["length"]),
        count=int(match["count"]),
        group=match["group"],
        index=int(match["index"]),
    )


def next_block(group: str, index: int, *, finish: bool = False, error: BridgeError | None = None) -> str:
    """The message that asks for a block, or (`finish`) says that no more is wanted of this text."""
    data = [{"id": index, "guid": group, "next": index, "finish": finish}]
    args = {"Result": error is None, "Data": data, "Error": error.as_list() if error else []}
    return json.dumps({"_method": "_nextBlock", "_args": args})


@dataclass
class _Incoming:
    header: Header
    blocks: list[str] = field(default_factory=list)
    held: int = 0
    sum: Checksum = field(default_factory=Checksum)
    wrong: int = 0
    touched: float = 0.0
    #: How the text begins, as soon as that is known: it tells which call is waiting.
    beginning: str = ""

    def fits(self, header: Header, block: str) -> bool:
        """Whether this is the block that was asked for, whole and of this text."""
        first = self.header
        return (
            (header.whole, header.total, header.count, header.index) == (first.whole, first.total, first.count, len(self.blocks))
            and header.length == units(block) <= MOST_BLOCK_UNITS
            and self.held + header.length <= header.total
            and header.block == checksum(block)
        )

    @property
    def too_often_wrong(self) -> bool:
        return self.wrong > TRIES_PER_BLOCK * self.header.count


@dataclass
class Taken:
    """What came of a block: what to send back, the whole text once it is there, or why there will be none.

    `beginning`: the first block of a text that is refused; it may tell which call the page waits for.
    """

    replies: list[str]
    text: str | None = None
    error: BridgeError | None = None
    beginning: str = ""


class Incoming:
    """The unfinished texts that one page is sending."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._texts: dict[str, _Incoming] = {}

    def take(self, frame: str) -> Taken:
        """A frame that begins with MARK has come. Raises BadArgumentsError when it has no header."""
        header = read_header(frame)
        block = frame[HEADER_LENGTH:]
        text = self._texts.get(header.group)
        if text is None:
            error = self._refusal(header)
            if error is not None:
                return self._refused(header.group, error, block if header.index == 0 else "")
            if header.index != 0:
                return Taken([next_block(header.group, 0, error=BadArgumentsError("分块顺序不对，请从第一块开始。"))])
            text = self._texts[header.group] = _Incoming(header)
        text.touched = monotonic()
        if not text.fits(header, block):
            return self._again(text, len(text.blocks))
        text.beginning = text.beginning or block[:_BEGINNING]
        if not self._budget.take(header.length):
            return self._refused(header.group, TooMuchError("读卡程序同时接收的数据过多，请稍后再试。"), text.beginning)
        text.held += header.length
        text.blocks.append(block)
        text.sum.add(block)
        if len(text.blocks) < header.count:
            return Taken([next_block(header.group, len(text.blocks))])
        if text.held != header.total or str(text.sum) != header.whole:
            self._budget.give_back(text.held)
            text.blocks, text.held, text.sum = [], 0, Checksum()
            return self._again(text, 0)
        self._forget(header.group)
        return Taken([next_block(header.group, header.count, finish=True)], text="".join(text.blocks))

    def _refusal(self, header: Header) -> BridgeError | None:
        """Why a new text with this header is not begun, or None."""
        if header.total > MOST_UNITS:
            return TooMuchError(f"数据过长：共 {header.total} 个字符，最多 {MOST_UNITS} 个。")
        if not (1 <= header.count <= header.total):
            return BadArgumentsError("分块报头中的长度与块数不对。")
        now = monotonic()
        for group in [group for group, text in self._texts.items() if now - text.touched > PATIENCE]:
            self._forget(group)
        if len(self._texts) >= MOST_TEXTS:
            return TooMuchError(f"同时传输的分块数据过多，最多 {MOST_TEXTS} 组，请稍后再试。")
        return None

    def _again(self, text: _Incoming, index: int) -> Taken:
        text.wrong += 1
        if text.too_often_wrong:
            error = BadArgumentsError("分块数据多次校验失败，已放弃接收。")
            return self._refused(text.header.group, error, text.beginning)
        return Taken([next_block(text.header.group, index, error=BadArgumentsError("数据块不完整、校验码不符或顺序不对，请重新发送。"))])

    def _refused(self, group: str, error: BridgeError, beginning: str) -> Taken:
        self._forget(group)
        return Taken([next_block(group, 0, finish=True, error=error)], error=error, beginning=beginning)

    def _forget(self, group: str) -> None:
        text = self._texts.pop(group, None)
        if text is not None:
            self._budget.give_back(text.held)

    def close(self) -> None:
        """The page is gone."""
        for group in list(self._texts):
            self._forget(group)


@dataclass
class _Outgoing:
    blocks: list[str]
    whole: str
    total: int
    wrong: int = 0


class Outgoing:
    """The texts that one page is fetching from us."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._texts: dict[str, _Outgoing] = {}

    def begin(self, text: str) -> str:
        """Keep an ASCII text for the page to fetch; gives the frame with its first block. Raises TooMuchError when there is no room."""
        if len(text) > MOST_UNITS or len(self._texts) >= MOST_TEXTS or not self._budget.take(len(text)):
            raise TooMuchError("回答的数据过多，请先取完前面的数据再试。")
        group = str(uuid4())
        blocks = [text[at : at + BLOCK_UNITS] for at in range(0, len(text), BLOCK_UNITS)]
        self._texts[group] = _Outgoing(blocks, checksum(text), len(text))
        return self._frame(group, 0)

    def take(self, args: object) -> str | None:
        """The page's own `_nextBlock` has come: the frame that it asks for, or None when it has finished or asks for what is not there."""
        asked = _asked(args)
        if asked is None or asked.group not in self._texts:
            return None
        text = self._texts[asked.group]
        text.wrong += asked.again
        if asked.finish or asked.index >= len(text.blocks) or text.wrong > TRIES_PER_BLOCK * len(text.blocks):
            self._forget(asked.group)
            return None
        return self._frame(asked.group, asked.index)

    def _frame(self, group: str, index: int) -> str:
        text = self._texts[group]
        block = text.blocks[index]
        return f"{Header(text.whole, checksum(block), text.total, len(block), len(text.blocks), group, index)}{block}"

    def _forget(self, group: str) -> None:
        self._budget.give_back(self._texts.pop(group).total)

    def close(self) -> None:
        """The page is gone."""
        for group in list(self._texts):
            self._forget(group)


@dataclass(frozen=True)
class _Asked:
    group: str
    index: int
    finish: bool
    again: bool


def _asked(args: object) -> _Asked | None:
    if not isinstance(args, dict) or not isinstance(args.get("Data"), list) or not args["Data"] or not isinstance(args["Data"][0], dict):
        return None
    data = args["Data"][0]
    group, index = data.get("guid"), data.get("next")
    if not isinstance(group, str) or not isinstance(index, int) or index < 0:
        return None
    return _Asked(group, index, finish=data.get("finish") is True, again=args.get("Result") is False)
