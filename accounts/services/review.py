"""The staff's decision on a registration (ACC-06)."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import states
from accounts.models import Enterprise, Registration, ReviewStatus, User
from accounts.rights import Role
from accounts.services.registration import tell
from core import audit
from core.workflow import ActionRefused


def approve_registration(*, actor: User, registration_id: int, reason: str = "", at: datetime | None = None) -> Registration:
    """审核通过: the enterprise and its users may log in from now on.

    Operators who registered while the enterprise waited are part of the same decision. Raises ActionRefused: it was decided already, or
    it is an operator's and belongs to the decision on his enterprise; Registration.DoesNotExist.
    """
    return _review(actor, registration_id, states.APPROVE, reason.strip(), at or timezone.now())


def reject_registration(*, actor: User, registration_id: int, reason: str, at: datetime | None = None) -> Registration:
    """审核不通过: credit code and user name are free again; the registration stays, with the reason that the applicant is told.

    Raises ActionRefused as `approve_registration` does, without a reason, and for an account that was used already.
    """
    return _review(actor, registration_id, states.REJECT, reason.strip(), at or timezone.now())


def _review(actor: User, registration_id: int, event: str, reason: str, now: datetime) -> Registration:
    asked = Registration.objects.get(pk=registration_id)
    with (
        audit.refusals_recorded(action=f"accounts.registration.{event}", obj=asked, actor=actor, enterprise_id=asked.enterprise_id),
        transaction.atomic(),
    ):
        # The enterprise first, as `register_operator` does: whoever comes second finds the decision made.
        owner = Enterprise.objects.select_for_update().filter(pk__in=[asked.enterprise_id or 0]).first()
        registration = Registration.objects.select_for_update().get(pk=registration_id)
        target = states.REVIEW.target(registration.status, event, doing=_("审核"))
        if event == states.REJECT and not reason:
            raise ActionRefused(_("请填写审核不通过的原因，申请人将收到该原因。"))
        decided = [registration, *_decided_with(registration, owner)]
        if event == states.APPROVE:
            _open(owner, decided)
        else:
            _give_free(owner, decided)
        for one in decided:
            _record(one, actor=actor, event=event, target=ReviewStatus(target), reason=reason, now=now)
    registration.refresh_from_db()
    return registration


def _decided_with(registration: Registration, owner: Enterprise | None) -> Sequence[Registration]:
    """What else this decision is about."""
    waiting = Registration.objects.select_for_update().filter(enterprise=owner, status=ReviewStatus.PENDING).exclude(pk=registration.pk)
    if owner is None:
        return []
    if registration.role == Role.ENTERPRISE_ADMINISTRATOR:
        return list(waiting.order_by("pk"))
    if waiting.filter(role=Role.ENTERPRISE_ADMINISTRATOR).exists():
        raise ActionRefused(_("该操作员随本企业的注册申请一并审核，请打开该企业管理员的注册申请。"))
    return []


def _open(owner: Enterprise | None, decided: Sequence[Registration]) -> None:
    if owner is not None and _has_founding(decided):
        owner.is_active = True
        owner.save(update_fields=["is_active"])
    User.objects.filter(pk__in=[one.user_id for one in decided]).update(is_active=True)


def _give_free(owner: Enterprise | None, decided: Sequence[Registration]) -> None:
    """Delete what the registrations made. Nobody ever used it, so nothing hangs on it."""
    users = User.objects.select_for_update().filter(pk__in=[one.user_id for one in decided])
    if any(user.is_active or user.last_login is not None for user in users):
        raise ActionRefused(_("该账号已被启用，不能再按审核不通过处理。如需停止其使用，请在用户或企业页面停用。"))
    for user in users:
        user.delete()
    if owner is not None and _has_founding(decided):
        if owner.is_active or User.objects.filter(enterprise=owner).exists():
            raise ActionRefused(_("该企业已被启用或已有其他用户，不能再按审核不通过处理。如需停止其使用，请在企业页面停用。"))
        owner.delete()


def _has_founding(decided: Sequence[Registration]) -> bool:
    return any(one.role == Role.ENTERPRISE_ADMINISTRATOR for one in decided)


def _record(registration: Registration, *, actor: User, event: str, target: ReviewStatus, reason: str, now: datetime) -> None:
    before, enterprise_id = registration.status, registration.enterprise_id
    registration.status = target
    registration.reason = reason[:500]
    registration.reviewed_by = actor
    registration.reviewed_at = now
    registration.save(update_fields=["status", "reason", "reviewed_by", "reviewed_at"])
    audit.record(
        action=f"accounts.registration.{event}",
        obj=registration,
        actor=actor,
        enterprise_id=enterprise_id,
        before={"status": before},
        after={"status": target.value},
        reason=reason,
    )
    values = {"username": registration.username, "reason": reason}
    if target == ReviewStatus.APPROVED:
        text = _("【辽宁单一窗口】您的注册申请（用户名 %(username)s）已审核通过，现在可以登录使用。服务热线 0411-82732333。")
    else:
        text = _(
            "【辽宁单一窗口】您的注册申请（用户名 %(username)s）未通过审核，原因：%(reason)s。"
            "请更正后重新注册，如有疑问请拨打服务热线 0411-82732333。"
        )
    tell(registration, text % values)
