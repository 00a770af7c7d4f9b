"""Reads of imports; always scoped to the reader."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from smartgate.importing.models import Import, ImportedFiling, ImportState

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


def stored_before(user: Any, one: Import) -> Import | None:
    """An earlier workbook with the very same contents that filings were stored from: whoever stores this one, too, has them twice."""
    found: Import | None = (
        Import.objects.for_user(user)
        .filter(sha256=one.sha256, state__in=(ImportState.STORED, ImportState.STORING))
        .exclude(pk=one.pk)
        .order_by("-pk")
        .first()
    )
    return found


def filings_of(one: Import) -> QuerySet[ImportedFiling]:
    """What became drafts of a workbook, in its order."""
    stored: QuerySet[ImportedFiling] = one.filings.filter(filing__isnull=False).select_related("filing").order_by("position")
    return stored
