"""What a sheet is made of, apart from tables: headings, paragraphs, fields with their values, bar codes.

A block says how high it is in a given width, and draws itself from its top left corner. Points, y upwards, as in PDF.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol, Self

from reportlab.graphics.barcode.code128 import Code128
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.lib.colors import Color, black
from reportlab.pdfgen.canvas import Canvas

from core.pdf.fonts import Fonts

INK, QUIET, RULE, GROUND = black, Color(0.33, 0.33, 0.33), Color(0.6, 0.6, 0.6), Color(0.93, 0.93, 0.93)
TEXT = 8.0
LEADING = 1.3
PADDING = 3.0
#: Empty border of a QR code, as its standard wants it.
_QUIET_MODULES = 4


class Block(Protocol):
    """A part of a sheet that stands on one page as a whole, unless it is higher than a page."""

    def height(self, fonts: Fonts, width: float) -> float:
        """Its height in points; asked for before `cut` and `draw`."""

    def cut(self, room: float) -> "Sequence[tuple[Block, float]]":
        """The same in parts that are no higher than `room`, each with its height; none of a line is lost."""

    def draw(self, canvas: Canvas, fonts: Fonts, x: float, top: float, width: float) -> None:
        """Draw it downwards from (x, top)."""


def slices(most: int, *columns: Sequence[str]) -> Sequence[list[list[str]]]:
    """Columns of lines beside each other, in parts of so many lines."""
    longest = max(len(lines) for lines in columns)
    return [[list(lines[start : start + most]) for lines in columns] for start in range(0, longest, most)]


def draw_lines(canvas: Canvas, fonts: Fonts, x: float, top: float, lines: Sequence[str], *, size: float) -> None:
    """Lines below each other, the first one's upper edge at `top`."""
    for number, line in enumerate(lines):
        fonts.draw(canvas, x, top - size - number * size * LEADING, line, size)


@dataclass
class Paragraph:
    """A text over the whole width."""

    text: str
    size: float = TEXT
    is_quiet: bool = False
    gap: float = 4.0
    _lines: list[str] = field(default_factory=list)

    def height(self, fonts: Fonts, width: float) -> float:
        self._lines = fonts.lines(self.text, self.size, width)
        return len(self._lines) * self.size * LEADING + self.gap

    def cut(self, room: float) -> Sequence[tuple[Self, float]]:
        line = self.size * LEADING
        parts = slices(max(1, int((room - self.gap) / line)), self._lines)
        return [(replace(self, _lines=lines), len(lines) * line + self.gap) for (lines,) in parts]

    def draw(self, canvas: Canvas, fonts: Fonts, x: float, top: float, width: float) -> None:
        canvas.setFillColor(QUIET if self.is_quiet else INK)
        draw_lines(canvas, fonts, x, top, self._lines, size=self.size)


@dataclass
class Heading(Paragraph):
    """What the document or a part of it is called."""

    size: float = 15.0
    gap: float = 6.0


