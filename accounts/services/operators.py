"""我的操作员: every write of an enterprise's administrator to its operators (M2, ACC-10)."""

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import codes, shown
from accounts.models import Enterprise, Registration, ReviewStatus, SmsPurpose, User
from accounts.rights import Role
from accounts.services.profile import tell_old_number
from accounts.services.users import thaw_account
from core import audit
from core.text import masked
from core.workflow import ActionRefused
from notifications import services as notifications

#: Without characters that are read for one another when an SMS is copied by eye.
_LETTERS, _DIGITS = "abcdefghjkmnpqrstuvwxyz", "23456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorEntry:
    """What an administrator says of an operator. `id_no` empty when editing: it stays as it is."""

    full_name: str
    id_no: str
    mobile: str
    email: str


def one_time_password() -> str:
    """Ten letters and digits, at least two of each: for one login, after which the user chooses his own."""
    chars = [secrets.choice(_LETTERS) for _number in range(5)] + [secrets.choice(_DIGITS) for _number in range(5)]
    secrets.SystemRandom().shuffle(chars)
    return "".join(chars)


def create_operator(*, actor: User, username: str, entry: OperatorEntry, applications: Collection[str]) -> User:
    """新增 an operator of the actor's enterprise: he gets a one-time password by SMS and proves his phone at the first login.

    Gives the operator. Raises ValidationError for a user name that is taken in whatever case, and for an application that the
    enterprise has not opened; TooManyCodesError (one of them) when the number or the enterprise has had too many texts.
    """
    enterprise = _enterprise_of(actor)
    password = one_time_password()
    # Hashing takes a while on purpose: not while rows are locked.
    operator = User(
        username=username,
        password=make_password(password),
        full_name=entry.full_name,
        id_no=entry.id_no,
        mobile=entry.mobile,
        email=entry.email,
        role=Role.OPERATOR,
        enterprise=enterprise,
        applications=sorted(applications),
        must_change_password=True,
    )
    try:
        with transaction.atomic():
            opened = Enterprise.objects.select_for_update().get(pk=enterprise.pk).applications
            if not set(applications) <= set(opened):
                raise ValidationError({"applications": _("本企业未开通所选的应用，请刷新页面后重新选择。")})
            operator.save(force_insert=True)
            _count_password(enterprise, operator.mobile)
            audit.record(
                action="accounts.operator.create",
                obj=operator,
                actor=actor,
                enterprise_id=enterprise.pk,
                after={**_described(operator), "applications": operator.applications},
            )
            notifications.queue_sms(
                mobile=operator.mobile,
                # Not the enterprise's name: whoever registers chooses it, and would have the platform send his words to any phone.
                text=_("【辽宁单一窗口】企业管理员已为您开通操作员账号，用户名 %(username)s，一次性密码 %(password)s。请登录后修改密码。")
                % {"username": username, "password": password},
            )
    except IntegrityError as error:
        if "username" not in str(error):
            raise
        raise username_taken() from None
    return operator


def username_taken() -> ValidationError:
    """What a form says of a user name that somebody has, in whatever case."""
    return ValidationError({"username": ValidationError(_("该用户名已被使用（不区分大小写），请换一个用户名。"), code="unique")})


def edit_operator(*, actor: User, user_id: int, entry: OperatorEntry, seen: str) -> User:
    """修改 an operator of the actor's enterprise; `seen` is the mark of `operator_values` as the page showed them.

    A new phone has to be proved again at the next login, and the old one is told. Raises User.DoesNotExist for who is no operator of
    that enterprise, ChangedMeanwhile.
    """
    with transaction.atomic():
        operator = _locked_operator(actor, user_id)
        shown.require_unchanged(operator_values(operator), seen)
        before, old_mobile, old_id_no = _described(operator), operator.mobile, operator.id_no
        operator.full_name, operator.mobile, operator.email = entry.full_name, entry.mobile, entry.email
        operator.id_no = entry.id_no or operator.id_no
        if operator.mobile != old_mobile:
            operator.first_login_verified_at = None
        operator.save(update_fields=["full_name", "mobile", "email", "id_no", "first_login_verified_at"])
        _record_change(actor, operator, "accounts.operator.edit", before, id_no_changed=operator.id_no != old_id_no)
        if operator.mobile != old_mobile:
            tell_old_number(operator, old_mobile)
    return operator


def operator_values(operator: User) -> Mapping[str, Any]:
    """What the page of an operator shows of him, for `shown.mark_of`."""
    return {name: getattr(operator, name) for name in ("full_name", "id_no", "mobile", "email")}


