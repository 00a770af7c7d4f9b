"""Which columns a user sees on a query page: the URL's, else the ones he chose last, else the table's own (PRT-06)."""

from collections.abc import Iterable, Sequence
from typing import Any

from core.models import ColumnChoice


def named(wanted: Iterable[str], known: Sequence[str]) -> list[str]:
    """Those of `wanted` that exist, in the table's order and each once; `a,b` counts as two."""
    names = {name.strip() for part in wanted for name in part.split(",")}
    return [name for name in known if name in names]


def remembered(user: Any, page: str, known: Sequence[str]) -> list[str]:
    """What the user chose last for this page; empty when he never did, or when none of it exists any more."""
    stored = ColumnChoice.objects.filter(user_id=user.pk, page=page).values_list("columns", flat=True).first()
    return named((name for name in stored if isinstance(name, str)), known) if isinstance(stored, list) else []


def remember(user: Any, page: str, columns: Sequence[str]) -> None:
    """Keep the user's choice; an empty one means the table's own columns again."""
    if columns:
        ColumnChoice.objects.update_or_create(user_id=user.pk, page=page, defaults={"columns": list(columns)})
    else:
        ColumnChoice.objects.filter(user_id=user.pk, page=page).delete()
