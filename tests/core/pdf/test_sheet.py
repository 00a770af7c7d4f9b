"""Sheets: layout over pages, fonts, what is no letter, several at a time."""

import random
import re
import string
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pypdfium2
import pytest

from core.pdf import Barcodes, Column, Fields, FontsMissing, Heading, Paragraph, Sheet
from core.pdf.fonts import Fonts, fonts
from core.pdf.sheet import FOOT, MARGIN
from tests.core.pdf.reading import Printed, read_pdf

AT = datetime(2026, 11, 21, 2, 3, 4, tzinfo=UTC)


def new_sheet(**more: Any) -> Sheet:
    return Sheet(title="清单", printed_by="李操作", printed_at=AT, **more)


def printed(sheet: Sheet) -> Printed:
    return read_pdf(sheet.pdf())


def test_every_page_says_when_by_whom_and_which_it_is() -> None:
    sheet = new_sheet(running_head="清单（续）")
    sheet.add(Heading("清单"))
    sheet.add_table([Column("序号", 1, is_number=True), Column("货物", 5)], [([str(number), f"货物{number}"], "") for number in range(100)])
    pages = printed(sheet)
    total = len(pages.texts)
    assert total > 2
    for number, text in enumerate(pages.texts, start=1):
        assert f"第 {number} 页\u3000共 {total} 页" in text
        assert "打印时间：2026-11-21 10:03:04\u3000打印人：李操作" in text
        assert text.count("序号") == 1, "the head of the table stands on every page, once"
        assert ("清单（续）" in text) == (number > 1)
    assert [name for text in pages.texts for name in text.split() if name.startswith("货物") and name != "货物"] == [
        f"货物{number}" for number in range(100)
    ]
    assert {(round(width), round(height)) for width, height in pages.sizes} == {(842, 595)}


def test_a_head_does_not_stay_behind_alone() -> None:
    sheet = new_sheet()
    for _number in range(200):
        sheet.add(Paragraph("一段"))
        sheet.add_table([Column("栏目", 1)], [(["首行"], "")])
    for text in printed(sheet).texts:
        assert text.count("栏目") == text.count("首行")


def test_a_row_is_never_cut_and_its_note_stays_with_it() -> None:
    sheet = new_sheet()
    long = "".join(random.Random(4).choices("辽宁大连港散杂货", k=300))
    sheet.add_table([Column("甲", 1), Column("乙", 9)], [(["数", long], f"备注{number}") for number in range(30)])
    pages = printed(sheet)
    for text in pages.texts:
        assert text.replace("\r\n", "").count(long) == text.count("备注")
    assert pages.text.count("备注") == 30


LONG = "\n".join(f"第{number}行" for number in range(1000))


def on_paper(content: bytes) -> list[str]:
    """The numbered lines of LONG that stand on the paper itself, in their order."""
    found = []
    document = pypdfium2.PdfDocument(content)
    for page in document:
        width, height = page.get_size()
        text = page.get_textpage()
        # Within the margins and above the foot.
        found += re.findall(r"第\d+行", text.get_text_bounded(left=20, bottom=MARGIN + FOOT - 6, right=width - 20, top=height - 20))
    document.close()
    return found


ENDLESS = {
    "a paragraph": lambda sheet: sheet.add(Paragraph("前"), Paragraph(LONG), Paragraph("后")),
    "a field": lambda sheet: sheet.add(Fields([("甲", "乙")], wide=[("备注", LONG)]), Paragraph("后")),
    "a field beside others": lambda sheet: sheet.add(Fields([("甲", "乙"), ("备注", LONG), ("丙", "丁")]), Paragraph("后")),
    "a note": lambda sheet: sheet.add_table(
        [Column("栏", 1), Column("目", 1)], [(["甲", "乙"], ""), (["甲", "乙"], LONG), (["后", "乙"], "")]
    ),
    "a cell": lambda sheet: sheet.add_table([Column("栏", 1), Column("目", 1)], [(["甲", LONG], "注"), (["后", "乙"], "")]),
    "a cell of numbers": lambda sheet: sheet.add_table([Column("栏", 1, is_number=True)], [([LONG], ""), (["后"], "")]),
}


@pytest.mark.parametrize("add", ENDLESS.values(), ids=ENDLESS.keys())
def test_what_is_higher_than_a_page_goes_on_on_the_next(add: Any) -> None:
    sheet = new_sheet()
    add(sheet)
    content = sheet.pdf()
    assert on_paper(content) == LONG.split("\n")
    pages = read_pdf(content)
    assert "后" in pages.texts[-1]
    assert len(pages.texts) < 30
    if "栏" in pages.texts[0]:
        assert all(text.count("栏") == 1 for text in pages.texts), "the head of the table stands on every page, once"


def test_tabs_and_all_ends_of_lines_are_what_they_look_like() -> None:
    sheet = new_sheet(running_head="首\n尾", mark="暂\n存")
    sheet.printed_by = "王\n经办"
    sheet.add_table([Column("货", 1)], [(["物"], "")] * 60)
    text = printed(sheet).text
    assert "打印人：王 经办" in text
    assert "首 尾" in text
    assert fonts().lines("甲\t乙\r\n丙\r丁\n戊", 8, 100) == ["甲 乙", "丙", "丁", "戊"]


