"""Rows of a table: as many lines high as their fullest cell; the head is drawn again on every page."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from reportlab.pdfgen.canvas import Canvas

from core.pdf.blocks import GROUND, INK, LEADING, RULE, draw_lines, slices
from core.pdf.fonts import Fonts

SIZE = 7.0
PADDING = 2.5


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, its share of the width, and whether its values are numbers, which stand to the right."""

    label: str
    share: float
    is_number: bool = False


@dataclass
class TableRow:
    """One row; `note` stands below its cells over the whole width, for what is too long for any column."""

    columns: Sequence[Column]
    cells: Sequence[str]
    note: str = ""
    is_head: bool = False
    _lines: list[list[str]] = field(default_factory=list)
    _note_lines: list[str] = field(default_factory=list)
    _heights: tuple[float, float] = (0.0, 0.0)

    def height(self, fonts: Fonts, width: float) -> float:
        widths = self._widths(width)
        self._lines = [fonts.lines(text, SIZE, wide - 2 * PADDING) for text, wide in zip(self.cells, widths, strict=True)]
        self._note_lines = fonts.lines(self.note, SIZE, width - 2 * PADDING) if self.note else []
        most = max(len(lines) for lines in self._lines)
        note = len(self._note_lines) * SIZE * LEADING + 2 * PADDING if self.note else 0.0
        self._heights = (most * SIZE * LEADING + 2 * PADDING, note)
        return sum(self._heights)

    def cut(self, room: float) -> Sequence[tuple[Self, float]]:
        """The cells first, line by line beside each other, then the note."""
        most = max(1, int((room - 2 * PADDING) / (SIZE * LEADING)))
        parts: list[tuple[Self, float]] = []
        for lines in slices(most, *self._lines):
            high = max(len(texts) for texts in lines) * SIZE * LEADING + 2 * PADDING
            parts.append((replace(self, _lines=lines, _note_lines=[], _heights=(high, 0.0)), high))
        for (note,) in slices(most, self._note_lines):
            high = len(note) * SIZE * LEADING + 2 * PADDING
            parts.append((replace(self, _lines=[[] for _column in self.columns], _note_lines=note, _heights=(0.0, high)), high))
        return parts

    def draw(self, canvas: Canvas, fonts: Fonts, x: float, top: float, width: float) -> None:
        height, note = self._heights
        canvas.setLineWidth(0.4)
        canvas.setStrokeColor(RULE)
        if self.is_head:
            canvas.setFillColor(GROUND)
            canvas.rect(x, top - height, width, height, stroke=0, fill=1)
        canvas.rect(x, top - height - note, width, height + note, stroke=1, fill=0)
        if note and height:
            canvas.line(x, top - height, x + width, top - height)
        canvas.setFillColor(INK)
        left = x
        for number, (column, lines, wide) in enumerate(zip(self.columns, self._lines, self._widths(width), strict=True)):
            if number:
                canvas.line(left, top, left, top - height)
            if column.is_number and not self.is_head:
                for row, line in enumerate(lines):
                    start = left + wide - PADDING - fonts.width(line, SIZE)
                    draw_lines(canvas, fonts, start, top - PADDING - row * SIZE * LEADING, [line], size=SIZE)
            else:
                draw_lines(canvas, fonts, left + PADDING, top - PADDING, lines, size=SIZE)
            left += wide
        draw_lines(canvas, fonts, x + PADDING, top - height - PADDING, self._note_lines, size=SIZE)

    def _widths(self, width: float) -> list[float]:
        total = sum(column.share for column in self.columns)
        return [width * column.share / total for column in self.columns]
