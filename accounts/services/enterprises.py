"""Writes to an enterprise: its own administrator's in 企业管理员信息, platform staff's in /admin/ (M2, ACC-10)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from accounts import shown
from accounts.models import Enterprise, User
from core import audit


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterpriseEntry:
    """What an administrator may change of his enterprise. Name and credit code are those of the business licence: staff change them."""

    enterprise_types: Sequence[str]
    legal_person_name: str
    office_phone: str
    office_address: str


def enterprise_values(enterprise: Enterprise) -> Mapping[str, Any]:
    """The values of EnterpriseEntry as they are stored, for `shown.mark_of`."""
    return {
        "enterprise_types": list(enterprise.enterprise_types),
        "legal_person_name": enterprise.legal_person_name,
        "office_phone": enterprise.office_phone,
        "office_address": enterprise.office_address,
    }


def edit_enterprise(*, actor: User, enterprise_id: int, entry: EnterpriseEntry, seen: str) -> Enterprise:
    """Store what the administrator says of his enterprise; `seen` is the mark of `enterprise_values` as the page showed them.

    Raises ChangedMeanwhile, Enterprise.DoesNotExist.
    """
    with transaction.atomic():
        enterprise = Enterprise.objects.select_for_update().get(pk=enterprise_id)
        stored = enterprise_values(enterprise)
        before, after = audit.changes(stored, {**asdict(entry), "enterprise_types": list(entry.enterprise_types)})
        if not after:
            return enterprise
        shown.require_unchanged(stored, seen)
        for name, value in after.items():
            setattr(enterprise, name, value)
        enterprise.save(update_fields=list(after))
        audit.record(
            action="accounts.enterprise.edit", obj=enterprise, actor=actor, enterprise_id=enterprise.pk, before=before, after=after
        )
    return enterprise


def set_enterprise_active(*, actor: User, enterprise_id: int, is_active: bool) -> bool:
    """停用 or 启用 an enterprise, by platform staff: while it is disabled none of its users can do anything. Gives whether that was new.

    Raises Enterprise.DoesNotExist.
    """
    with transaction.atomic():
        enterprise = Enterprise.objects.select_for_update().get(pk=enterprise_id)
        if enterprise.is_active == is_active:
            return False
        enterprise.is_active = is_active
        enterprise.save(update_fields=["is_active"])
        audit.record(
            action="accounts.enterprise.enable" if is_active else "accounts.enterprise.disable",
            obj=enterprise,
            actor=actor,
            enterprise_id=enterprise.pk,
            before={"is_active": not is_active},
            after={"is_active": is_active},
        )
    return True
