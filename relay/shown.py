"""Bytes of a message as people may look at them, whoever made them: as text where it is text, else in hex; never more than so much."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

#: What is shown of a message; the rest is for the download.
SHOWN_BYTES: Final = 64 * 1024
#: In hex a line takes five times as much room.
SHOWN_HEX_BYTES: Final = 4 * 1024
_BINARY: Final = re.compile(r"[\x00-\x08\x0e-\x1f]")
#: Controls, formats (which turn the direction of writing, or take no room), surrogates, private use, not assigned.
_UNSEEN: Final = {"Cc", "Cf", "Cs", "Co", "Cn"}


@dataclass(frozen=True, slots=True)
class Shown:
    """`kind` is text, hex or empty; `size` is that of the whole, `shown` how many bytes of it the text stands for."""

    kind: str
    text: str
    size: int
    shown: int

    @property
    def is_cut(self) -> bool:
        """Whether there is more."""
        return self.shown < self.size


def shown(content: bytes, *, size: int | None = None) -> Shown:
    """`content`, or the beginning of it when `size` says that there is more."""
    whole = len(content) if size is None else size
    if not content:
        return Shown("empty", "", whole, 0)
    beginning = content[:SHOWN_BYTES]
    # The cut may go through a character: up to three bytes of it are left out.
    for end in range(len(beginning), max(len(beginning) - 4, 0), -1):
        try:
            text = beginning[:end].decode("utf-8-sig")
        except UnicodeDecodeError:
            continue
        if not _BINARY.search(text):
            return Shown("text", visible(text, keep="\n\t"), whole, end)
        break
    beginning = content[:SHOWN_HEX_BYTES]
    return Shown("hex", "\n".join(_hex_line(beginning, at) for at in range(0, len(beginning), 16)), whole, len(beginning))


def _hex_line(content: bytes, at: int) -> str:
    part = content[at : at + 16]
    letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
    return f"{at:08x}  {part.hex(' '):<47}  {letters}"


def visible(text: str, *, keep: str = "") -> str:
    """The text with what one cannot see written out (`\\u{202e}`): it can neither drive a terminal nor pretend to be other text."""
    return "".join(f"\\u{{{ord(char):x}}}" if unicodedata.category(char) in _UNSEEN and char not in keep else char for char in text)
