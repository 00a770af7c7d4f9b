"""`QueryPageView`: the query page of every application (PRT-06). How to declare one is told in `core.listing`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.generic import TemplateView

from core.http import wants_part
from core.listing import columns, printing, state
from core.listing.actions import RowAction, drawn, hidden_fields
from core.listing.counting import CappedCount, capped_count
from core.listing.export import download
from core.listing.filters import QueryFilterSet, check_names
from core.listing.keyset import InvalidCursorError, Order, Page, Reach
from core.listing.state import Links, ListState
from core.listing.tables import QueryTable
from core.pdf import FontsMissing, pdf_response
from core.views import WorkPageMixin
from core.workflow import ActionRefused

FORM_ID = "listing-filters"
_NO_ROWS = Page(rows=(), before=None, after=None, anchor=None)


class _NotPrinted(ActionRefused):
    """More was asked for than is printed at once."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's heading: what it says, where a click on it leads ("" = not sortable), how it is sorted now."""

    label: str | Promise
    url: str
    sorted: str  # aria-sort: "", "ascending" or "descending"
    css: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several things to choose from, and whether it is chosen."""

    name: str
    label: str | Promise
    url: str
    is_chosen: bool


class QueryPageView(WorkPageMixin, TemplateView):
    """A list that is filtered, sorted, paged, trimmed to columns and exported; see the package's docstring.

    GET shows the page, with `export=xlsx|csv` hands it out as a file, with `export=pdf` prints all that the conditions find. POST
    keeps the choice of columns, nothing else.
    """

    template_name = "core/listing/page.html"
    partial_template_name = "core/listing/partial.html"

    #: Stable name under which the user's columns are kept: "smartgate.filings".
    page: ClassVar[str]
    filterset_class: ClassVar[type[QueryFilterSet]]
    table_class: ClassVar[type[QueryTable]]
    #: The order until a user sorts: one name of `sortable`, with "-" for descending.
    ordering: ClassVar[tuple[str]]
    #: Column of the table → field of the model. For each there must be an index on (what scopes the rows, field, id).
    sortable: ClassVar[Mapping[str, str]]
    page_sizes: ClassVar[Sequence[int]] = (20, 50, 100)
    #: What a printed list is called; the page's title when left out.
    print_title: ClassVar[str | Promise] = ""
    #: What to do about an empty page, for a user who has nothing yet.
    empty_hint: ClassVar[str | Promise] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "filterset_class" in cls.__dict__:
            check_names(cls.filterset_class, state.RESERVED)
        if "ordering" in cls.__dict__ and (len(cls.ordering) != 1 or cls.ordering[0].removeprefix("-") not in cls.sortable):
            raise ImproperlyConfigured(f"{cls.__name__}.ordering must be one name of `sortable`; ties are always parted by primary key")

    # -- What an application gives ------------------------------------------------------------

    def get_queryset(self) -> "QuerySet[Any]":
        """All rows this user may see, scoped, with `select_related` for what the columns show."""
        raise NotImplementedError

    def row_actions(self, user: Any, row: Any) -> Sequence[RowAction]:
        """What `user` may do with `row` in its present state; without any there is no column 操作."""
        return ()

    # -- HTTP ---------------------------------------------------------------------------------

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        patch_vary_headers(response, ["HX-Request"])
        return response

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        kind = request.GET.get(state.EXPORT)
        if kind in {"xlsx", "csv"} and not self.filterset.errors and not self.cursor_is_lost:
            self.table.show_only(self.shown_names)
            headings = [str(column.header) for column in self.table.shown]
            return download(self.page_title(), kind, headings, self.table.values())
        if kind == "pdf" and not self.filterset.errors:
            return self._printed()
        if not wants_part(request):
            return super().get(request, *args, **kwargs)
        response = self.response_class(request, [self.partial_template_name], self.get_context_data(**kwargs))
        response["HX-Push-Url"] = request.path + self.links.here
        return response

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Keep the columns ticked, or with `reset` the table's own; then back to the same place of the list."""
        chosen = [] if "reset" in request.POST else columns.named(request.POST.getlist(state.COLUMNS), list(self.column_labels))
        columns.remember(request.user, self.page, chosen)
        at = (self.state.reach, self.state.cursor) if self.state.reach else None
        return HttpResponseRedirect(request.path + self.links.url(columns=chosen, at=at))

    def _printed(self) -> HttpResponse:
        """All rows of the query as a document; too many, or none that could be drawn, is said on the page."""
        rows = self.order.page(self.filterset.qs, size=printing.MOST_ROWS)
        try:
            if rows.after is not None:
                raise _NotPrinted(printing.too_many())
            table = self.table_class(data=rows.rows)
            table.show_only(self.shown_names)
            title = str(self.print_title) or self.page_title()
            content = printing.list_sheet(
                title=title,
                conditions=self.filterset.spoken,
                order=self._spoken_order(),
                headings=[str(column.header) for column in table.shown],
                rows=list(table.values()),
                printed_by=str(self.request.user),
                printed_at=timezone.now(),
            ).pdf()
        except (_NotPrinted, FontsMissing) as refusal:
            messages.warning(self.request, str(refusal))
            return HttpResponseRedirect(self.request.path + self.links.here)
        return pdf_response(content, f"{title}_{timezone.localtime():%Y%m%d}")

    def _spoken_order(self) -> str:
        label = self.column_labels.get(self.state.sort_name, self.state.sort_name)
        return (_("%(column)s从新到旧（从大到小）") if self.state.descending else _("%(column)s从旧到新（从小到大）")) % {"column": label}

    # -- The state and what follows from it ---------------------------------------------------

    @cached_property
    def filterset(self) -> QueryFilterSet:
        """The conditions of this request over the user's rows."""
        return self.filterset_class(self.request.GET, queryset=self.get_queryset(), request=self.request)

    @cached_property
    def column_labels(self) -> Mapping[str, Any]:
        """Every column there is, and its heading."""
        return self.table_class.labels()

    @cached_property
    def state(self) -> ListState:
        """What the URL says."""
        return ListState.read(
            self.request.GET,
            parameters=self.filterset.parameters,
            sortable=self.sortable,
            sort=self.ordering[0],
            sizes=self.page_sizes,
            columns=list(self.column_labels),
        )

    @cached_property
    def links(self) -> Links:
        """URLs of this page's neighbours."""
        return Links(self.state, default_sort=self.ordering[0], default_size=self.page_sizes[0])

    @cached_property
    def shown_names(self) -> Sequence[str]:
        """Names of the columns to show."""
        known = list(self.column_labels)
        return self.state.columns or columns.remembered(self.request.user, self.page, known) or self.table_class.default_columns or known

    @cached_property
    def cursor_is_lost(self) -> bool:
        """Whether the URL's cursor could not be read; then the first page is shown, and that said."""
        return self._placed[1]

    @cached_property
    def order(self) -> Order:
        """The order that the URL asks for."""
        model = self.filterset.queryset.model
        return Order(model, self.sortable[self.state.sort_name], descending=self.state.descending, scope=self.page)

    @cached_property
    def _placed(self) -> tuple[Page, bool]:
        if self.filterset.errors:
            return _NO_ROWS, False
        queryset = self.filterset.qs
        order = self.order
        if self.state.reach is None:
            return order.page(queryset, size=self.state.size), False
        try:
            position = order.position(self.state.reach, self.state.cursor)
        except InvalidCursorError:
            return order.page(queryset, size=self.state.size), True
        return order.page(queryset, size=self.state.size, position=position), False

    @property
    def rows_page(self) -> Page:
        """The rows to show; none when a condition is wrong, since all of them would not be what was asked for."""
        return self._placed[0]

    @cached_property
    def table(self) -> QueryTable:
        """The table over this page's rows."""
        table: QueryTable = self.table_class(data=self.rows_page.rows)
        return table

    def count(self) -> CappedCount:
        """How many rows fit the conditions; a page that holds them all needs no query for that."""
        if self.filterset.errors or self.rows_page.is_everything:
            return CappedCount(len(self.rows_page.rows))
        return capped_count(self.filterset.qs)

    # -- For the templates --------------------------------------------------------------------

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        self.table.show_only(self.shown_names)
        page, filterset, links = self.rows_page, self.filterset, self.links
        has_actions = type(self).row_actions is not QueryPageView.row_actions
        is_filtered = bool(self.state.conditions)
        return super().get_context_data(
            filterset=filterset,
            is_filtered=is_filtered,
            # Open on arrival and while it says something; out of the way while one pages through everything.
            is_search_open=is_filtered or self.state.reach is None,
            form_is_refreshed=wants_part(self.request) and self.request.htmx.trigger == FORM_ID,  # type: ignore[attr-defined]
            caption=self.page_title(),
            headings=self._headings(),
            lines=self._lines(has_actions=has_actions),
            has_actions=has_actions,
            has_errors=bool(filterset.errors),
            cursor_is_lost=self.cursor_is_lost,
            count=self.count(),
            first_url=links.url() if self.state.reach else "",
            before_url=links.url(at=(Reach.BEFORE, page.before)) if page.before else "",
            after_url=links.url(at=(Reach.AFTER, page.after)) if page.after else "",
            here_url=links.here,
            reset_url=links.url(conditions=False),
            export_urls=[
                (kind, links.url(at=(Reach.FROM, page.anchor), columns=self.shown_names, export=kind))
                for kind in ("xlsx", "csv")
                if page.anchor
            ],
            print_url=links.url(columns=self.shown_names, export="pdf") if page.anchor else "",
            sizes=[Choice(str(size), str(size), links.url(size=size), size == self.state.size) for size in self.page_sizes],
            columns=[Choice(name, label, "", name in self.shown_names) for name, label in self.column_labels.items()],
            kept=self._kept_by_form(),
            empty_hint=self.empty_hint,
            **kwargs,
        )

    def _lines(self, *, has_actions: bool) -> list[tuple[SafeString, SafeString | str]]:
        """For each row its cells and its actions as HTML."""
        if not has_actions:
            return [(cells, "") for cells, _row in self.table.lines()]
        user, hidden = self.request.user, hidden_fields(get_token(self.request), self.request.path + self.links.here)
        return [(cells, drawn(self.row_actions(user, row), hidden=hidden)) for cells, row in self.table.lines()]

    def _headings(self) -> list[Heading]:
        """Headings of the shown columns. A click on the column sorted by turns its order round."""
        headings = []
        for column in self.table.shown:
            is_current = column.name == self.state.sort_name
            url, aria = "", ""
            if column.name in self.sortable:
                flipped = is_current and not self.state.descending
                url = self.links.url(sort=f"-{column.name}" if flipped else column.name)
                aria = ("descending" if self.state.descending else "ascending") if is_current else ""
            headings.append(Heading(column.header, url, aria, column.column.attrs.get("th", {}).get("class", "")))
        return headings

    def _kept_by_form(self) -> list[tuple[str, str]]:
        """What the search form must send along so that a new search keeps order, size and columns."""
        pairs = []
        if self.state.sort != self.ordering[0]:
            pairs.append((state.SORT, self.state.sort))
        if self.state.size != self.page_sizes[0]:
            pairs.append((state.SIZE, str(self.state.size)))
        if self.state.columns:
            pairs.append((state.COLUMNS, ",".join(self.state.columns)))
        return pairs
