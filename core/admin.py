"""What staff change in /admin/ leaves an entry in the audit trail, too (ACC-15): one base for every page there that changes something."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from core import audit
from core.fields import EncryptedTextField


def snapshot(obj: models.Model, *, secret: Iterable[str] = ()) -> dict[str, Any]:
    """A stored record as the trail tells of it. Of a secret it says only whether there is one."""
    values: dict[str, Any] = {}
    for column in obj._meta.concrete_fields:
        value = getattr(obj, column.attname)
        if isinstance(column, EncryptedTextField) or column.name in secret:
            value = _("已设置") if value else ""
        elif isinstance(column, models.FileField):
            value = value.name
        values[column.name] = value
    for many in obj._meta.many_to_many:
        values[many.name] = sorted(str(one) for one in getattr(obj, many.name).all())
    return values


class AuditedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # takes none at run time
    """A page of /admin/ whose additions, changes and deletions are audited, those of its inlines included."""

    #: Fields, encrypted ones apart, that the trail must not hold.
    audit_secret: ClassVar[Iterable[str]] = ()

    def enterprise_id_of(self, obj: models.Model) -> int | None:
        """Whose trail the entry belongs to; None for the platform's own."""
        found: int | None = getattr(obj, "enterprise_id", None)
        return found

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored = type(obj)._base_manager.get(pk=obj.pk) if change else None
        form.audit_before = self._snapshot(stored) if stored is not None else None
        form.audit_secrets_changed = [name for name in form.changed_data if self._is_secret(name)]
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """After this all of it is stored; Django calls it for every record it saved, in the same transaction."""
        super().save_related(request, form, formsets, change)
        before, after = audit.changes(form.audit_before or {}, self._snapshot(type(form.instance)._base_manager.get(pk=form.instance.pk)))
        after |= dict.fromkeys(form.audit_secrets_changed, _("已修改"))
        for formset in formsets:
            for inline, word in (
                *((one, _("新增")) for one in formset.new_objects),
                *((one, _("修改")) for one, _fields in formset.changed_objects),
                *((one, _("删除")) for one in formset.deleted_objects),
            ):
                after[f"{inline._meta.model_name} {inline}"] = word
        if after:
            self._record(request, form.instance, "change" if change else "add", before or None, after)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._record(request, obj, "delete", self._snapshot(obj), None)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        with transaction.atomic():
            for obj in queryset:
                self._record(request, obj, "delete", self._snapshot(obj), None)
            super().delete_queryset(request, queryset)

    def _snapshot(self, obj: models.Model) -> dict[str, Any]:
        return snapshot(obj, secret=self.audit_secret)

    def _is_secret(self, name: str) -> bool:
        if name in self.audit_secret:
            return True
        return any(column.name == name and isinstance(column, EncryptedTextField) for column in self.model._meta.concrete_fields)

    def _record(self, request: HttpRequest, obj: models.Model, verb: str, before: Any, after: Any) -> None:
        audit.record(
            action=f"{obj._meta.label_lower}.staff_{verb}",
            obj=obj,
            actor=request.user,
            enterprise_id=self.enterprise_id_of(obj),
            before=before,
            after=after,
        )
