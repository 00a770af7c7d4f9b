"""Rules by which a field becomes required or grey: written once, kept by the server and shown by the browser (PRT-04).

    Rule("vessel_name", required_when={"header.transport_mode": {"2"}}, grey_when={"header.transport_mode": {"4", "5"}})

A condition is a dict `field name → values`: all of its fields must have one of their values. A list of dicts is true when one
of them is. The empty value is "". Names are those of the form itself; on the form of a body line `header.<name>` is a field
of the header. A field that is grey is never required, and what the browser sends for it is thrown away.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise

Condition = Mapping[str, Collection[str]]
When = Condition | Sequence[Condition]

#: What the names of the header's fields begin with in the rules of a line.
HEADER = "header."


@dataclass(frozen=True, slots=True)
class Rule:
    """When one field is required and when it is grey; `message` replaces the generated text for a missing value."""

    field: str
    required_when: When = ()
    grey_when: When = ()
    message: str | Promise = ""


@dataclass(frozen=True, slots=True)
class RuleState:
    """What the rules say of one field now; `because` is the condition that makes it required."""

    is_required: bool = False
    is_grey: bool = False
    because: Condition | None = None
    message: str | Promise = ""


def alternatives(when: When) -> Sequence[Condition]:
    """A condition in its long form, a list of dicts."""
    return [when] if isinstance(when, Mapping) else list(when)


def first_match(when: When, values: Mapping[str, str]) -> Condition | None:
    """The first alternative that the values fulfil, or None. A field that is not among the values counts as empty."""
    for condition in alternatives(when):
        if all(values.get(name, "") in wanted for name, wanted in condition.items()):
            return condition
    return None


def evaluate(rules: Sequence[Rule], values: Mapping[str, str]) -> dict[str, RuleState]:
    """The state of every field that has a rule."""
    states: dict[str, RuleState] = {}
    for rule in rules:
        because = first_match(rule.required_when, values)
        is_grey = first_match(rule.grey_when, values) is not None
        states[rule.field] = RuleState(because is not None and not is_grey, is_grey, because, rule.message)
    return states


def as_json(rules: Sequence[Rule], always_required: Collection[str]) -> str:
    """The rules as static/portal/js/entry-rules.js reads them, values in a fixed order so that pages compare equal.

    `always_required` are the fields that are required whenever they are not grey.
    """

    def readable(when: When) -> list[dict[str, list[str]]]:
        return [{name: sorted(wanted) for name, wanted in condition.items()} for condition in alternatives(when)]

    return json.dumps(
        [
            {
                "field": rule.field,
                "required": readable(rule.required_when),
                "grey": readable(rule.grey_when),
                "always": rule.field in always_required,
            }
            for rule in rules
        ]
    )
