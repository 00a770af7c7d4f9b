"""Writes to 我的资质 of an enterprise (M2, M5, ACC-11)."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Enterprise, Qualification, User
from accounts.shown import ChangedMeanwhile
from core import audit

#: Passwords of other systems: encrypted in the database, and of a change the trail says no more than that there was one.
SECRETS = ("eciq_password", "origin_platform_password")


@dataclass(frozen=True, slots=True, kw_only=True)
class QualificationEntry:
    """What an administrator enters. A password is None to stay as it is, empty to be cleared."""

    has_foreign_trade_record: bool | None
    customs_registration_no: str
    inspection_registration_no: str
    eciq_account: str
    eciq_password: str | None
    origin_record_no: str
    origin_platform_account: str
    origin_platform_password: str | None
    ccpit_code: str
    ccpit_enterprise_code: str
    ccpit_signatory: str


#: Fields of the entry that Qualification has under the same name, passwords left out.
PLAIN = (
    "has_foreign_trade_record",
    "inspection_registration_no",
    "eciq_account",
    "origin_record_no",
    "origin_platform_account",
    "ccpit_code",
    "ccpit_enterprise_code",
    "ccpit_signatory",
)


def plain_values(enterprise: Enterprise, qualification: Qualification) -> dict[str, Any]:
    """Everything of the page but the passwords."""
    return {
        "customs_registration_no": enterprise.customs_registration_no,
        **{name: getattr(qualification, name) for name in PLAIN},
    }


def save_qualification(*, actor: User, enterprise_id: int, entry: QualificationEntry, lock_version: int) -> Qualification:
    """保存: store all of it; `lock_version` is that of the page.

    Raises ChangedMeanwhile when somebody else saved since, Enterprise.DoesNotExist.
    """
    with transaction.atomic():
        # Also parts two who save the first time at once: there is no row to lock yet.
        enterprise = Enterprise.objects.select_for_update().get(pk=enterprise_id)
        qualification: Qualification = Qualification.unscoped.filter(pk=enterprise_id).first() or Qualification(enterprise=enterprise)
        if qualification.lock_version != lock_version:
            raise ChangedMeanwhile
        before, after = audit.changes(plain_values(enterprise, qualification), _plain_of(entry))
        for name in PLAIN:
            setattr(qualification, name, getattr(entry, name))
        for name in SECRETS:
            wanted, stored = getattr(entry, name), getattr(qualification, name)
            if wanted is not None and wanted != stored:
                setattr(qualification, name, wanted)
                after[name] = _("已修改")
        if not after:
            return qualification
        qualification.lock_version += 1
        qualification.save()
        if "customs_registration_no" in after:
            enterprise.customs_registration_no = entry.customs_registration_no
            enterprise.save(update_fields=["customs_registration_no"])
        audit.record(
            action="accounts.qualification.edit", obj=qualification, actor=actor, enterprise_id=enterprise.pk, before=before, after=after
        )
    return qualification


def _plain_of(entry: QualificationEntry) -> dict[str, Any]:
    return {"customs_registration_no": entry.customs_registration_no, **{name: getattr(entry, name) for name in PLAIN}}
