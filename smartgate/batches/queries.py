"""Reads of batches; always scoped to the reader."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, F, Q, QuerySet, When

from smartgate import states
from smartgate.batches.models import Batch, BatchItem
from smartgate.models import Filing

#: Drafts to tick on one page.
MOST_TICKED = 200

_DECLARED = Q(filing__version__gt=F("version"))
_GONE = Q(filing__deleted_at__isnull=False)


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a batch is; filings that were deleted since count nowhere."""

    declared: int
    failed: int
    waiting: int

    @property
    def all(self) -> int:
        """Filings that are in the batch still."""
        return self.declared + self.failed + self.waiting

    @property
    def left(self) -> int:
        """Those that are not declared."""
        return self.failed + self.waiting


def counts_of(batch: Batch) -> Counts:
    """How many filings of a batch are declared, were refused, or wait."""
    found = batch.items.exclude(_GONE).aggregate(
        declared=Count("pk", filter=_DECLARED),
        failed=Count("pk", filter=~_DECLARED & ~Q(reason="")),
        waiting=Count("pk", filter=~_DECLARED & Q(reason="")),
    )
    return Counts(**found)


def left_of(batch: Batch, most: int) -> "QuerySet[BatchItem]":
    """Items that are not declared yet, with what is to be signed of them, in their order; those that were refused come last, so that
    they hold up nobody."""
    found: QuerySet[BatchItem] = batch.items.exclude(_GONE | _DECLARED).select_related("filing").prefetch_related("filing__lines")
    return found.order_by(Case(When(reason="", then=0), default=1), "position")[:most]


def declared_of(batch: Batch, most: int) -> "QuerySet[BatchItem]":
    """Items that are declared, in their order."""
    found: QuerySet[BatchItem] = batch.items.filter(_DECLARED).exclude(_GONE).select_related("filing")
    return found.order_by("position")[:most]


def batches_of(user: Any) -> "QuerySet[Batch]":
    """The enterprise's batches, newest first, each with `total`."""
    found: QuerySet[Batch] = Batch.objects.for_user(user).select_related("created_by", "upload").annotate(total=Count("items"))
    return found.order_by("-created_at", "-id")


def declarable(user: Any) -> "QuerySet[Filing]":
    """The newest filings of the enterprise that may be declared."""
    found: QuerySet[Filing] = Filing.objects.for_user(user).filter(status__in=states.DECLARE.states)
    return found.order_by("-entered_at", "-id")[:MOST_TICKED]
