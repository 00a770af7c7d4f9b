"""The body of an entry page: saved lines and one line being edited, carried by the page itself until the filing is saved.

What the browser sends, all in the one form of the page:
  lines-count, lines-<n>-<field>   the lines of the list, n from 0
  line-<field>                     the line in the editor
  line-index                       which line of the list the editor holds; empty for a new one
  tick                             numbers (from 0) of the ticked lines
Nothing here is stored: every answer of the server carries the changed list back, so the page works without a script.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from django.core.exceptions import BadRequest, ValidationError
from django.forms import Field
from django.http import QueryDict
from django.utils.translation import gettext as _

from core.forms.form import EntryForm, as_text, display

EDITOR: Final = "line"
LIST: Final = "lines"
#: A request with more lines than this is nobody's typing; fewer are drawn again, however many of them are too many.
MOST_SENT: Final = 1000

Texts = dict[str, str]


class Lines:
    """The list and the editor of one request."""

    def __init__(self, form_class: type[EntryForm], header: EntryForm, rows: Sequence[Texts], blank: Mapping[str, Any], limit: int) -> None:
        """`blank` is what a new line starts with; `header` the header's form that the lines' rules look at."""
        self.form_class = form_class
        self.header = header
        self.rows: list[Texts] = list(rows)
        self.limit = limit
        self.index: int | None = None
        self.focus_on = ""
        #: Whether the list came as a page sends it, none of its lines missing.
        self.is_whole = True
        #: Errors of lines in the list, by index; filled by `clean`.
        self.errors: dict[int, EntryForm] = {}
        self._blank = {name: "" if value is None else str(value) for name, value in blank.items()}
        self._typed: Texts | None = None
        self._bound: EntryForm | None = None

    @classmethod
    def from_post(cls, form_class: type[EntryForm], header: EntryForm, data: QueryDict, blank: Mapping[str, Any], limit: int) -> "Lines":
        """The state that the browser sent. An index that makes no sense counts as none.

        A count that is missing or does not fit the lines that came is no empty list: what came is kept, and `problem` says so.
        Raises BadRequest for a list that no page could have sent.
        """
        fields = form_class.base_fields
        numbers = _line_numbers(data)
        if len(numbers) > MOST_SENT:
            raise BadRequest(f"{len(numbers)} lines sent")
        rows = [raw_texts(fields, data, f"{LIST}-{number}-") for number in numbers]
        lines = cls(form_class, header, rows, blank, limit)
        lines.is_whole = small_number(data.get(f"{LIST}-count")) == len(rows) and numbers == list(range(len(rows)))
        index = small_number(data.get(f"{EDITOR}-index"))
        lines.index = index if index is not None and index < len(rows) else None
        lines._typed = raw_texts(fields, data, f"{EDITOR}-")
        return lines

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Names and labels of the fields of a line."""
        form = self.form_class()
        return [(name, str(form[name].label)) for name in form.fields]

    @property
    def problem(self) -> str:
        """Why the list can be neither saved nor changed, for the user; "" when it is whole and not too long."""
        if not self.is_whole:
            return _("没有收到完整的表体信息，内容没有保存。请核对表体列表后再操作一次。")
        if len(self.rows) > self.limit:
            return _("表体信息不能超过 %(limit)d 条，现有 %(count)d 条。请先删除多余的行。") % {
                "limit": self.limit,
                "count": len(self.rows),
            }
        return ""

    @property
    def editor(self) -> EntryForm:
        """The editor's form: with errors when its line was refused, else holding what was typed or chosen."""
        if self._bound is not None:
            return self._bound
        return self._form(EDITOR, initial=self._blank if self._typed is None else self._typed, focus_on=self.focus_on)

    @property
    def is_touched(self) -> bool:
        """Whether the editor holds something that the list does not."""
        baseline = self._blank if self.index is None else self.rows[self.index]
        return self._typed is not None and any(text != baseline.get(name, "") for name, text in self._typed.items())

    def save_editor(self) -> bool:
        """Put the editor's line into the list, if it is right; else keep it in the editor with its errors."""
        form = self._form(EDITOR, data=self._typed or {})
        if form.is_valid() and self.index is None and len(self.rows) >= self.limit:
            form.add_error(None, ValidationError(_("表体信息不能超过 %(limit)d 条。"), params={"limit": self.limit}))
        if not form.is_valid():
            form.focus_on = next((name for name in form.fields if name in form.errors), "")
            self._bound = form
            return False
        if self.index is None:
            self.rows.append(as_text(form))
        else:
            self.rows[self.index] = as_text(form)
        self.clear_editor()
        return True

    def clear_editor(self) -> None:
        """An empty editor for a new line, the cursor in its first field."""
        self.index, self._typed, self._bound = None, None, None
        self.focus_on = next(iter(self.form_class.base_fields))

    def edit(self, index: int) -> None:
        """Take a line of the list into the editor; a number that the list does not have gives an empty editor."""
        self.clear_editor()
        if index < len(self.rows):
            self.index, self._typed = index, dict(self.rows[index])

    def delete(self, ticked: Collection[int]) -> None:
        """Drop lines from the list; the lines behind them move up. An editor that held one of them is emptied."""
        if self.index in ticked:
            self.clear_editor()
        elif self.index is not None:
            self.index -= sum(1 for number in ticked if number < self.index)
        self.rows = [row for number, row in enumerate(self.rows) if number not in ticked]

    def clean(self) -> list[dict[str, Any]]:
        """The cleaned values of every line, in order; lines that are not right are found in `errors`.

        The first wrong line is taken into the editor, with its messages beside its fields.
        """
        forms = [self._form(f"{LIST}-{number}", data=row) for number, row in enumerate(self.rows)]
        self.errors = {number: form for number, form in enumerate(forms) if not form.is_valid()}
        if self.errors and self._bound is None:
            self._show_wrong(min(self.errors))
        return [form.cleaned_data for form in forms if form.is_valid()]

    def refuse(self, index: int, field: str, errors: list[ValidationError]) -> None:
        """Show what a service says against a line that the forms found right; `field` may be "" for the line as a whole."""
        if index not in self.errors:
            self.errors[index] = self._form(f"{LIST}-{index}", data=self.rows[index])
        self.errors[index].add_error(field or None, ValidationError(errors))
        if self._bound is None or index == self.index:
            self._show_wrong(index)

    def _show_wrong(self, index: int) -> None:
        """Take a wrong line into the editor with its messages."""
        self.index = index
        self._typed = dict(self.rows[index])
        self._bound = self._form(EDITOR, data=self._typed)
        self._bound.errors.update(self.errors[index].errors)

    def table(self) -> list[dict[str, Any]]:
        """The list as the page shows it: values as people read them, and as the browser sends them back."""
        fields = self.form_class.base_fields
        labels = dict(self.columns)
        return [
            {
                "number": number + 1,
                "index": number,
                "is_edited": number == self.index,
                "is_wrong": number in self.errors,
                "cells": [(labels[name], display(field, row.get(name, ""), with_code=False)) for name, field in fields.items()],
                "hidden": [(f"{LIST}-{number}-{name}", row.get(name, "")) for name in fields],
            }
            for number, row in enumerate(self.rows)
        ]

    def _form(self, prefix: str, *, data: Texts | None = None, **kwargs: Any) -> EntryForm:
        sent = None if data is None else {f"{prefix}-{name}": text for name, text in data.items()}
        return self.form_class(sent, prefix=prefix, header=self.header, **kwargs)


def raw_texts(fields: Mapping[str, Field], data: Mapping[str, Any], prefix: str = "") -> Texts:
    """What was sent for the fields of a form, as it was typed; without those that the system fills in."""
    texts = {}
    for name, field in fields.items():
        if not field.disabled:
            value = field.widget.value_from_datadict(data, {}, prefix + name)
            texts[name] = "" if value is None else str(value)
    return texts


def _line_numbers(data: QueryDict) -> list[int]:
    """Numbers of the lines that came, in order."""
    sent = (name.removeprefix(f"{LIST}-").split("-", 1)[0] for name in data if name.startswith(f"{LIST}-"))
    return sorted({number for text in sent if (number := small_number(text)) is not None})


def small_number(text: str | None, *, digits: int = 5) -> int | None:
    """A number that a page sends: none of its own pages sends more than five ASCII digits for a line, or `digits` for something else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= digits else None
