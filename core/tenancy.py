"""Tenancy that cannot be forgotten (`architecture.md` §4.4).

A model that belongs to an enterprise has two managers:

    objects  = TenantManager.from_queryset(FilingQuerySet)()    # must be scoped before it is read
    unscoped = models.Manager.from_queryset(FilingQuerySet)()   # for messages, operators, Django itself (Meta.base_manager_name)

`Filing.objects.filter(...)` raises ScopeError when it is read, unless somewhere in its chain stands
`for_user(user)`. Services and message handlers, which act for the system and not for a reader, say so by
writing `unscoped`; `tests/core/test_tenancy.py` keeps that word out of views, forms, filters and tables.
"""

from collections.abc import Iterator
from typing import Any, Self, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.http import Http404

ModelT = TypeVar("ModelT", bound=models.Model)


class ScopeError(RuntimeError):
    """A tenant's table was about to be read without saying for whom."""


class TenantQuerySet(models.QuerySet[ModelT]):
    """A queryset that knows whether it was scoped. Models give their own `visible_to(user)`."""

    _guarded = False
    _scoped = False

    def visible_to(self, user: Any) -> Self:
        """The rows `user` may see: his enterprise's. Models with other readers override this."""
        if not user.is_authenticated or user.enterprise_id is None:
            return self.none()
        return self.filter(enterprise_id=user.enterprise_id)

    def for_user(self, user: Any) -> Self:
        """Scope to what `user` may see; the only way for a view to reach rows."""
        queryset = self.visible_to(user)
        queryset._scoped = True
        return queryset

    def _clone(self) -> Self:
        clone: Self = super()._clone()  # type: ignore[misc]
        clone._guarded = self._guarded
        clone._scoped = self._scoped
        return clone

    def _check_scope(self) -> None:
        # The rows of a related manager (`filing.lines`) belong to a record that was reached by its own scope.
        if self._guarded and not self._scoped and "instance" not in getattr(self, "_hints", {}):
            raise ScopeError(f"{self.model.__name__}.objects was read without for_user(); system code writes `unscoped`")

    def _merge_sanity_check(self, other: Any) -> None:
        super()._merge_sanity_check(other)  # type: ignore[misc]
        other._check_scope()

    def _combinator_query(self, combinator: str, *other_qs: Any, all: bool = False) -> Self:  # noqa: A002 - Django's name
        for queryset in (self, *other_qs):
            queryset._check_scope()
        combined: Self = super()._combinator_query(combinator, *other_qs, all=all)  # type: ignore[misc]
        return combined

    def _fetch_all(self) -> None:
        self._check_scope()
        super()._fetch_all()

    def resolve_expression(self, *args: Any, **kwargs: Any) -> Any:
        """As part of another query, `__in`. (Exists and Subquery do not ask: docs/adr/0001.)"""
        self._check_scope()
        return super().resolve_expression(*args, **kwargs)

    def raw(self, *args: Any, **kwargs: Any) -> Any:
        self._check_scope()
        return super().raw(*args, **kwargs)

    def explain(self, *args: Any, **kwargs: Any) -> str:
        self._check_scope()
        return super().explain(*args, **kwargs)

    def aiterator(self, chunk_size: int = 2000) -> Any:
        self._check_scope()
        return super().aiterator(chunk_size)

    def iterator(self, chunk_size: int | None = None) -> Iterator[ModelT]:
        self._check_scope()
        return super().iterator(chunk_size)

    def count(self) -> int:
        self._check_scope()
        return super().count()

    def exists(self) -> bool:
        self._check_scope()
        return super().exists()

    def aggregate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        self._check_scope()
        return super().aggregate(*args, **kwargs)

    def update(self, **kwargs: Any) -> int:
        self._check_scope()
        return super().update(**kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        self._check_scope()
        return super().delete()


class TenantManager(models.Manager[ModelT]):
    """Gives guarded querysets; combine with `from_queryset` of a TenantQuerySet."""

    def get_queryset(self) -> models.QuerySet[ModelT]:
        queryset = super().get_queryset()
        queryset._guarded = True  # type: ignore[attr-defined]
        return queryset


def get_for_user(queryset: TenantQuerySet[ModelT], user: Any, **lookup: Any) -> ModelT:
    """The one way a view reaches an object: scoped to the user, out of reach is 404.

    Raises Http404 when no row fits, which looks the same as a row of somebody else.
    """
    try:
        mine = queryset.for_user(user).filter(**lookup)
    except (ValueError, TypeError):
        raise Http404(f"{lookup} names no {queryset.model.__name__}") from None
    try:
        return mine.get()
    except ObjectDoesNotExist:
        raise Http404(f"no {queryset.model.__name__} for {lookup}") from None
