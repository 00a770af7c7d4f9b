"""The query page, one building block for all lists (PRT-06): filters, keyset paging, capped counts, columns, actions, export.

An application declares it in a few lines:

    class FilingFilter(QueryFilterSet):
        trip_no = TextFilter()                                  # equal, 精确查询; label is the field's verbose_name
        status = CodeFilter(source=ChoicesSource(Status), show_code=False)
        entered_at = DayRangeFilter()                           # ?entered_at_from=2026-11-01&entered_at_to=2026-11-21

        class Meta:
            model = Filing
            fields = []                                         # nothing but what is declared above

    class FilingTable(QueryTable):
        trip_no = TextColumn(linkify=True, nowrap=True)
        customs_code = CodeColumn(source=customs_districts)
        status = StateColumn(choices=Status, colours={"rejected": "red"})
        entered_at = DayColumn()
        default_columns = ("trip_no", "status", "entered_at")   # until the user chooses; all when left out

        class Meta(QueryTable.Meta):
            model = Filing
            fields = ()                                         # nothing but what is declared above

    class FilingListView(QueryPageView):
        title, right, page = _("查询"), Right.SMARTGATE_VIEW, "smartgate.filings"
        filterset_class, table_class = FilingFilter, FilingTable
        ordering = ("-entered_at",)
        sortable = {"entered_at": "entered_at", "trip_no": "trip_no"}

        def get_queryset(self):
            return queries.filings_for(self.request.user)

        def row_actions(self, user, row):
            return actions_for(user, row)                       # list[RowAction], by the row's state

    class TestFilingList(ListContract): ...                     # tests/core/listing/contract.py

What the application owes: the queryset is scoped to the user; every column of `sortable` belongs to the table itself and has
an index (scope…, column, id); every condition that leaves few rows of many has one that begins with (scope…, condition).

The whole state stands in the URL: the conditions by their names, `sort`, `size`, `columns`, and one of `after`, `before`, `from`
with a cursor; `export=xlsx|csv` hands the page out as a file, `export=pdf` prints all that the conditions find. An htmx request
gets the table's part of the same page. `core.http.safe_next(request, default)` brings a posted row action back to the list as it stood.
"""

from core.listing.actions import RowAction
from core.listing.filters import CodeFilter, DayRangeField, DayRangeFilter, QueryFilterSet, TextFilter
from core.listing.tables import CodeColumn, DayColumn, MomentColumn, NumberColumn, QueryTable, StateColumn, TextColumn
from core.listing.views import QueryPageView

__all__ = [
    "CodeColumn",
    "CodeFilter",
    "DayColumn",
    "DayRangeField",
    "DayRangeFilter",
    "MomentColumn",
    "NumberColumn",
    "QueryFilterSet",
    "QueryPageView",
    "QueryTable",
    "RowAction",
    "StateColumn",
    "TextColumn",
    "TextFilter",
]
