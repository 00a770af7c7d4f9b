"""The form of an entry page: grounds, hints, conditional rules and the reading view, on top of Django's form and crispy's layout."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from crispy_forms.helper import FormHelper
from crispy_forms.layout import Layout
from django import forms
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from core.forms.fields import CodeField, SystemField, TickField
from core.forms.rules import HEADER, Rule, RuleState, as_json, evaluate


class EntryBoundField(forms.BoundField):
    """What templates/core/forms/field.html needs to know of one field."""

    form: "EntryForm"

    @property
    def is_to_read(self) -> bool:
        """Grey: shown as text, without a control."""
        return self.form.readonly or isinstance(self.field, SystemField)

    @property
    def is_required(self) -> bool:
        """Yellow, as things stand in this form now."""
        state = self.form.rule_states.get(self.name, RuleState())
        return (self.field.required and not state.is_grey) or state.is_required

    @property
    def is_tick(self) -> bool:
        """A box to tick: its label stands behind it."""
        return isinstance(self.field, TickField)

    @property
    def is_wide(self) -> bool:
        """Takes a whole row of the grid."""
        return self.name in self.form.wide

    def display(self) -> str:
        """The value as people read it."""
        return display(self.field, self.value())

    def build_widget_attrs(self, attrs: dict[str, Any], widget: forms.Widget | None = None) -> dict[str, Any]:
        attrs = super().build_widget_attrs(attrs, widget)
        if not self.is_hidden:
            kind = "form-select" if isinstance(self.field, CodeField) and not self.field.source.lookup_url else "form-control"
            attrs.setdefault("class", "form-check-input" if self.is_tick else kind)
            attrs.setdefault("autocomplete", "off")
            if self.is_required:
                attrs["aria-required"] = "true"
            if self.form.focus_on == self.name:
                attrs["autofocus"] = True
        return attrs


def display(field: forms.Field, value: Any, *, with_code: bool = True) -> str:
    """A field's value as people read it: codes with their names (or the names alone, where room is scarce), choices by their labels."""
    if isinstance(field, CodeField):
        return field.display(value, with_code=with_code)
    if isinstance(field, TickField):
        return field.display(value)
    if isinstance(field, forms.ChoiceField):
        labels = {str(key): label for key, label in field.choices}  # type: ignore[union-attr, misc]  # no groups on entry pages
        return str(labels.get(str(value), value or ""))
    return "" if value is None else str(field.prepare_value(value))


class EntryForm(forms.Form):
    """Base of header and line forms.

    `help_text` of a field is its one-line entry hint. Field order is the order on the page. A subclass that overrides `clean`
    calls `super().clean()` first: after that grey fields are empty, whatever was sent for them.
    """

    #: Conditional rules, see `core.forms.rules`.
    rules: ClassVar[Sequence[Rule]] = ()
    #: Fields that take a whole row of the grid.
    wide: ClassVar[Collection[str]] = ()

    use_required_attribute = False
    bound_field_class = EntryBoundField

    def __init__(self, *args: Any, header: "EntryForm | None" = None, readonly: bool = False, focus_on: str = "", **kwargs: Any) -> None:
        """`header` is the header's form when this is the form of a line; `focus_on` names the field where the cursor is to stand."""
        super().__init__(*args, **kwargs)
        self.header = header
        self.readonly = readonly
        self.focus_on = focus_on
        for field in self.fields.values():
            field.error_messages["required"] = _("此项必填。")

    @property
    def helper(self) -> FormHelper:
        """Crispy's instructions: our field template, no form tag (header and line share one form)."""
        helper = FormHelper()
        helper.form_tag = False
        helper.disable_csrf = True
        helper.form_show_errors = False
        helper.include_media = False
        helper.field_template = "core/forms/field.html"
        helper.layout = Layout(*[bound.name for bound in self.visible_fields()])
        return helper

    @property
    def rules_json(self) -> str:
        """The rules for the browser."""
        return as_json(self.rules, {name for name, field in self.fields.items() if field.required})

    @property
    def rule_values(self) -> dict[str, str]:
        """The values that conditions look at, as text: cleaned where they could be cleaned, else as typed."""
        values: dict[str, str] = {}
        if self.header is not None:
            values = {f"{HEADER}{name}": value for name, value in self.header.rule_values.items()}
        cleaned: Mapping[str, Any] = self.cleaned_data if self.is_bound and hasattr(self, "cleaned_data") else {}
        for name in self.fields:
            value = cleaned[name] if name in cleaned else self[name].value()
            values[name] = "" if value is None else str(value).strip()
        return values

    @cached_property
    def rule_states(self) -> dict[str, RuleState]:
        """What the rules say of each field; worked out when first asked for, that is after cleaning for a bound form."""
        if self.is_bound:
            self.errors  # noqa: B018 - has the form cleaned: conditions look at cleaned values
        return evaluate(self.rules, self.rule_values)

    def clean(self) -> dict[str, Any]:
        """Apply the rules to what was sent. Gives the cleaned values without those that the system fills in."""
        super().clean()
        for name, state in evaluate(self.rules, self.rule_values).items():
            field = self.fields[name]
            if state.is_grey:
                self.errors.pop(name, None)
                self.cleaned_data[name] = field.to_python("")
            elif state.is_required and name not in self.errors and self.cleaned_data.get(name) in field.empty_values:
                self.add_error(name, forms.ValidationError(self._required_message(name, state), code="required"))
        for name, field in self.fields.items():
            if isinstance(field, SystemField):
                self.cleaned_data.pop(name, None)
        return self.cleaned_data

    def _required_message(self, name: str, state: RuleState) -> str:
        """“运输方式为“2 水路”时，“船名”必填。”, or what the rule itself says."""
        if state.message:
            return str(state.message)
        because = []
        for other in state.because or {}:
            form, own_name = (self.header, other.removeprefix(HEADER)) if other.startswith(HEADER) else (self, other)
            if form is not None:
                value = display(form.fields[own_name], self.rule_values[other])
                because.append(_("%(field)s为“%(value)s”") % {"field": form[own_name].label, "value": value})
        return _("%(because)s时，“%(field)s”必填。") % {"because": _("，且").join(because), "field": self[name].label}


def as_text(form: EntryForm) -> dict[str, str]:
    """The cleaned values of a valid form as the texts that a browser would send for them."""
    texts = {}
    for name, field in form.fields.items():
        if not isinstance(field, SystemField):
            value = form.cleaned_data.get(name)
            texts[name] = "" if value is None else str(field.prepare_value(value))
    return texts
