"""Fonts of printed documents: which font draws which character, how wide it is, where a text breaks into lines."""

import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.pdfdoc import PDFDocument
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

from core.workflow import ActionRefused

#: A font's subset is made by seeking in the one file that all documents of the process share: one document at a time.
ONE_AT_A_TIME = threading.RLock()
#: Signs that never begin a line.
_NOT_FIRST = frozenset("，。、；：！？）》】」』”’%,.;:!?)]}")
_CODE_POINT = re.compile(r"<([0-9A-F]{5,6})>$", re.MULTILINE)


class FontsMissing(ActionRefused):
    """A document cannot be printed because no font is there; the text is for the user."""

    def __init__(self) -> None:
        super().__init__(_("打印所需的字体文件缺失或不可读，暂不能打印，请联系平台管理员。"))


class _Font(TTFont):
    """A font whose text is copied out of the PDF rightly beyond the basic plane, too.

    reportlab writes such a code point as one number of five digits; PDF wants UTF-16, a pair of surrogates.
    """

    def addObjects(self, doc: PDFDocument) -> None:  # noqa: N802 - reportlab's own name
        super().addObjects(doc)
        for name, thing in doc.idToObject.items():
            if str(name).startswith("toUnicodeCMap:"):
                thing.content = _CODE_POINT.sub(_as_utf_16, thing.content)


def _as_utf_16(code_point: re.Match[str]) -> str:
    return f"<{chr(int(code_point[1], 16)).encode('utf-16-be').hex().upper()}>"


class Fonts:
    """The fonts of `PRINT_FONTS`, in their order."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._fonts = [_loaded(Path(path), number) for number, path in enumerate(paths)]
        #: Character → (font, width as a share of the font size); filled as characters come.
        self._known: dict[str, tuple[int, float]] = {}

    def shown(self, text: str) -> str:
        """`text` as it can be printed: a character that no font has, or that nobody could see, by its number ([U+2AED0]).

        Lines end in one way, tabs are blanks.
        """
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
        return "".join(char if char == "\n" or self._look_up(char) is not None else f"[U+{ord(char):04X}]" for char in text)

    def shown_in_line(self, text: str) -> str:
        """The same where there is room for one line."""
        return self.shown(text).replace("\n", " ")

    def width(self, text: str, size: float) -> float:
        """How wide a line is, in points."""
        return sum(self._of(char)[1] for char in text) * size

    def lines(self, text: str, size: float, width: float) -> list[str]:
        """`text` in lines no wider than `width`, broken at blanks and between Chinese characters, and inside a word too long for one."""
        return [line for part in self.shown(text).split("\n") for line in self._broken(part, width / size)]

    @property
    def first(self) -> str:
        """The name of the first font, for a canvas to begin with."""
        return str(self._fonts[0].fontName)

    def draw(self, canvas: Canvas, x: float, y: float, text: str, size: float) -> None:
        """Write one line with its left end of the base line at (x, y)."""
        for font, run in self._runs(text):
            canvas.setFont(self._fonts[font].fontName, size)
            canvas.drawString(x, y, run)
            x += self.width(run, size)

    def _broken(self, text: str, width: float) -> Iterator[str]:
        start, used, chance = 0, 0.0, 0
        for place, char in enumerate(text):
            wide = self._of(char)[1]
            if place > start and _breaks(text[place - 1], char):
                chance = place
            while used + wide > width and place > start and char != " ":
                end = chance if chance > start else place
                yield text[start:end].rstrip(" ")
                start = end
                used = sum(self._of(each)[1] for each in text[start:place])
            used += wide
        yield text[start:].rstrip(" ")

    def _runs(self, text: str) -> Iterator[tuple[int, str]]:
        start = 0
        for place in range(1, len(text) + 1):
            if place == len(text) or self._of(text[place])[0] != self._of(text[start])[0]:
                if text:
                    yield self._of(text[start])[0], text[start:place]
                start = place

    def _of(self, char: str) -> tuple[int, float]:
        found = self._look_up(char)
        if found is None:
            raise ValueError(f"U+{ord(char):04X} has not been through shown()")
        return found

    def _look_up(self, char: str) -> tuple[int, float] | None:
        found = self._known.get(char)
        if found is None and (char.isprintable() or unicodedata.category(char) == "Zs"):
            code = ord(char)
            for number, font in enumerate(self._fonts):
                if code in font.face.charToGlyph:
                    found = self._known[char] = (number, font.face.getCharWidth(code) / 1000)
                    break
        return found


def _breaks(before: str, after: str) -> bool:
    """Whether a line may end between two characters: at a blank, behind what parts numbers, beside a Chinese one."""
    return (before in " |" or after == " " or ord(before) > 0x2E7F or ord(after) > 0x2E7F) and after not in _NOT_FIRST


def _loaded(path: Path, number: int) -> Any:
    name = f"Print{number}-{path.stem}"
    try:
        font = _Font(name, str(path), shapable=False)
    except (TTFError, OSError) as error:
        raise FontsMissing from error
    pdfmetrics.registerFont(font)
    return font


@cache
def _fonts_of(paths: tuple[str, ...]) -> Fonts:
    if not paths:
        raise FontsMissing
    return Fonts(paths)


def fonts() -> Fonts:
    """The fonts of this process, read when first used (some 25 MB, 0.2 s each). Raises FontsMissing."""
    with ONE_AT_A_TIME:
        return _fonts_of(tuple(settings.PRINT_FONTS))