def disable_operator(*, actor: User, user_id: int) -> User:
    """停用: the operator's sessions end with their next request. Doing it twice changes nothing.

    Raises User.DoesNotExist for who is no operator of the actor's enterprise.
    """
    with transaction.atomic():
        operator = _locked_operator(actor, user_id)
        if operator.is_active:
            operator.is_active = False
            operator.save(update_fields=["is_active"])
            _record(actor, operator, "accounts.operator.disable", {"is_active": True}, {"is_active": False})
    return operator


def enable_operator(*, actor: User, user_id: int) -> User:
    """启用, which thaws a frozen account as well. Doing it twice changes nothing.

    Raises User.DoesNotExist for who is no operator of the actor's enterprise, ActionRefused while platform staff have not yet
    approved his registration: that is theirs to decide.
    """
    with transaction.atomic():
        operator = _locked_operator(actor, user_id)
        if Registration.objects.filter(user=operator).exclude(status=ReviewStatus.APPROVED).exists():
            raise ActionRefused(_("该操作员的注册申请尚未通过平台审核，不能启用。如有疑问，请拨打服务热线。"))
        before = {"is_active": operator.is_active, "frozen_at": operator.frozen_at}
        if not operator.is_active:
            operator.is_active = True
            operator.save(update_fields=["is_active"])
            _record(actor, operator, "accounts.operator.enable", before, {**before, "is_active": True})
        if operator.frozen_at is not None:
            thaw_account(actor=actor, user_id=operator.pk)
            operator.refresh_from_db()
    return operator


def reset_password(*, actor: User, user_id: int) -> User:
    """重置密码: a new one-time password by SMS; the old one and all sessions end.

    Raises User.DoesNotExist for who is no operator of the actor's enterprise, ActionRefused when there is no phone to send it to, when
    the account is disabled, or when the number or the enterprise has had too many texts.
    """
    password = one_time_password()
    hashed = make_password(password)
    with transaction.atomic():
        operator = _locked_operator(actor, user_id)
        if not operator.mobile:
            raise ActionRefused(_("该操作员没有登记手机号，无法接收新密码。请先在“修改”中填写手机号。"))
        if not operator.is_active:
            raise ActionRefused(_("该操作员已停用。请先启用，再重置密码。"))
        try:
            _count_password(_enterprise_of(actor), operator.mobile)
        except codes.TooManyCodesError as refusal:
            raise ActionRefused(" ".join(refusal.messages)) from None
        operator.password, operator.must_change_password = hashed, True
        operator.save(update_fields=["password", "must_change_password"])
        _record(actor, operator, "accounts.operator.reset_password", None, {"password": _("已修改")})
        notifications.queue_sms(
            mobile=operator.mobile,
            text=_("【辽宁单一窗口】企业管理员已重置您的密码，用户名 %(username)s，一次性密码 %(password)s。请登录后立即修改密码。")
            % {"username": operator.username, "password": password},
        )
    return operator


def _count_password(enterprise: Enterprise, mobile: str) -> None:
    """An administrator names the number: without a limit anybody who registers could have texts sent to any phone."""
    codes.count_text(purpose=SmsPurpose.ONE_TIME_PASSWORD, mobile=mobile, ip=f"enterprise:{enterprise.pk}")


def _enterprise_of(actor: User) -> Enterprise:
    if actor.enterprise is None:
        raise ActionRefused(_("您的账号不属于任何企业。"))
    return actor.enterprise


def _locked_operator(actor: User, user_id: int) -> User:
    """The operator's row, locked; only of the actor's enterprise."""
    enterprise = _enterprise_of(actor)
    return User.objects.select_for_update().get(pk=user_id, enterprise_id=enterprise.pk, role=Role.OPERATOR)


def _described(user: User) -> dict[str, Any]:
    """A user as the audit trail tells of him: numbers that belong to the person are masked."""
    return {
        "username": user.username,
        "full_name": user.full_name,
        "id_no": masked(user.id_no),
        "mobile": user.masked_mobile,
        "email": user.email,
    }


def _record_change(actor: User, user: User, action: str, before: Mapping[str, Any], *, id_no_changed: bool) -> None:
    old, new = audit.changes(before, _described(user))
    if id_no_changed and "id_no" not in new:
        # The masked numbers may be alike although the numbers are not.
        new["id_no"] = _("已修改")
    if new:
        _record(actor, user, action, old, new)


def _record(actor: User, user: User, action: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
    audit.record(action=action, obj=user, actor=actor, enterprise_id=user.enterprise_id, before=before, after=after)
