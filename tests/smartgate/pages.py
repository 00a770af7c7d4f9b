"""What a browser sends from the entry page."""

from collections.abc import Mapping, Sequence
from typing import Any

from smartgate.forms import FilingForm, FilingLineForm
from tests.smartgate.factories import HEADER, LINE

NEW = "/smartgate/filings/new/"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def entry_post(
    action: str = "save",
    *,
    header: Mapping[str, Any] | None = None,
    lines: Sequence[Mapping[str, Any]] = (LINE,),
    editor: Mapping[str, Any] | None = None,
    **more: Any,
) -> dict[str, str]:
    """The form's data: header (HEADER with changes), the list's lines, the editor's line, the button."""
    data = {name: _text(value) for name, value in {**HEADER, **(header or {})}.items()}
    data["lines-count"] = str(len(lines))
    for number, line in enumerate(lines):
        data |= {f"lines-{number}-{name}": _text(line.get(name)) for name in FilingLineForm.base_fields}
    data |= {f"line-{name}": _text((editor or {}).get(name)) for name in FilingLineForm.base_fields}
    return {**data, "line-index": "", "action": action, **{name: _text(value) for name, value in more.items()}}


def problems_of(response: Any) -> list[str]:
    """The texts of the summary of errors on an entry page."""
    return [problem.message for problem in response.context["problems"]]


SYSTEM_FIELDS = [name for name, field in FilingForm.base_fields.items() if field.disabled]