@dataclass
class Fields:
    """Labels with their values in a ruled grid, row by row; `wide` ones take a row of their own."""

    fields: Sequence[tuple[str, str]]
    wide: Sequence[tuple[str, str]] = ()
    columns: int = 3
    label_width: float = 84.0
    gap: float = 8.0
    _rows: list[tuple[float, list[tuple[float, list[str], list[str]]]]] = field(default_factory=list)

    def height(self, fonts: Fonts, width: float) -> float:
        self._rows = []
        narrow = list(self.fields)
        for start in range(0, len(narrow), self.columns):
            self._add(fonts, narrow[start : start + self.columns], width / self.columns)
        for pair in self.wide:
            self._add(fonts, [pair], width)
        return sum(height for height, _cells in self._rows) + self.gap

    def _add(self, fonts: Fonts, pairs: Sequence[tuple[str, str]], cell_width: float) -> None:
        cells = [
            (
                cell_width,
                fonts.lines(label, TEXT, self.label_width - 2 * PADDING),
                fonts.lines(value, TEXT, cell_width - self.label_width - 2 * PADDING),
            )
            for label, value in pairs
        ]
        most = max(max(len(label), len(value)) for _width, label, value in cells)
        self._rows.append((most * TEXT * LEADING + 2 * PADDING, cells))

    def cut(self, room: float) -> Sequence[tuple[Self, float]]:
        """Row by row, and a row too high by its lines; no gap between them."""
        most = max(1, int((room - self.gap - 2 * PADDING) / (TEXT * LEADING)))
        rows = []
        for _height, cells in self._rows:
            for part in slices(most, *(lines for _width, *texts in cells for lines in texts)):
                high = max(len(lines) for lines in part) * TEXT * LEADING + 2 * PADDING
                rows.append((high, [(cell[0], part[2 * at], part[2 * at + 1]) for at, cell in enumerate(cells)]))
        gaps = [0.0] * (len(rows) - 1) + [self.gap]
        return [(replace(self, gap=gap, _rows=[row]), row[0] + gap) for row, gap in zip(rows, gaps, strict=True)]

    def draw(self, canvas: Canvas, fonts: Fonts, x: float, top: float, width: float) -> None:
        canvas.setLineWidth(0.5)
        canvas.setStrokeColor(RULE)
        for height, cells in self._rows:
            left = x
            for cell_width, label, value in cells:
                canvas.setFillColor(GROUND)
                canvas.rect(left, top - height, self.label_width, height, stroke=1, fill=1)
                canvas.rect(left, top - height, cell_width, height, stroke=1, fill=0)
                canvas.setFillColor(INK)
                draw_lines(canvas, fonts, left + PADDING, top - PADDING, label, size=TEXT)
                draw_lines(canvas, fonts, left + self.label_width + PADDING, top - PADDING, value, size=TEXT)
                left += cell_width
            top -= height


@dataclass
class Barcodes:
    """One number as Code 128 with the number below, and as QR code at the right edge: for scanners and for telephones."""

    value: str
    label: str
    #: Narrower bars than 0.25 mm are more than an office printer and a worn scanner manage.
    bar: float = 0.8
    bar_height: float = 34.0
    qr_size: float = 74.0
    gap: float = 8.0

    def height(self, fonts: Fonts, width: float) -> float:
        return self.qr_size + self.gap

    def cut(self, room: float) -> Sequence[tuple[Self, float]]:
        """Nobody could read half of it."""
        return [(self, self.qr_size + self.gap)]

    def draw(self, canvas: Canvas, fonts: Fonts, x: float, top: float, width: float) -> None:
        canvas.setFillColor(INK)
        canvas.setStrokeColor(INK)
        fonts.draw(canvas, x, top - TEXT - 4, self.label, TEXT)
        bars = Code128(self.value, barWidth=self.bar, barHeight=self.bar_height, quiet=False)
        bars.drawOn(canvas, x, top - 18 - self.bar_height)
        fonts.draw(canvas, x, top - 18 - self.bar_height - 13, self.value, 10)
        self._draw_qr(canvas, x + width - self.qr_size, top - self.qr_size)

    def _draw_qr(self, canvas: Canvas, x: float, y: float) -> None:
        """Runs of dark modules as one path: sharp at any size."""
        code = QrCodeWidget(self.value, barLevel="M").qr
        code.make()
        module = self.qr_size / (len(code.modules) + 2 * _QUIET_MODULES)
        squares = canvas.beginPath()
        for row, modules in enumerate(code.modules):
            column = 0
            for is_dark, run in groupby(modules, key=bool):
                count = len(list(run))
                if is_dark:
                    left, bottom = x + (column + _QUIET_MODULES) * module, y + self.qr_size - (row + 1 + _QUIET_MODULES) * module
                    squares.rect(left, bottom, count * module, module)
                column += count
        canvas.drawPath(squares, stroke=0, fill=1)
