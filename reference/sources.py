"""Code tables in the shape that forms, filters and tables of `core` understand."""

from collections.abc import Sequence
from datetime import date

from django.urls import reverse

from core.codes import CodeOption
from reference import queries

#: Longer tables are not sent with every page: the field asks the lookup address instead.
LONGEST_SELECT = 200


class TableSource:
    """A code table as a `core.codes.CodeSource`. `large` says whether a field looks codes up instead of listing them;
    None leaves that to the number of codes the table has."""

    def __init__(self, key: str, large: bool | None = None) -> None:
        self.key = key
        self._large = large

    @property
    def lookup_url(self) -> str | None:
        """Address that answers with matching codes, or None for a table short enough for a `<select>`."""
        large = len(self.options()) > LONGEST_SELECT if self._large is None else self._large
        return reverse("reference:lookup", args=[self.key]) if large else None

    def options(self, on: date | None = None) -> Sequence[CodeOption]:
        """All codes valid on a day (today when None), in code order."""
        return queries.options(self.key, on)

    def get(self, code: str, on: date | None = None) -> CodeOption | None:
        """The code as it is on a day (today when None), or None."""
        return queries.get(self.key, code, on)
