"""审计记录 (ACC-15): who did what to which record, before and after, from where."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView

from accounts.audit_list import AuditFilter, AuditTable, StaffAuditFilter, StaffAuditTable, entries_for, with_enterprises
from accounts.models import Enterprise
from accounts.rights import Right
from core import audit
from core.audit_shown import changes_of
from core.listing import QueryPageView, RowAction
from core.models import AuditEntry
from core.tenancy import get_for_user
from core.views import WorkPageMixin


class AuditListView(QueryPageView):
    """An enterprise's own trail."""

    title = gettext_lazy("审计记录")
    right = Right.AUDIT_READ
    page = "accounts.audit"
    filterset_class = AuditFilter
    table_class = AuditTable
    ordering = ("-at",)
    sortable = {"at": "at"}
    empty_hint = gettext_lazy("本企业的用户还没有留下操作记录。")

    def get_queryset(self) -> Any:
        return entries_for(self.request.user)

    def row_actions(self, user: Any, row: AuditEntry) -> Sequence[RowAction]:
        return [RowAction(_("查看"), reverse("accounts:audit_entry", args=[row.pk]), icon="eye")]


class StaffAuditListView(AuditListView):
    """All trails, each with its enterprise."""

    page = "accounts.audit_all"
    filterset_class = StaffAuditFilter
    table_class = StaffAuditTable
    empty_hint = gettext_lazy("还没有操作记录。")

    def get_queryset(self) -> Any:
        return with_enterprises(super().get_queryset())


def audit_list(request: HttpRequest) -> HttpResponseBase:
    """审计记录, as it is for the one who asks."""
    reads_all = request.user.is_authenticated and request.user.enterprise_id is None
    return (StaffAuditListView if reads_all else AuditListView).as_view()(request)


class AuditEntryView(WorkPageMixin, TemplateView):
    """One entry, with what was before and what is after."""

    title = gettext_lazy("审计记录")
    right = Right.AUDIT_READ
    template_name = "accounts/audit_entry.html"
    kwargs: dict[str, Any]

    @cached_property
    def entry(self) -> AuditEntry:
        """The entry that the URL names; out of reach it is 404."""
        entry: AuditEntry = get_for_user(AuditEntry.objects, self.request.user, pk=self.kwargs["pk"])
        return entry

    def page_title(self) -> str:
        return _("审计记录 %(number)d") % {"number": self.entry.pk}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        entry: AuditEntry = self.entry
        kind = audit.ObjectTypeSource().get(entry.object_type)
        return super().get_context_data(
            entry=entry,
            action=audit.action_label(entry.action),
            kind=kind.name if kind else entry.object_type,
            enterprise=Enterprise.objects.filter(pk=entry.enterprise_id).first() if entry.enterprise_id else None,
            changes=changes_of(entry),
            **kwargs,
        )
