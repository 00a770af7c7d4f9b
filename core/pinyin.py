"""Pinyin initials, by which people narrow a list of codes (PRT-05)."""

from functools import lru_cache

from pypinyin import Style, lazy_pinyin, load_phrases_dict

#: Characters with several readings, where the trade reads them otherwise than the dictionary: 重 is laden, 朝阳 is a city.
load_phrases_dict(
    {
        "重进": [["zhòng"], ["jìn"]],
        "重出": [["zhòng"], ["chū"]],
        "朝阳": [["cháo"], ["yáng"]],
        "辽宁朝阳": [["liáo"], ["níng"], ["cháo"], ["yáng"]],
    }
)


@lru_cache(maxsize=65_536)
def initials(text: str) -> str:
    """First letters of a text's pinyin in lower case; Latin letters and digits stay, all else is left out.

    >>> initials("连大窑湾")
    'ldyw'
    """
    parts = lazy_pinyin(text, style=Style.FIRST_LETTER, errors="default")
    return "".join(char for part in parts for char in part if char.isascii() and char.isalnum()).lower()
