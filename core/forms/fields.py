"""Fields of entry forms that Django does not have: code, number as typed text, value that the system fills in."""

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from core.codes import CodeOption, CodeSource
from core.text import decimal_text


class SystemField(forms.Field):
    """返填项: filled by the system, shown grey, never taken from what the browser sends (`disabled` sees to that)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, disabled=True, **kwargs)


_NUMBER = re.compile(r"-?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?")


class NumberField(forms.DecimalField):
    """A decimal number typed into a text field: a number control changes by the mouse wheel and hides what was mistyped."""

    widget = forms.TextInput(attrs={"inputmode": "decimal"})

    default_error_messages = {"invalid": _("请输入数字，如 6200.5；千位可以用逗号分隔，如 6,200.5。")}

    def to_python(self, value: Any) -> Any:
        """Full-width digits are taken like others; a comma parts thousands, where it stands before three digits, and nothing else:
        8600,5 must not become 86005. Python's own ways of writing numbers (1e3, 1_000) are none of the trade's."""
        if isinstance(value, str):
            value = unicodedata.normalize("NFKC", value).strip()
            if value and not _NUMBER.fullmatch(value):
                raise ValidationError(self.error_messages["invalid"], code="invalid")
            value = value.replace(",", "")
        return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        """Without the zeros that the database adds: 7120.000 is shown as it was typed, 7120."""
        if isinstance(value, Decimal) and value.is_finite():
            return decimal_text(value)
        return super().prepare_value(value)


def is_ticked(value: Any) -> bool:
    """Whether a box counts as ticked: as a browser sends it, a page carries it, or somebody wrote it into a sheet."""
    text = "" if value is None else str(value).strip()
    return text.lower() in ("true", "on", "1", "y", "yes") or text == str(_("是"))


class _TickBox(forms.CheckboxInput):
    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs, check_test=is_ticked)

    def value_from_datadict(self, data: Any, files: Any, name: str) -> bool:
        return is_ticked(data.get(name))


class TickField(forms.BooleanField):
    """Yes or no, as a box to tick; never required. Unlike Django's it means the same as a text, which is how pages carry their values."""

    widget = _TickBox

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)

    def to_python(self, value: Any) -> bool:
        return is_ticked(value)

    def display(self, value: Any) -> str:
        """是 or 否."""
        return str(_("是") if is_ticked(value) else _("否"))


class _CodeSelect(forms.Select):
    """The face of a short code table: a `<select>`."""

    def __init__(self, source: CodeSource) -> None:
        super().__init__()
        self._options = source.options()

    def optgroups(self, name: str, value: list[str], attrs: dict[str, Any] | None = None) -> Any:
        known = {option.code for option in self._options}
        # What was sent and is in no table stays to be seen and put right: nothing typed is lost.
        unknown = [(sent, sent) for sent in value if sent and sent not in known]
        self.choices = [("", ""), *((option.code, str(option)) for option in self._options), *unknown]
        self._initials = {option.code: option.initials for option in self._options}
        return super().optgroups(name, value, attrs)

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        if initials := self._initials.get(str(value)):
            option["attrs"]["data-initials"] = initials
        return option


class _CodeInput(forms.TextInput):
    """The face of a long code table: a text field for code or name."""

    def __init__(self, source: CodeSource) -> None:
        super().__init__()
        self._source = source

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        option = self._source.get(str(value)) if value else None
        context = super().get_context(name, str(option) if option else value, attrs)
        context["widget"]["attrs"]["data-lookup-url"] = self._source.lookup_url
        if option:
            context["widget"]["attrs"]["data-code"] = option.code
        return context


class CodeWidget(forms.Widget):
    """A code field as the page carries it; static/portal/js/code-field.js turns it into a field that one types into.

    The table is asked when the page is drawn, not when the form class is made: tables change by date, and the address for
    looking up is not known before the URLs are.
    """

    def __init__(self, source: CodeSource) -> None:
        super().__init__()
        self.source = source

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        face = _CodeInput(self.source) if self.source.lookup_url else _CodeSelect(self.source)
        return face.render(name, value, self.build_attrs(self.attrs, attrs), renderer)


class CodeField(forms.CharField):
    """A code out of a `core.codes.CodeSource`; the cleaned value is the code, "" for none.

    Without a script it takes what a person would write: the code in any case, the exact name, or "code name" as shown.
    """

    default_error_messages = {"unknown": _("代码“%(value)s”不在%(table)s表中，请从列表中选择。")}

    def __init__(self, source: CodeSource, **kwargs: Any) -> None:
        self.source = source
        super().__init__(widget=CodeWidget(source), **kwargs)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "data-code-field": True}

    def to_python(self, value: Any) -> str:
        text = super().to_python(value)
        if not text:
            return ""
        option = self._find(text)
        if option is None:
            raise ValidationError(self.error_messages["unknown"], code="unknown", params={"value": text, "table": self.label})
        return option.code

    def display(self, value: Any, *, with_code: bool = True) -> str:
        """A stored code as people read it, "code name" or the name alone; a code that the table does not know as it is."""
        option = self.source.get(str(value)) if value not in (None, "") else None
        if option is None:
            return str(value or "")
        return str(option) if with_code else option.name

    def _find(self, text: str) -> CodeOption | None:
        code = text.split(maxsplit=1)[0]
        for candidate in (text, text.upper(), code):
            option = self.source.get(candidate)
            if option and (candidate != code or text in (code, str(option))):
                return option
        return _only(self.source.options(), text)


def _only(options: Sequence[CodeOption], name: str) -> CodeOption | None:
    named = [option for option in options if option.name == name]
    return named[0] if len(named) == 1 else None
