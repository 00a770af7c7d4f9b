"""The columns of the import's sheet. They are the fields of the page's forms: what the page asks for, the sheet asks for."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from django import forms
from django.utils.translation import gettext as _

from core.forms.fields import CodeField, NumberField, SystemField, TickField
from core.forms.form import EntryForm
from smartgate import rules
from smartgate.forms import FilingForm, FilingLineForm

SHEET: Final = "申报单"
CODES_SHEET: Final = "代码表"
NOTES_SHEET: Final = "填写说明"
#: The column that says which rows are one filing, and the one in which a marked workbook says what is wrong.
GROUP: Final = "序号"
ERRORS: Final = "错误"

#: In the notes: one filing of two lines, one of one line.
EXAMPLE: Final[Sequence[Mapping[str, str]]] = (
    {GROUP: "1", "customs_code": "0908", "bind_key_type": "VN", "bind_key_info": "辽B12345", "business_type": "1000000000",
     "transport_mode": "2", "ie_flag": "I", "vehicle_weight": "8600", "trailer_weight": "6200.5", "container_weight": "0",
     "line.object_type": "B", "line.object_id": "COSU123456789", "line.vessel_name": "新海天", "line.voyage_no": "0126W",
     "line.business_type": "1000000000", "line.bill_type": "1", "line.pickup_weight": "31500"},
    {GROUP: "1", "line.object_type": "C", "line.object_id": "CSQU3054383", "line.vessel_name": "新海天", "line.voyage_no": "0126W",
     "line.business_type": "1000000000"},
    {GROUP: "2", "customs_code": "0908", "bind_key_type": "VN", "bind_key_info": "辽B54321", "business_type": "1000000000",
     "transport_mode": "4", "ie_flag": "E", "vehicle_weight": "8600", "trailer_weight": "0", "container_weight": "0",
     "line.object_type": "T", "line.object_id": "ZG20260001", "line.voyage_no": "P20260001", "line.business_type": "1000000000"},
)  # fmt: skip

#: Fields whose digits are a number's name, not an amount: Excel drops leading zeros and everything beyond 15 digits of them.
NUMBERS_OF_THE_TRADE: Final = frozenset({*rules.HEADER_NUMBERS, *rules.LINE_NUMBERS, "voyage_no"})

_DECORATION = re.compile(r"[\s*]|\(.*?\)")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and the field of header or line that it fills."""

    heading: str
    name: str
    field: forms.Field
    is_line: bool

    @property
    def is_code(self) -> bool:
        """Whether it holds a code of a list."""
        return isinstance(self.field, CodeField)

    @property
    def is_amount(self) -> bool:
        """Whether it holds a number to reckon with."""
        return isinstance(self.field, NumberField)

    @property
    def is_tick(self) -> bool:
        """Whether it holds 是 or nothing. A sheet may do without it: most never need to say so."""
        return isinstance(self.field, TickField)


def _fields(form: type[EntryForm]) -> dict[str, forms.Field]:
    return {
        name: field
        for name, field in form.base_fields.items()
        if not isinstance(field, SystemField) and not isinstance(field.widget, forms.HiddenInput)
    }


@lru_cache(maxsize=1)
def columns() -> Sequence[Column]:
    """Header, then body, as on the page. Where both have a field of one name, the body's heading says 表体."""
    header, line = _fields(FilingForm), _fields(FilingLineForm)
    taken = {str(field.label) for field in header.values()}
    # What the page explains in brackets stands in the cell's comment.
    found = [Column(str(field.label).partition("（")[0], name, field, is_line=False) for name, field in header.items()]
    for name, field in line.items():
        label = str(field.label)
        found.append(Column(_("表体%(label)s") % {"label": label} if label in taken else label, name, field, is_line=True))
    return tuple(found)


def plain_heading(text: str) -> str:
    """A heading as it is compared: without blanks, stars, units in brackets, whatever the width of its characters."""
    return _DECORATION.sub("", unicodedata.normalize("NFKC", text)).casefold()
