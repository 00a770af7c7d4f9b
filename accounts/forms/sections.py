"""Account pages of several parts: a form says which fields stand under which heading, and with which words (M2)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.db.models import TextChoices
from django.forms.boundfield import BoundField
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts.forms.base import AccountForm, CheckboxGroup
from core.forms.fields import SystemField


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, its fields in order, the manual's explanations under the heading."""

    title: str | Promise
    names: Sequence[str]
    texts: Sequence[str | Promise] = ()


class SectionedForm(AccountForm):
    """A form drawn by templates/accounts/sections.html. Fields that are grey for this reader are named in `grey`."""

    sections: ClassVar[Sequence[Section]]

    def turn_grey(self, names: Sequence[str]) -> None:
        """These fields are shown and not taken: as text, choices by their labels."""
        for name in names:
            field = self.fields[name]
            self.initial[name] = as_read(field, self.initial.get(name))
            self.fields[name] = SystemField(label=field.label)

    def drawn_sections(self) -> Iterator[tuple[Section, list[BoundField]]]:
        """Each part with those of its fields that this form has; parts without any are left out."""
        for section in self.sections:
            fields = [self[name] for name in section.names if name in self.fields]
            if fields:
                yield section, fields


def as_read(field: forms.Field, value: Any) -> str:
    """A field's value as text."""
    if isinstance(field, forms.MultipleChoiceField):
        labels = dict(field.choices)  # type: ignore[arg-type]  # no groups on account pages
        return _("、").join(str(labels.get(one, one)) for one in value or ())
    if isinstance(field, forms.TypedChoiceField):
        return next((str(label) for key, label in field.choices if field.coerce(key) == value), "")  # type: ignore[misc, union-attr]
    return "" if value is None else str(value)


class ChoicesField(forms.MultipleChoiceField):
    """Several of a short list, as boxes to tick."""

    widget = CheckboxGroup

    def __init__(self, choices: type[TextChoices], **kwargs: Any) -> None:
        super().__init__(choices=choices.choices, error_messages={"invalid_choice": _("“%(value)s”不在可选范围内，请重新选择。")}, **kwargs)
