"""Two versions of a filing side by side: field by field, old and new, as people read them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from django.forms import Field
from django.utils.translation import gettext as _

from core.forms.form import display
from smartgate import contents
from smartgate.forms import FilingForm, FilingLineForm


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, as it was and as it is."""

    label: str
    old: str
    new: str

    @property
    def is_changed(self) -> bool:
        """Whether it says something else now."""
        return self.old != self.new


@dataclass(frozen=True, slots=True)
class Part:
    """The header, or one line of the body; `mark` says of a line that is only in one of the two which it is."""

    title: str
    fields: list[Difference]
    mark: str = ""

    @property
    def changed(self) -> int:
        """How many of its fields say something else."""
        return sum(field.is_changed for field in self.fields)


def compare(old: contents.Contents | None, new: contents.Contents) -> list[Part]:
    """The header, and each line of either; what is compared with nothing is all new. Empty fields of both are left out."""
    before = contents.header_of(old) if old is not None else {}
    header = [*_differences(FilingForm.base_fields, before, contents.header_of(new))]
    return [Part(_("表头信息"), header), *_lines(contents.lines_of(old) if old is not None else [], contents.lines_of(new))]


def _lines(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterable[Part]:
    """Lines that stayed the same keep each other company; between those they are compared in their order."""
    was_texts, are_texts = ([repr(sorted(line.items())) for line in lines] for lines in (old, new))
    for _tag, old_from, old_to, new_from, new_to in SequenceMatcher(None, was_texts, are_texts, autojunk=False).get_opcodes():
        for place in range(max(old_to - old_from, new_to - new_from)):
            was = old[old_from + place] if old_from + place < old_to else None
            is_now = new[new_from + place] if new_from + place < new_to else None
            number = (new_from if is_now is not None else old_from) + place + 1
            mark = _("新增") if was is None else _("删除") if is_now is None else ""
            fields = [*_differences(FilingLineForm.base_fields, was or {}, is_now or {})]
            yield Part(_("表体第 %(number)s 行") % {"number": number}, fields, mark)


def _differences(fields: Mapping[str, Field], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[Difference]:
    for name, field in fields.items():
        texts = [display(field, values.get(name)) if values.get(name) not in (None, "") else "" for values in (old, new)]
        if any(texts):
            yield Difference(str(field.label), *texts)
