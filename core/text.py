"""Text that can travel: what people type must fit into a message and a document."""

import re
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

#: Control characters other than tab and line ends, and what is no character at all: XML 1.0 cannot carry them.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def validate_plain_text(value: str) -> None:
    """Raises ValidationError for characters that no message can carry (they come from copied documents and scanners)."""
    if found := _NOT_IN_XML.search(value):
        raise ValidationError(
            _("含有不能传输的控制字符（第 %(position)s 个字符），请删除后重新录入。"),
            params={"position": found.start() + 1},
            code="control_character",
        )


def decimal_text(value: Decimal) -> str:
    """A finite decimal without exponent and without the zeros that a column's scale adds: 7120.000 is 7120."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
