"""Printing a filing: the address that hands the PDF out, the document alone, and an empty page of reportlab's."""

import io
from typing import Any

from django.urls import reverse
from django.utils import timezone
from reportlab.pdfgen.canvas import Canvas

from benchmarks import filings
from benchmarks.measure import in_turns
from benchmarks.report import Row
from benchmarks.visitor import Visitor
from benchmarks.world import World
from smartgate.documents import filing_sheet
from smartgate.models import Filing

#: Body lines of the filings printed: a truck's, many, and as many as the portal is made for.
LINES = (1, 10, 100, 1_000)


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure each length; what is written is taken away again."""
    writer = world.writer
    visitor = Visitor(writer)
    rows: list[Row] = []
    with world.cleared():
        for number, length in enumerate(LINES):
            filing = filings.saved(writer, f"吉AA000{number}", length)
            url = reverse("smartgate:print", args=[filing.pk])
            size = len(visitor.get(url))
            taken = in_turns(
                {
                    "page": lambda url=url: visitor.get(url),
                    "document": lambda filing=filing: _document(filing),
                    "bare": _empty_page,
                },
                world.scale.rounds,
            )
            page, document = taken["page"], taken["document"]
            rows.append(
                {
                    "lines": length,
                    "kilobytes": round(size / 1000, 1),
                    "queries": visitor.queries(lambda url=url: visitor.get(url)),
                    "page_ms": round(page.median, 1),
                    "page_best_ms": round(page.best, 1),
                    "page_cpu_ms": round(page.processor, 1),
                    "document_cpu_ms": round(document.processor, 1),
                    "bare_ms": round(taken["bare"].median, 2),
                    "per_second_of_cpu": round(1000 / page.processor, 1) if page.processor else None,
                }
            )
    notes = [
        "page: the WSGI application, session to bytes. document: laid out and drawn, with the rows read. bare: an empty page by reportlab.",
        "Wall-clock milliseconds taking turns; _cpu_ms is the processor time among them, per_second_of_cpu what one core could do.",
    ]
    return rows, notes


def _document(filing: Filing) -> bytes:
    sheet = filing_sheet(filing=filing, lines=filing.lines.all(), enterprise_name="x", printed_by="x", printed_at=timezone.now())
    return sheet.pdf()


def _empty_page() -> Any:
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()
