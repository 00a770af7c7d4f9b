"""A document of A4 pages: laid out, then drawn with head, foot, page n of m, and what every page must say of its state."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _
from reportlab.lib.colors import Color
from reportlab.lib.pagesizes import A4, landscape
from reportlab.pdfgen.canvas import Canvas

from core.pdf.blocks import INK, QUIET, RULE, Block
from core.pdf.fonts import ONE_AT_A_TIME, Fonts, fonts
from core.pdf.table import Column, TableRow

MARGIN, FOOT, SMALL = 30.0, 24.0, 7.0
#: Pale enough to read through, dark enough for a copier.
MARK = Color(0.55, 0.1, 0.1, alpha=0.16)


@dataclass
class Sheet:
    """A document. `running_head` names it on every page after the first; `mark` is written across every page."""

    title: str
    printed_by: str
    printed_at: datetime
    running_head: str = ""
    mark: str = ""
    _parts: list[tuple[Block, TableRow | None]] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Put blocks below what is there."""
        self._parts += [(block, None) for block in blocks]

    def add_table(self, columns: Sequence[Column], rows: Iterable[tuple[Sequence[str], str]]) -> None:
        """A table: for each row its cells and its note ("" for none). The head stands above the first row and on every new page."""
        head = TableRow(columns, [column.label for column in columns], is_head=True)
        self._parts.append((head, None))
        self._parts += [(TableRow(columns, cells, note), head) for cells, note in rows]

    def pdf(self) -> bytes:
        """The document's bytes. Raises FontsMissing."""
        width, height = landscape(A4)
        with ONE_AT_A_TIME:
            loaded = fonts()
            pages = list(self._pages(loaded, width - 2 * MARGIN, height - 2 * MARGIN - FOOT))
            buffer = io.BytesIO()
            canvas = Canvas(buffer, pagesize=(width, height), pageCompression=1, lang="zh-CN", initialFontName=loaded.first)
            canvas.setTitle(self.title)
            canvas.setAuthor(self.printed_by)
            for number, page in enumerate(pages, start=1):
                if self.mark:
                    self._draw_mark(canvas, loaded, width, height)
                top = height - MARGIN
                if number > 1 and self.running_head:
                    canvas.setFillColor(QUIET)
                    loaded.draw(canvas, MARGIN, height - MARGIN + 6, loaded.shown_in_line(self.running_head), SMALL)
                for block, block_height in page:
                    block.draw(canvas, loaded, MARGIN, top, width - 2 * MARGIN)
                    top -= block_height
                self._draw_foot(canvas, loaded, width, number, len(pages))
                canvas.showPage()
            canvas.save()
        return buffer.getvalue()

    def _pages(self, loaded: Fonts, width: float, height: float) -> Iterator[list[tuple[Block, float]]]:
        page: list[tuple[Block, float]] = []
        used = head_height = 0.0
        for place, (block, head) in enumerate(self._parts):
            needed = block.height(loaded, width)
            # A head alone at the foot of a page belongs on the next one.
            below = self._parts[place + 1] if place + 1 < len(self._parts) else None
            kept = 0.0
            if below is not None and below[1] is block:
                kept, head_height = below[0].height(loaded, width), needed
            room = height if head is None else height - head_height
            # What is higher than a page is the only thing that is cut: the rest of it would be drawn below the paper.
            for part, part_height in [(block, needed)] if needed <= room else block.cut(room):
                if page and used + part_height + min(kept, height - part_height) > height:
                    yield page
                    page, used = ([], 0.0) if head is None else ([(head, head_height)], head_height)
                page.append((part, part_height))
                used += part_height
        yield page

    def _draw_mark(self, canvas: Canvas, loaded: Fonts, width: float, height: float) -> None:
        text, size = loaded.shown_in_line(self.mark), 84.0
        size *= min(1.0, 0.8 * width / loaded.width(text, size))
        canvas.saveState()
        canvas.setFillColor(MARK)
        canvas.translate(width / 2, height / 2)
        canvas.rotate(25)
        loaded.draw(canvas, -loaded.width(text, size) / 2, -size / 3, text, size)
        canvas.restoreState()

    def _draw_foot(self, canvas: Canvas, loaded: Fonts, width: float, number: int, total: int) -> None:
        canvas.setStrokeColor(RULE)
        canvas.setLineWidth(0.5)
        canvas.line(MARGIN, MARGIN + 12, width - MARGIN, MARGIN + 12)
        canvas.setFillColor(INK)
        printed = _("打印时间：%(at)s　打印人：%(by)s") % {
            "at": f"{timezone.localtime(self.printed_at):%Y-%m-%d %H:%M:%S}",
            "by": self.printed_by,
        }
        loaded.draw(canvas, MARGIN, MARGIN + 2, loaded.shown_in_line(printed), SMALL)
        pages = _("第 %(number)s 页　共 %(total)s 页") % {"number": number, "total": total}
        loaded.draw(canvas, width - MARGIN - loaded.width(pages, SMALL), MARGIN + 2, pages, SMALL)
