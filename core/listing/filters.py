"""Search conditions of a query page: exact text, a code of a list, days from–to.

The widgets render themselves in plain Python: Django renders each widget, and each option of a select, by a template of its
own (measured in `docs/adr/0051-rendering-of-query-pages.md`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import django_filters
from django import forms
from django.core.exceptions import ImproperlyConfigured
from django.db.models import DateTimeField, QuerySet
from django.forms.boundfield import BoundField
from django.forms.utils import flatatt
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import get_default_timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from core.codes import CodeSource
from core.forms.fields import CodeField

#: No trade of this portal lies outside; days far beyond cannot even be converted to UTC.
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2999, 12, 31)
_ISO_DAY = re.compile(r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$")


#: What a from–to condition appends to its name for its two parameters.
_SUFFIXES = ("_from", "_to")


class _FastInput(forms.TextInput):
    """An `<input>` without a template."""

    def render(self, name: str, value: Any, attrs: Mapping[str, Any] | None = None, renderer: Any = None) -> SafeString:
        every = self.build_attrs(self.attrs, {"type": self.input_type, "name": name, **(attrs or {})})
        shown = self.format_value(value)
        if shown not in (None, ""):
            every["value"] = str(shown)
        return format_html("<input{}>", flatatt(every))


class _DayInput(_FastInput):
    input_type = "date"


class _FastSelect(forms.Select):
    """A flat `<select>` without templates."""

    def render(self, name: str, value: Any, attrs: Mapping[str, Any] | None = None, renderer: Any = None) -> SafeString:
        chosen = "" if value is None else str(value)
        choices = list(self.choices)
        if chosen not in {str(code) for code, _label in choices}:
            choices.append((chosen, chosen))  # What was asked for stays to be seen beside its error.
        options = format_html_join(
            "",
            '<option value="{}"{}>{}</option>',
            ((code, " selected" if str(code) == chosen else "", label) for code, label in choices),
        )
        return format_html("<select{}>{}</select>", flatatt(self.build_attrs(self.attrs, {"name": name, **(attrs or {})})), options)


class _DayRangeWidget(forms.MultiWidget):
    """Two days, `<name>_from` and `<name>_to`, in a fieldset."""

    use_fieldset = True

    def __init__(self) -> None:
        super().__init__({suffix.strip("_"): _DayInput() for suffix in _SUFFIXES})

    def decompress(self, value: Any) -> list[Any]:
        return list(value) if value else [None, None]

    def render(self, name: str, value: Any, attrs: Mapping[str, Any] | None = None, renderer: Any = None) -> SafeString:
        values = value if isinstance(value, list) else self.decompress(value)
        # Required and described-by belong to the whole; each part has an id and a name of its own.
        rest = {key: text for key, text in (attrs or {}).items() if key != "id"}
        inputs = [
            widget.render(
                name + suffix,
                shown,
                {**rest, "class": self.attrs.get("class", ""), "id": f"id_{name}{suffix}", "aria-label": f"{self.label} {word}"},
            )
            for widget, suffix, shown, word in zip(self.widgets, _SUFFIXES, values, (_("从"), _("至")), strict=True)
        ]
        return format_html(
            '<div class="listing-days"><span aria-hidden="true">{}</span>{}<span aria-hidden="true">{}</span>{}</div>',
            _("从"),
            inputs[0],
            _("至"),
            inputs[1],
        )

    #: Set by the field it belongs to: a screen reader hears "录入时间 从".
    label: Any = ""

    def id_for_label(self, id_: str | None, index: str = "0") -> str:
        return f"{id_}_from"


class _DayField(forms.DateField):
    """A day as browsers send it, YYYY-MM-DD: 11/12/2026 would mean a different day to different people."""

    default_error_messages = {"invalid": _("请输入正确的日期，格式为 YYYY-MM-DD。")}

    def to_python(self, value: Any) -> date | None:
        if isinstance(value, str) and value.strip() and not _ISO_DAY.match(value.strip()):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        day = super().to_python(value)
        if day is not None and not FIRST_DAY <= day <= LAST_DAY:
            raise forms.ValidationError(_("日期应在 1900 年至 2999 年之间。"), code="out_of_range")
        return day


class DayRangeField(forms.MultiValueField):
    """Two optional days, also for forms that are no query page's; compresses to (from, to), or None when both are missing."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            fields=(_DayField(required=False), _DayField(required=False)), require_all_fields=False, widget=_DayRangeWidget(), **kwargs
        )
        self.widget.label = self.label

    def compress(self, data_list: list[Any]) -> tuple[date | None, date | None] | None:
        if not any(data_list):
            return None
        first, last = data_list
        if first and last and first > last:
            raise forms.ValidationError(_("起始日期不能晚于截止日期。"), code="order")
        return first, last