@pytest.mark.parametrize("rare", "㛃䶮𬭎𬴊𫘧")
def test_rare_characters_of_names_are_drawn_and_copied_out(rare: str) -> None:
    sheet = new_sheet()
    sheet.add(Paragraph(f"王{rare}"))
    assert f"王{rare}" in printed(sheet).text


@pytest.mark.parametrize(("odd", "shown"), [("𪻐", "[U+2AED0]"), ("\u200b", "[U+200B]"), ("\x07", "[U+0007]"), ("😀", "[U+1F600]")])
def test_what_no_font_has_is_written_by_its_number(odd: str, shown: str) -> None:
    sheet = new_sheet(mark=f"暂存{odd}", running_head=odd)
    sheet.printed_by = f"王{odd}"
    sheet.add(Heading(f"甲{odd}乙"), Fields([(odd, odd)], wide=[("备注", odd)]))
    text = printed(sheet).text
    assert f"甲{shown}乙" in text
    assert f"打印人：王{shown}" in text
    assert odd not in text


def test_a_second_font_draws_what_the_first_lacks(settings: Any) -> None:
    (noto,) = settings.PRINT_FONTS
    (latin,) = Path(noto).parents[3].glob(".venv/lib/python3*/site-packages/reportlab/fonts/Vera.ttf")
    settings.PRINT_FONTS = [str(latin), noto]
    sheet = new_sheet()
    sheet.add(Paragraph("Vera 与 Noto 之间 abc"))
    content = sheet.pdf()
    assert "Vera 与 Noto 之间 abc" in read_pdf(content).text
    assert content.count(b"/FontFile2") == 2


@pytest.mark.parametrize("paths", [[], ["/nowhere/x.ttf"], [__file__]])
def test_without_a_font_the_user_is_told(settings: Any, paths: list[str]) -> None:
    settings.PRINT_FONTS = paths
    with pytest.raises(FontsMissing, match="字体"):
        new_sheet().pdf()


def test_every_font_in_the_document_is_embedded_and_small() -> None:
    sheet = new_sheet()
    sheet.add(Heading("智能卡口散杂货申报单 ABC 123"))
    content = sheet.pdf()
    assert b"Helvetica" not in content
    assert content.count(b"/FontFile2") == content.count(b"/Type /FontDescriptor") == 1
    assert len(content) < 60_000


def test_lines_break_between_characters_and_at_blanks() -> None:
    loaded = fonts()
    assert loaded.lines("大连港散杂货", 10, 31) == ["大连港", "散杂货"]
    assert loaded.lines("大连港，散货", 10, 31) == ["大连", "港，散", "货"], "no line begins with a comma"
    assert loaded.lines("bulk soybeans", 10, 44) == ["bulk", "soybean", "s"]
    assert loaded.lines("DL0001|DL0002", 10, 40) == ["DL0001|", "DL0002"]
    assert loaded.lines("一\n二", 10, 100) == ["一", "二"]
    assert loaded.lines("", 10, 100) == [""]
    assert loaded.lines("大", 10, 1) == ["大"], "never without end"


def test_every_line_fits_and_nothing_is_lost() -> None:
    loaded, dice = fonts(), random.Random(7)
    for _round in range(300):
        text = "".join(dice.choices("大连港，。|- ABCabc019", k=dice.randint(0, 80)))
        width = dice.uniform(12, 120)
        lines = loaded.lines(text, 8, width)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert all(loaded.width(line, 8) <= width for line in lines)


def test_numbers_of_every_kind_are_read_back() -> None:
    dice = random.Random(9)
    numbers = ["202611" + "2100000000001" + f"{77:013}", "202611U" + f"{5:012}" + f"{123:013}"]
    numbers += ["".join(dice.choices(string.digits + string.ascii_uppercase, k=32)) for _number in range(6)]
    for number in numbers:
        sheet = new_sheet()
        sheet.add(Barcodes(number, "车次确认编号"))
        codes = printed(sheet).codes
        assert codes == {"Code128": number, "QRCode": number}


def test_a_mark_stands_on_every_page() -> None:
    sheet = new_sheet(mark="未申报")
    sheet.add_table([Column("货", 1)], [(["物"], "")] * 100)
    sheet_pages = printed(sheet)
    assert len(sheet_pages.texts) > 1
    for text in sheet_pages.texts:
        assert all(char in text for char in "未申报")


def test_several_threads_print_at_a_time() -> None:
    def one(number: int) -> str:
        sheet = new_sheet()
        sheet.add(Paragraph(f"第{number}票" + "大连港智能卡口散杂货"[number % 10 :]))
        return read_pdf(sheet.pdf()).text

    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(one, range(24)))
    assert all(f"第{number}票" in text for number, text in enumerate(texts))


def test_a_thousand_rows_take_little_memory() -> None:
    fonts()
    columns = [Column(f"栏{number}", 1) for number in range(13)]
    tracemalloc.start()
    try:
        sheet = new_sheet()
        sheet.add_table(columns, [(["COSU123456789"] * 13, "备注" * 50)] * 1000)
        sheet.pdf()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000


def test_a_known_character_is_looked_up_once(settings: Any) -> None:
    loaded = Fonts(settings.PRINT_FONTS)
    loaded.width("大", 8)
    loaded._fonts.clear()
    assert loaded.width("大", 8) == 8
