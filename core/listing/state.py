"""The state of a query page as its URL has it, and the URLs of its neighbours."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict

from core.listing.columns import named
from core.listing.keyset import Reach

SORT, SIZE, COLUMNS, EXPORT = "sort", "size", "columns", "export"
#: Names in the URL that no filter may have.
RESERVED = frozenset({SORT, SIZE, COLUMNS, EXPORT, *Reach})


@dataclass(frozen=True, slots=True)
class ListState:
    """What the URL says, made valid: conditions as typed, order, page size, columns (empty: not said), cursor.

    What it says wrongly of order, size or columns counts as not said; conditions and cursor are judged by the view.
    """

    conditions: Sequence[tuple[str, str]]
    sort: str
    size: int
    columns: Sequence[str]
    reach: Reach | None
    cursor: str

    @classmethod
    def read(
        cls,
        data: QueryDict,
        *,
        parameters: Iterable[str],
        sortable: Mapping[str, str],
        sort: str,
        sizes: Sequence[int],
        columns: Sequence[str],
    ) -> "ListState":
        """From the query string. `parameters` are the conditions' names, `sort` the default order, `sizes[0]` the default size."""
        wanted_sort = data.get(SORT, sort)
        wanted_size = data.get(SIZE, "")
        reach = next((reach for reach in Reach if data.get(reach)), None)
        return cls(
            conditions=[(name, value) for name in parameters for value in data.getlist(name) if value.strip()],
            sort=wanted_sort if wanted_sort.removeprefix("-") in sortable and not wanted_sort.startswith("--") else sort,
            size=next((size for size in sizes if wanted_size == str(size)), sizes[0]),
            columns=named(data.getlist(COLUMNS), columns),
            reach=reach,
            cursor=data.get(reach, "") if reach else "",
        )

    @property
    def sort_name(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        return self.sort.startswith("-")


class Links:
    """URLs of a query page, all relative to it and all holding its whole state; what stands at its default is left out."""

    def __init__(self, state: ListState, *, default_sort: str, default_size: int) -> None:
        self._state = state
        self._default_sort = default_sort
        self._default_size = default_size

    def url(
        self,
        *,
        sort: str | None = None,
        size: int | None = None,
        columns: Sequence[str] | None = None,
        at: tuple[Reach, str] | None = None,
        export: str | None = None,
        conditions: bool = True,
    ) -> str:
        """`?…` of the page as it is, changed as said. Without `at` it is the first page: another order or size has no such place."""
        state = self._state
        sort, size = sort or state.sort, size or state.size
        columns = state.columns if columns is None else columns
        pairs = list(state.conditions) if conditions else []
        if sort != self._default_sort:
            pairs.append((SORT, sort))
        if size != self._default_size:
            pairs.append((SIZE, str(size)))
        if columns:
            pairs.append((COLUMNS, ",".join(columns)))
        if at is not None:
            pairs.append((at[0].value, at[1]))
        if export is not None:
            pairs.append((EXPORT, export))
        return "?" + urlencode(pairs, safe=",:")

    @property
    def here(self) -> str:
        """The page as it is, at its place."""
        return self.url(at=(self._state.reach, self._state.cursor) if self._state.reach else None)
