"""A query page over the audit trail, with every kind of filter, column and action that core.listing has."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet, TextChoices
from django.urls import reverse

from accounts.models import Enterprise
from accounts.rights import Right
from core.codes import ChoicesSource
from core.listing import (
    CodeColumn,
    CodeFilter,
    DayColumn,
    DayRangeFilter,
    MomentColumn,
    NumberColumn,
    QueryFilterSet,
    QueryPageView,
    QueryTable,
    RowAction,
    StateColumn,
    TextColumn,
    TextFilter,
)
from core.models import AuditEntry

MOMENT = datetime(2026, 11, 20, 16, 30, 0, 123456, tzinfo=UTC)


class Kind(TextChoices):
    FILING = "smartgate.filing", "车次申报"
    USER = "accounts.user", "用户"
    TABLE = "reference.table", "代码表"


class AuditFilter(QueryFilterSet):
    actor_name = TextFilter(normalise=str.upper)
    object_type = CodeFilter(source=ChoicesSource(Kind), show_code=False)
    at = DayRangeFilter()

    class Meta:
        model = AuditEntry
        fields: list[str] = []


class AuditTable(QueryTable):
    at = MomentColumn()
    actor_name = TextColumn(nowrap=True)
    object_type = CodeColumn(source=ChoicesSource(Kind))
    actor_id = NumberColumn()
    day = DayColumn(accessor="at", verbose_name="日期")
    action = StateColumn(choices=Kind, colours={"smartgate.filing": "green"}, labels={"smartgate.filing": "已申报"})
    reason = TextColumn()
    object_label = TextColumn(linkify=lambda record: reverse("test-audit-entry", args=[record.pk]))
    default_columns = ("at", "actor_name", "object_type", "actor_id", "reason")

    class Meta(QueryTable.Meta):
        model = AuditEntry
        fields: tuple[str, ...] = ()


class AuditListView(QueryPageView):
    title, right, page = "审计查询", Right.SMARTGATE_VIEW, "test.audit"
    filterset_class, table_class = AuditFilter, AuditTable
    ordering = ("-at",)
    sortable = {"at": "at", "actor_name": "actor_name", "actor_id": "actor_id"}
    empty_hint = "还没有人做过什么。"

    def get_queryset(self) -> "QuerySet[AuditEntry]":
        return AuditEntry.unscoped.filter(enterprise_id=self.request.user.enterprise_id)

    def row_actions(self, user: Any, row: AuditEntry) -> Sequence[RowAction]:
        here = reverse("test-audit")
        actions = [RowAction("查看", here)]
        if not row.refused:
            actions += [RowAction("删除", here, method="post", confirm=True), RowAction("重发", here, method="post")]
        return actions


class EmptyListView(AuditListView):
    page = "test.empty"

    def get_queryset(self) -> "QuerySet[AuditEntry]":
        return AuditEntry.unscoped.none()


def make_entry(enterprise: Enterprise | None, **values: Any) -> AuditEntry:
    """One entry of the audit trail that belongs to the enterprise."""
    return AuditEntry.unscoped.create(
        **{
            "at": MOMENT,
            "actor_name": "OPERATOR1",
            "action": "smartgate.filing",
            "object_type": Kind.FILING,
            "object_id": "1",
            "object_label": "车次",
            "enterprise_id": enterprise.pk if enterprise else None,
            **values,
        }
    )
