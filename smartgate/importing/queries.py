"""Reads of imports; always scoped to the reader."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from smartgate.importing.models import Import, ImportedFiling, StoredContents

#: Errors on the page; all of them are in the marked workbook.
SHOWN_PROBLEMS = 200


def imports_of(user: Any) -> QuerySet[Import]:
    """The enterprise's workbooks, newest first."""
    found: QuerySet[Import] = Import.objects.for_user(user).select_related("created_by").order_by("-created_at", "-id")
    return found


def problems_of(one: Import) -> Sequence[Sequence[Any]]:
    """The first errors of a workbook in the order of its rows, each with row, column, heading and message."""
    wrong = one.filings.filter(contents__isnull=True).order_by("position").values_list("problems", flat=True)[:SHOWN_PROBLEMS]
    return [problem for problems in wrong for problem in problems][:SHOWN_PROBLEMS]


def rows_stored_before(user: Any, one: Import) -> Sequence[int]:
    """Rows of the filings yet to be stored whose very contents were stored from a workbook before: whoever stores them has them twice."""
    twins = StoredContents.objects.for_user(user).filter(digest=OuterRef("digest"))
    todo = one.filings.filter(Exists(twins), contents__isnull=False, filing__isnull=True)
    return list(todo.order_by("position").values_list("row", flat=True))


def filings_of(one: Import) -> QuerySet[ImportedFiling]:
    """What became drafts of a workbook, in its order."""
    stored: QuerySet[ImportedFiling] = one.filings.filter(filing__isnull=False).select_related("filing").order_by("position")
    return stored
