"""What an entry of the trail says of a record's fields, as people read it: the fields' names, codes by their labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from core import audit
from core.models import AuditEntry


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One field before and after; each a list of lines, empty where there was nothing."""

    label: str | Promise
    before: Sequence[str]
    after: Sequence[str]


def changes_of(entry: AuditEntry) -> list[ShownChange]:
    """The fields that an entry tells of, in the order in which they were told."""
    before, after = entry.before or {}, entry.after or {}
    reader = _Reader(entry.object_type, timezone.localtime(entry.at).date())
    return [
        ShownChange(reader.label(name), reader.lines(name, before.get(name)), reader.lines(name, after.get(name)))
        for name in {**before, **after}
    ]


class _Reader:
    """Reads the stored values of one kind of record as they were understood on a day."""

    def __init__(self, kind: str, on: date) -> None:
        self._kind = kind
        self._model = audit.model_of(kind)
        self._on = on

    def _field(self, name: str) -> Any:
        try:
            return self._model._meta.get_field(name) if self._model is not None else None
        except FieldDoesNotExist:
            return None

    def label(self, name: str) -> str | Promise:
        """What the field is called; a name that is no field of the record (any more) is registered, or stands for itself."""
        field = self._field(name)
        if isinstance(field, models.Field):
            # A field that nobody named has its own name in English.
            return field.verbose_name if field.verbose_name != field.name.replace("_", " ") else audit.value_label(name)
        if field is not None and field.related_model:
            label: str | Promise = field.related_model._meta.verbose_name_plural
            return label
        return audit.value_label(name)

    def lines(self, name: str, value: Any) -> list[str]:
        """A value as lines of text."""
        if value in (None, "", [], {}):
            return []
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            related = getattr(self._field(name), "related_model", None)
            inner = _Reader(related._meta.label_lower if related else "", self._on)
            return [f"{number}. {inner.sentence(item)}" for number, item in enumerate(value, start=1)]
        if isinstance(value, Mapping):
            return [_Reader("", self._on).sentence(value)]
        return [self.text(name, value)]

    def sentence(self, item: Any) -> str:
        """All that a part of a record says, in one line."""
        if not isinstance(item, Mapping):
            return str(item)
        told = [
            _("%(name)s：%(value)s") % {"name": self.label(name), "value": self.text(name, value)} for name, value in item.items() if value
        ]
        return _("；").join(told)

    def text(self, name: str, value: Any) -> str:
        """One value."""
        match value:
            case audit.MASKED:
                return _("（不显示）")
            case bool():
                return _("是") if value else _("否")
            case list():
                return _("、").join(self.text(name, item) for item in value)
            case Mapping():
                return self.sentence(value)
            case str():
                return self._code(name, value) or self._moment(name, value) or value
            case _:
                return str(value)

    def _code(self, name: str, value: str) -> str:
        source = audit.code_source(self._kind, name)
        if source is not None:
            option = source.get(value, self._on)
            return str(option) if option is not None else ""
        field = self._field(name)
        # The choices of a list of codes stand at its base field.
        choices = getattr(getattr(field, "base_field", field), "flatchoices", None) or ()
        return str(dict(choices).get(value, ""))

    def _moment(self, name: str, value: str) -> str:
        if not isinstance(self._field(name), models.DateTimeField):
            return ""
        moment = parse_datetime(value)
        return f"{_local(moment):%Y-%m-%d %H:%M:%S}" if moment is not None else ""


def _local(moment: datetime) -> datetime:
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment
