"""我的应用权限: which applications an enterprise has opened, and which of them each operator may use (M2, ACC-10, ACC-13).

An operator's grants are always among what his enterprise has opened: closing an application takes it from all of them. The
enterprise's row is locked first, so that granting and closing come one after the other. Rights follow with the next request.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import shown
from accounts.models import Enterprise, User
from accounts.rights import ApplicationKey, Role
from core import audit


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What the page showed of one operator, and what is wanted of him now."""

    user_id: int
    seen: frozenset[str]
    wanted: frozenset[str]


def open_application(*, actor: User, enterprise_id: int, key: ApplicationKey) -> None:
    """开通 an application for the enterprise; no operator has it by that. Doing it twice changes nothing."""
    with transaction.atomic():
        enterprise = Enterprise.objects.select_for_update().get(pk=enterprise_id)
        if key not in enterprise.applications:
            _set_opened(actor, enterprise, [*enterprise.applications, key.value], "accounts.enterprise.open_application")


def close_application(*, actor: User, enterprise_id: int, key: ApplicationKey) -> int:
    """关闭 an application for the enterprise and take it from every operator; gives how many lost it. Doing it twice changes nothing."""
    with transaction.atomic():
        enterprise = Enterprise.objects.select_for_update().get(pk=enterprise_id)
        if key in enterprise.applications:
            left = [opened for opened in enterprise.applications if opened != key]
            _set_opened(actor, enterprise, left, "accounts.enterprise.close_application")
        holders = User.objects.filter(enterprise=enterprise, role=Role.OPERATOR, applications__contains=[key.value])
        lost = list(holders.order_by("pk").select_for_update(of=("self",)))
        for operator in lost:
            _set_grants(actor, operator, frozenset(operator.applications) - {key.value})
    return len(lost)


def grant_applications(*, actor: User, enterprise_id: int, grants: Sequence[Grants]) -> int:
    """Store the boxes ticked for some operators of the enterprise; gives how many were changed. All or none.

    Operators whose boxes were not touched stay as they are, whatever happened to them meanwhile. Raises ChangedMeanwhile, naming
    those whose touched boxes somebody else changed; ValidationError for an application that the enterprise has not opened;
    User.DoesNotExist for who is no operator of the enterprise.
    """
    touched = {grant.user_id: grant for grant in grants if grant.wanted != grant.seen}
    with transaction.atomic():
        opened = frozenset(Enterprise.objects.select_for_update().get(pk=enterprise_id).applications)
        operators = list(
            User.objects.filter(pk__in=[grant.user_id for grant in grants], enterprise_id=enterprise_id, role=Role.OPERATOR)
            .order_by("pk")
            .select_for_update(of=("self",))
        )
        if len(operators) != len({grant.user_id for grant in grants}):
            raise User.DoesNotExist
        if any(not (grant.wanted - grant.seen) <= opened for grant in touched.values()):
            raise ValidationError(_("所选的应用中有本企业已关闭的，请刷新页面后重新选择。"))
        # What was closed meanwhile is out of the question for everybody, ticked or not.
        pending = [
            (operator, touched[operator.pk])
            for operator in operators
            if operator.pk in touched and frozenset(operator.applications) & opened != touched[operator.pk].wanted & opened
        ]
        others = [operator.full_name for operator, grant in pending if frozenset(operator.applications) & opened != grant.seen & opened]
        if others:
            raise shown.ChangedMeanwhile(
                _("以下操作员的权限在您打开本页后已被他人修改，本次没有保存：%(names)s。页面上仍是您勾选的内容，请核对后再次点击“保存”。")
                % {"names": _("、").join(others)}
            )
        for operator, grant in pending:
            _set_grants(actor, operator, grant.wanted & opened)
    return len(pending)


def _set_opened(actor: User, enterprise: Enterprise, applications: Collection[str], action: str) -> None:
    before = {"applications": sorted(enterprise.applications)}
    enterprise.applications = sorted(applications)
    enterprise.save(update_fields=["applications"])
    audit.record(
        action=action,
        obj=enterprise,
        actor=actor,
        enterprise_id=enterprise.pk,
        before=before,
        after={"applications": enterprise.applications},
    )


def _set_grants(actor: User, operator: User, wanted: Collection[str]) -> None:
    before = {"applications": sorted(operator.applications)}
    operator.applications = sorted(wanted)
    operator.save(update_fields=["applications"])
    audit.record(
        action="accounts.operator.grant",
        obj=operator,
        actor=actor,
        enterprise_id=operator.enterprise_id,
        before=before,
        after={"applications": operator.applications},
    )
