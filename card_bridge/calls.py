"""Calls and answers as JSON (`domain.md` §2)."""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from card_bridge.errors import BadArgumentsError, BridgeError

#: How the beginning of a call looks that the official page library writes.
_BEGINNING = re.compile(r'\{"_method": ?"(?P<method>[0-9A-Za-z_-]{1,100})", ?"_id": ?(?P<id>[0-9]{1,15}|"[^"\\\x00-\x1f]{0,100}")[,}]')

CallId = int | float | str | None


@dataclass(frozen=True)
class Call:
    """What a page asks. `in_blocks`: the page says (`"_blocks": true`) that it can put together a long answer that comes in blocks."""

    method: str
    id: CallId = None
    args: dict[str, Any] = field(default_factory=dict)
    in_blocks: bool = False


class MalformedCallError(Exception):
    """A text that is no call. `call`: as much of it as could be read, so that the answer reaches whoever waits for it."""

    def __init__(self, call: Call, error: BadArgumentsError) -> None:
        super().__init__(error.text)
        self.call = call
        self.error = error


def parse(text: str) -> Call:
    """The call in a text. Raises MalformedCallError."""
    nobody = Call("")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise MalformedCallError(nobody, BadArgumentsError("请求不是有效的 JSON。")) from None
    if not isinstance(value, dict):
        raise MalformedCallError(nobody, BadArgumentsError("请求应为 JSON 对象。"))
    call_id, method = value.get("_id"), value.get("_method")
    if not _usable_id(call_id):
        raise MalformedCallError(Call(method if isinstance(method, str) else ""), BadArgumentsError("_id 应为数字或字符串。"))
    if not isinstance(method, str) or not method:
        raise MalformedCallError(Call("", call_id), BadArgumentsError("请求中没有 _method。"))
    args = value.get("args", value.get("_args", {}))
    if args is None:
        args = {}
    if not isinstance(args, dict):
        raise MalformedCallError(Call(method, call_id), BadArgumentsError("args 应为 JSON 对象。"))
    return Call(method, call_id, args, in_blocks=value.get("_blocks") is True)


def beginning(text: str) -> Call | None:
    """The method and id of a call of which only the beginning is there."""
    match = _BEGINNING.match(text)
    return Call(match["method"], json.loads(match["id"])) if match else None


def answer(call: Call, data: list[Any]) -> str:
    """The answer to a call that went well. ASCII, so that nothing in it can fail on its way."""
    return _text(call, {"Result": True, "Data": data, "Error": []})


def refusal(call: Call, error: BridgeError) -> str:
    """The answer to a call that failed."""
    return _text(call, {"Result": False, "Data": [], "Error": error.as_list()})


def _text(call: Call, args: dict[str, Any]) -> str:
    return json.dumps({"_id": call.id, "_method": call.method, "_status": "00", "_args": args})


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _usable_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return value is None or isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value))
