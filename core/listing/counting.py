"""How many rows a query has, without ever counting a large table (`architecture.md` §4.10)."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

#: Beyond this the exact number helps nobody and costs a scan.
CAP = 10_000


@dataclass(frozen=True, slots=True)
class CappedCount:
    """A number of rows; `capped` when there are more than that."""

    number: int
    capped: bool = False

    def __str__(self) -> str:
        if self.capped:
            return _("%(number)s+ 条") % {"number": f"{self.number:,}"}
        return _("共 %(number)s 条") % {"number": f"{self.number:,}"}


def capped_count(queryset: "QuerySet[Any]", cap: int = CAP) -> CappedCount:
    """Count the rows of `queryset`, reading at most `cap` + 1 of them."""
    found = queryset.order_by().values("pk")[: cap + 1].count()
    return CappedCount(min(found, cap), capped=found > cap)
