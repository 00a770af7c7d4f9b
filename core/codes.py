"""What a code field needs to know of a list of codes, wherever the list comes from.

Small fixed lists are `TextChoices` wrapped in `ChoicesSource`; tables that change by date come from
`reference.sources.TableSource`. Forms, filters, tables and print all read codes through this one shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Protocol

from django.db.models import TextChoices
from django.utils.translation import override

from core.pinyin import initials


@dataclass(frozen=True, slots=True)
class CodeOption:
    """One code: what is stored (`code`), what people read (`name`), the name's pinyin initials."""

    code: str
    name: str
    initials: str

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class CodeSource(Protocol):
    """A list of codes. `lookup_url` is set when the list is too long for a `<select>`."""

    key: str

    @property
    def lookup_url(self) -> str | None: ...

    def options(self, on: date | None = None) -> Sequence[CodeOption]:
        """All options valid on a day (today when None), in the order to show."""
        ...

    def get(self, code: str, on: date | None = None) -> CodeOption | None:
        """The option of a code, or None when the list has no such code on that day."""
        ...


class ChoicesSource:
    """The members of a TextChoices class as a CodeSource; they do not change by date."""

    lookup_url: str | None = None

    def __init__(self, choices: type[TextChoices]) -> None:
        self.key = choices.__name__
        self._choices = choices

    @cached_property
    def _options(self) -> dict[str, CodeOption]:
        with override("zh-hans"):
            return {value: CodeOption(value, str(label), initials(str(label))) for value, label in self._choices.choices}

    def options(self, on: date | None = None) -> Sequence[CodeOption]:
        return list(self._options.values())

    def get(self, code: str, on: date | None = None) -> CodeOption | None:
        return self._options.get(code)
