"""Printed documents as their readers have them: the text one copies out, the pages as pictures, the codes a scanner sees."""

from dataclasses import dataclass
from typing import Any

import pypdfium2
import zxingcpp


@dataclass(frozen=True)
class Printed:
    """A PDF, read with another program's eyes than those that wrote it."""

    texts: list[str]
    #: Of the first page: kind of code → what it says.
    codes: dict[str, str]
    #: For each page how wide and how high it is, in points.
    sizes: list[tuple[float, float]]

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def read_pdf(content: bytes) -> Printed:
    """What is on the pages; codes are decoded from the first page as an office printer puts it on paper (200 dpi, grey)."""
    assert content.startswith(b"%PDF-")
    document = pypdfium2.PdfDocument(content)
    try:
        texts, sizes = [], []
        picture: Any = None
        for number in range(len(document)):
            page = document[number]
            text = page.get_textpage()
            texts.append(text.get_text_bounded())
            sizes.append(page.get_size())
            if number == 0:
                picture = page.render(scale=200 / 72, grayscale=True).to_pil()
            text.close()
            page.close()
    finally:
        document.close()
    codes = {str(found.format).replace(" ", ""): found.text for found in zxingcpp.read_barcodes(picture)}
    return Printed(texts, codes, sizes)
