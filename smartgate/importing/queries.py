"""Reads of imports; always scoped to the reader."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from smartgate.importing.models import Import, ImportedFiling, ImportFile, ImportState, StoredContents

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


def rows_doubled(user: Any, one: Import) -> Sequence[int]:
    """Rows of the filings yet to be stored that would be there twice: their very contents were stored from a workbook, or are just being.

    Compared here and not by the database: it has no statistics of rows that were just checked, and joined ten thousand of them for half a
    minute. What is being stored is asked first: a worker that stores it meanwhile has it seen as the one or the other.
    """
    todo = list(_to_store(one.filings.all()).values_list("row", "digest"))
    digests = {digest for _row, digest in todo}
    others = ImportedFiling.objects.for_user(user).filter(upload__state=ImportState.STORING).exclude(upload=one)
    known = set(_to_store(others).filter(digest__in=digests).values_list("digest", flat=True))
    stored = StoredContents.objects.for_user(user).filter(filing__deleted_at__isnull=True)
    known |= set(stored.filter(digest__in=digests).values_list("digest", flat=True))
    return sorted(row for row, digest in todo if digest in known)


def _to_store(filings: QuerySet[ImportedFiling]) -> QuerySet[ImportedFiling]:
    """Those without errors that are no drafts yet and have a digest."""
    return filings.filter(contents__isnull=False, filing__isnull=True).exclude(digest="").order_by()


def has_marked(user: Any, one: Import) -> bool:
    """Whether there is a workbook to hand back with its errors marked."""
    return bool(ImportFile.objects.for_user(user).filter(upload=one).exclude(marked=b"").exists())


def filings_of(one: Import) -> QuerySet[ImportedFiling]:
    """What became drafts of a workbook, in its order."""
    stored: QuerySet[ImportedFiling] = one.filings.filter(filing__isnull=False).select_related("filing").order_by("position")
    return stored
