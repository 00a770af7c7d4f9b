"""Conditions and columns of 审计记录 (ACC-15): for an enterprise's administrator, and for the platform's staff, who read all."""

from collections.abc import Sequence
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.models import Enterprise, User
from core.audit import ActionSource, ObjectTypeSource
from core.codes import ChoicesSource
from core.identifiers import normalised
from core.listing import (
    CodeColumn,
    CodeFilter,
    DayRangeFilter,
    MomentColumn,
    QueryFilterSet,
    QueryTable,
    StateColumn,
    TextColumn,
    TextFilter,
)
from core.models import AuditEntry, AuditOutcome


class ActorFilter(TextFilter):
    """A user name in whatever case; also that of a user who is no more, as the trail has it."""

    def filter(self, qs: "QuerySet[Any]", value: str) -> "QuerySet[Any]":
        if not value:
            return qs
        same = User.objects.annotate(lower=Lower("username")).filter(lower=value.lower()).values_list("username", flat=True)
        return qs.filter(actor_name=same.first() or value)


class OutcomeFilter(CodeFilter):
    """Done or refused."""

    def filter(self, qs: "QuerySet[Any]", value: str) -> "QuerySet[Any]":
        return qs.filter(refused=value == AuditOutcome.REFUSED) if value else qs


class EnterpriseFilter(TextFilter):
    """An enterprise by its whole name or its credit code."""

    def filter(self, qs: "QuerySet[Any]", value: str) -> "QuerySet[Any]":
        if not value:
            return qs
        named = Enterprise.objects.filter(Q(name=value) | Q(credit_code=normalised(value)))
        return qs.filter(enterprise_id__in=list(named.values_list("pk", flat=True)))


class AuditFilter(QueryFilterSet):
    at = DayRangeFilter()
    actor_name = ActorFilter(max_length=150)
    action = CodeFilter(source=ActionSource(), show_code=False)
    outcome = OutcomeFilter(source=ChoicesSource(AuditOutcome), show_code=False, label=_("结果"))
    object_type = CodeFilter(source=ObjectTypeSource(), show_code=False)
    object_label = TextFilter(max_length=200)
    ip = TextFilter(max_length=64)

    class Meta:
        model = AuditEntry
        fields: list[str] = []


class StaffAuditFilter(AuditFilter):
    enterprise = EnterpriseFilter(label=_("企业名称或信用代码"))

    class Meta(AuditFilter.Meta):
        pass


class AuditTable(QueryTable):
    at = MomentColumn()
    actor_name = TextColumn(nowrap=True)
    action = CodeColumn(source=ActionSource(), show_code=False)
    outcome = StateColumn(
        choices=AuditOutcome, colours={AuditOutcome.DONE.value: "green", AuditOutcome.REFUSED.value: "red"}, verbose_name=_("结果")
    )
    object_type = CodeColumn(source=ObjectTypeSource(), show_code=False)
    object_label = TextColumn()
    reason = TextColumn()
    ip = TextColumn(nowrap=True)
    request_id = TextColumn(nowrap=True)
    default_columns: Sequence[str] = ("at", "actor_name", "action", "outcome", "object_type", "object_label", "ip")

    class Meta(QueryTable.Meta):
        model = AuditEntry
        fields: tuple[str, ...] = ()


class StaffAuditTable(AuditTable):
    enterprise_name = TextColumn(verbose_name=_("企业"), nowrap=True)
    default_columns = ("at", "enterprise_name", "actor_name", "action", "outcome", "object_type", "object_label", "ip")

    class Meta(AuditTable.Meta):
        sequence = ("at", "enterprise_name", "...")


def entries_for(user: Any) -> "QuerySet[AuditEntry]":
    """The entries that `user` may read, without what the list does not show."""
    entries: QuerySet[AuditEntry] = AuditEntry.objects.for_user(user).defer("before", "after", "user_agent")
    return entries


def with_enterprises(entries: "QuerySet[AuditEntry]") -> "QuerySet[AuditEntry]":
    """The entries, each with the name of its enterprise: looked up for the rows that are shown, not for all."""
    named = Enterprise.objects.filter(pk=OuterRef("enterprise_id"))
    return entries.annotate(enterprise_name=Subquery(named.values("name")))
