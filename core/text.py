"""Text that can travel: what people type must fit into a message and a document."""

import unicodedata
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

#: Unicode categories of what nobody can see: controls, formats (zero-width blanks …), surrogates, private use, not assigned.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}
_BLANKS = "\t\r\n"


def validate_plain_text(value: str) -> None:
    """Raises ValidationError for characters that nobody sees or no message can carry (they come from copied documents and scanners)."""
    for position, char in enumerate(value, start=1):
        if unicodedata.category(char) in _UNSEEN and char not in _BLANKS:
            raise ValidationError(
                _("含有不可见的控制字符（第 %(position)s 个字符），请删除后重新录入。"),
                params={"position": position},
                code="control_character",
            )


def decimal_text(value: Decimal) -> str:
    """A finite decimal without exponent and without the zeros that a column's scale adds: 7120.000 is 7120."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def masked(text: str, *, head: int = 3, tail: int = 4) -> str:
    """A number that only its owner is to know in full: 210***********1234. Too short to hide anything, it is hidden whole."""
    if len(text) < head + tail + 4:
        return "*" * len(text)
    return text[:head] + "*" * (len(text) - head - tail) + text[-tail:]


def has_chinese(text: str) -> bool:
    """Whether there is a Chinese character in the text: words of another system that users can be shown."""
    return any(unicodedata.name(char, "").startswith("CJK UNIFIED") for char in text)