class TextFilter(django_filters.Filter):
    """A text that must be equal, 精确查询. `normalise` makes of what was typed what is stored (`core.identifiers.normalised`)."""

    field_class = forms.CharField

    def __init__(self, *args: Any, normalise: Callable[[str], str] | None = None, max_length: int = 100, **kwargs: Any) -> None:
        super().__init__(*args, max_length=max_length, widget=_FastInput, **kwargs)
        self._normalise = normalise

    def filter(self, qs: "QuerySet[Any]", value: str) -> "QuerySet[Any]":
        filtered: QuerySet[Any] = super().filter(qs, self._normalise(value) if value and self._normalise else value)
        return filtered


class CodeFilter(django_filters.Filter):
    """One code of a list (`core.codes`). `show_code` puts the code before the name: "0908 连大窑湾"."""

    field_class = forms.ChoiceField

    def __init__(self, *args: Any, source: CodeSource, show_code: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, widget=_FastSelect, **kwargs)
        self._source = source
        self._show_code = show_code

    @property
    def field(self) -> forms.Field:
        """The form field: the choices as the list stands today, or for a long list a code field as on entry pages."""
        if self._source.lookup_url:
            return CodeField(self._source, label=self.label, required=False)
        options = self._source.options()
        choices = [("", _("全部")), *((option.code, str(option) if self._show_code else option.name) for option in options)]
        return forms.ChoiceField(
            label=self.label, choices=choices, error_messages={"invalid_choice": _("“%(value)s”不在可选范围内，请重新选择。")}, **self.extra
        )


class DayRangeFilter(django_filters.Filter):
    """Days from–to, both inclusive, days of the portal's time zone; `<name>_from` and `<name>_to` in the URL."""

    field_class = DayRangeField

    def filter(self, qs: "QuerySet[Any]", value: tuple[date | None, date | None] | None) -> "QuerySet[Any]":
        if value is None:
            return qs
        first, last = value
        is_moment = isinstance(qs.model._meta.get_field(self.field_name), DateTimeField)
        if first is not None:
            qs = qs.filter(**{f"{self.field_name}__gte": _start_of(first) if is_moment else first})
        if last is not None:
            # Up to and including the last microsecond: an index is entered at the nearer of this bound and a page's position
            # only when both are inclusive (core.listing.keyset).
            end = _start_of(last + timedelta(days=1)) - datetime.resolution
            qs = qs.filter(**{f"{self.field_name}__lte": end if is_moment else last})
        return qs


def _start_of(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=get_default_timezone())


class QueryFilterSet(django_filters.FilterSet):
    """The search conditions of a query page; declare filters as class attributes, in the order to show them."""

    @property
    def form(self) -> forms.Form:
        """The form, its controls dressed for Tabler, those with an error marked."""
        if not hasattr(self, "_form"):
            form: forms.Form = super().form
            for name, field in form.fields.items():
                css = "form-select" if isinstance(field.widget, forms.Select) else "form-control"
                field.widget.attrs["class"] = f"{css} is-invalid" if name in form.errors else css
        return self._form  # type: ignore[no-any-return]

    @cached_property
    def bound_fields(self) -> Sequence[BoundField]:
        """The form's fields, as the template shows them."""
        return list(self.form)

    @cached_property
    def active(self) -> Sequence[str]:
        """Names of the conditions that are set and right."""
        cleaned = getattr(self.form, "cleaned_data", {})
        return [name for name, value in cleaned.items() if value not in (None, "")]

    @cached_property
    def spoken(self) -> Sequence[tuple[str, str]]:
        """The conditions that are set and right as people read them: label and value."""
        return [(str(self.form[name].label), self._spoken(name)) for name in self.active]

    def _spoken(self, name: str) -> str:
        field, value = self.form.fields[name], self.form.cleaned_data[name]
        if isinstance(field, DayRangeField):
            first, last = value
            return gettext("%(first)s 至 %(last)s") % {"first": first or "", "last": last or ""}
        if isinstance(field, forms.ChoiceField):
            return str(dict(field.choices).get(value, value))  # type: ignore[arg-type]
        return str(value)

    @cached_property
    def parameters(self) -> Sequence[str]:
        """Names of the URL's parameters that belong to these conditions."""
        return [
            name + suffix
            for name, field in self.form.fields.items()
            for suffix in (_SUFFIXES if isinstance(field.widget, _DayRangeWidget) else ("",))
        ]


def check_names(filterset_class: type[QueryFilterSet], reserved: frozenset[str]) -> None:
    """Raise ImproperlyConfigured when a condition has a name that the page needs for itself in the URL."""
    clash = reserved & set(filterset_class.base_filters)
    if clash:
        raise ImproperlyConfigured(f"{filterset_class.__name__}: {', '.join(sorted(clash))} are names of the query page's own parameters")
