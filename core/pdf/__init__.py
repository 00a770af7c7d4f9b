"""Printed documents: PDF with embedded fonts, tables that break over pages, page n of m (SGW-09, INS-09).

    sheet = Sheet(title="智能卡口散杂货申报单", printed_by="王经办", printed_at=timezone.now())
    sheet.add(Heading("智能卡口散杂货申报单"), Fields([("关区代码", "0908 连大窑湾"), …]))
    sheet.add_table([Column("序号", 3), Column("备注", 20)], rows)
    content = sheet.pdf()

A sheet is laid out first and drawn then, so every page knows how many there are. Text is broken to its column, never cut; a
character that no font has is written by its number, so that nobody reads an empty box as a name (docs/adr/0101).
"""

from core.pdf.blocks import Barcodes, Block, Fields, Heading, Paragraph
from core.pdf.fonts import FontsMissing
from core.pdf.response import pdf_response
from core.pdf.sheet import Sheet
from core.pdf.table import Column, TableRow

__all__ = ["Barcodes", "Block", "Column", "Fields", "FontsMissing", "Heading", "Paragraph", "Sheet", "TableRow", "pdf_response"]
