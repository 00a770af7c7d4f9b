"""中央标准版 for the first time (ACC-09, M1 §1.4): 快速注册 and binding an existing local account; bindings that end, sessions that end
from there."""

from dataclasses import dataclass
from datetime import datetime

from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Enterprise, Registration, ReviewStatus, User
from accounts.rights import ENTERPRISE_ROLES, ApplicationKey, Role
from accounts.services import sessions
from accounts.services.notes import tell
from accounts.standard_edition import CentralAccount
from core import audit
from core.identifiers import organisation_code_of
from core.workflow import ActionRefused
from notifications import services as notifications


class NotBoundError(ActionRefused):
    """Not registered or not bound; `field` names what the user has to change, empty where nothing on the page would help."""

    def __init__(self, text: str, *, field: str = "") -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True)
class Binding:
    """What a user is told of the central account that logs in as him."""

    username: str
    since: datetime


def register(*, account: CentralAccount, username: str, password: str, ip: str, at: datetime | None = None) -> Registration:
    """快速注册: a local user for the central account, and its enterprise when it is not registered here yet.

    The first user of an enterprise is its administrator, every later one an operator without applications until the administrator
    grants them, whatever he is at the standard edition (ACC-05, docs/adr/0060). A phone that the standard edition has verified needs
    no 账号验证 here. With REGISTRATION_REVIEW=manual user and new enterprise wait for the staff (ACC-06).

    Raises NotBoundError.
    """
    now = at or timezone.now()
    status = ReviewStatus.APPROVED if settings.REGISTRATION_REVIEW == "auto" else ReviewStatus.PENDING
    password_hash = make_password(password)
    try:
        with transaction.atomic():
            enterprise, is_new = _enterprise(account, status)
            user = User.objects.create(
                username=username,
                password=password_hash,
                full_name=account.full_name,
                mobile=account.mobile,
                email=account.email,
                role=Role.ENTERPRISE_ADMINISTRATOR if is_new else Role.OPERATOR,
                enterprise=enterprise,
                first_login_verified_at=now if account.is_mobile_verified else None,
                is_active=status == ReviewStatus.APPROVED,
            )
            _bind(account, user)
            registration = Registration.objects.create(
                enterprise=enterprise,
                user=user,
                role=user.role,
                enterprise_name=enterprise.name,
                credit_code=enterprise.credit_code,
                username=username,
                full_name=user.full_name,
                mobile=user.mobile,
                email=user.email,
                applications=enterprise.applications if is_new else [],
                ip=ip[:64],
                status=status,
                submitted_at=now,
                reviewed_at=now if status == ReviewStatus.APPROVED else None,
            )
            audit.record(
                action="accounts.single_sign_on.register",
                obj=registration,
                actor=None,
                enterprise_id=enterprise.pk,
                after={
                    "central_account": account.username,
                    "username": username,
                    "role": user.role,
                    "credit_code": enterprise.credit_code,
                    "is_new_enterprise": is_new,
                    "status": status.value,
                },
            )
            _tell(registration)
            return registration
    except IntegrityError as error:
        raise _told_apart(error) from None


def check_bindable(*, account: CentralAccount, user: User) -> None:
    """Refuse early what `bind` would refuse, so that nobody passes a second factor in vain. A refusal is audited; nothing is changed.

    `user` has proven his password. Raises NotBoundError, as `bind`.
    """
    with audit.refusals_recorded(action="accounts.single_sign_on.bind", obj=user, actor=user, enterprise_id=user.enterprise_id):
        _check_bindable(account, user)


def bind(*, account: CentralAccount, user: User) -> None:
    """绑定本地已有账户: from now on the central account logs in as `user`. He is told.

    To be called when `user` has logged in wholly, second factor and all: the password alone attaches nothing.
    Raises NotBoundError: the local account is of another enterprise or of none, or one of the two is bound already.
    """
    try:
        with (
            audit.refusals_recorded(action="accounts.single_sign_on.bind", obj=user, actor=user, enterprise_id=user.enterprise_id),
            transaction.atomic(),
        ):
            local = User.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=user.pk)
            _check_bindable(account, local)
            _bind(account, local)
            audit.record(
                action="accounts.single_sign_on.bind",
                obj=local,
                actor=local,
                enterprise_id=local.enterprise_id,
                after={"central_account": account.username},
            )
            # It outlives a change of the password: a thief of that must not do it unseen.
            text = _("您的账号 %(username)s 已绑定中央标准版账号，可由其登录。如非本人操作，请立即修改密码并联系平台客服。")
            tell(local, subject=_("已绑定中央标准版账号"), text=text % {"username": local.username})
    except IntegrityError as error:
        raise _told_apart(error) from None


def binding_of(user: User) -> Binding | None:
    """The central account that is bound to this user, or None."""
    found = SocialAccount.objects.filter(provider=settings.STANDARD_EDITION, user=user).first()
    return Binding(username=str(found.extra_data.get("username", "")), since=found.date_joined) if found else None


def may_be_bound(user: User) -> bool:
    """Whether a central account can be bound to this user at all: he is of an enterprise."""
    return user.role in ENTERPRISE_ROLES and user.enterprise_id is not None


def unbinding_refusal(user: User) -> str:
    """Why this user's binding stays, and what to do; empty where it may go."""
    if user.has_usable_password():
        return ""
    return _("您的账号未设置登录密码，解除绑定后将无法登录。请先退出登录，在登录页点击“忘记密码”设置密码，再解除绑定。")


def unbind(*, user: User, session_key: str | None) -> bool:
    """解除绑定: the central account no longer logs in as `user`, who has just proven that it is he; gives whether there was a binding.

    The sessions that came from the central account end, but the one with `session_key`, in which he asks for it. He is told.
    Raises ActionRefused where he would be left without a way to log in.
    """
    with (
        audit.refusals_recorded(action="accounts.single_sign_on.unbind", obj=user, actor=user, enterprise_id=user.enterprise_id),
        transaction.atomic(),
    ):
        local = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        bound = SocialAccount.objects.filter(provider=settings.STANDARD_EDITION, user=local).first()
        if bound is None:
            return False
        if refusal := unbinding_refusal(local):
            raise ActionRefused(refusal)
        sessions.end_other_sessions(user=local, except_key=session_key, central_account=bound.uid)
        bound.delete()
        audit.record(
            action="accounts.single_sign_on.unbind",
            obj=local,
            actor=local,
            enterprise_id=local.enterprise_id,
            before={"central_account": bound.extra_data.get("username", "")},
        )
        text = _("您的账号 %(username)s 已解除与中央标准版账号的绑定，不能再由其登录。如非本人操作，请立即修改密码并联系平台客服。")
        tell(local, subject=_("已解除中央标准版账号绑定"), text=text % {"username": local.username})
    return True


def end_sessions(*, sub: str, sid: str) -> int:
    """End the sessions here that came from a login at the standard edition which has ended there; gives how many.

    `sid` names one login, without it all of the account's end; one of the two may be empty.
    """
    found = UserSession.objects.select_related("user")
    for name, value in (("sub", sub), ("sid", sid)):
        if value:
            found = found.filter(**{f"data__standard_edition__{name}": value})
    ended = list(found)
    for session in ended:
        session.end()
    with transaction.atomic():
        for session in ended:
            audit.record(action="accounts.single_sign_on.sign_off", obj=session.user, actor=None, enterprise_id=session.user.enterprise_id)
    return len(ended)


def _enterprise(account: CentralAccount, status: ReviewStatus) -> tuple[Enterprise, bool]:
    """The enterprise of this credit code, locked, and whether it is new. Two who come at once: the second finds the first's."""
    _found, is_new = Enterprise.objects.get_or_create(
        credit_code=account.credit_code,
        defaults={
            "name": account.enterprise_name,
            "organisation_code": organisation_code_of(account.credit_code),
            "legal_person_name": account.legal_person_name,
            "office_phone": account.mobile,
            "applications": ApplicationKey.values,
            "is_active": status == ReviewStatus.APPROVED,
        },
    )
    # Locked: a decision of the staff on a registration that waits comes wholly before or wholly after.
    enterprise = Enterprise.objects.select_for_update().get(credit_code=account.credit_code)
    if not is_new and not enterprise.is_active:
        raise NotBoundError(_("贵企业在本平台的注册正在审核或已停用，暂不能快速注册。如有疑问，请拨打首页的服务热线联系平台。"))
    return enterprise, is_new


def _check_bindable(account: CentralAccount, local: User) -> None:
    if not may_be_bound(local) or local.enterprise is None or local.enterprise.credit_code != account.credit_code:
        raise NotBoundError(
            _("该本地账户不属于中央账号所在的企业（%(enterprise)s），不能绑定。请使用本企业的本地账户，或返回选择快速注册。")
            % {"enterprise": account.enterprise_name},
            field="username",
        )
    if SocialAccount.objects.filter(provider=settings.STANDARD_EDITION, uid=account.sub).exists():
        raise NotBoundError(_bound_meanwhile())
    if SocialAccount.objects.filter(provider=settings.STANDARD_EDITION, user=local).exists():
        raise NotBoundError(
            _("该本地账户已绑定其他中央标准版账号，不能重复绑定。请使用另一个本地账户，或返回选择快速注册。"), field="username"
        )


def _bind(account: CentralAccount, user: User) -> None:
    SocialAccount.objects.create(provider=settings.STANDARD_EDITION, uid=account.sub, user=user, extra_data={"username": account.username})


def _tell(registration: Registration) -> None:
    if registration.status == ReviewStatus.APPROVED:
        text = _("【辽宁单一窗口】您已通过中央标准版快速注册成功，本地登录用户名 %(username)s。服务热线 0411-82732333。")
    else:
        text = _("【辽宁单一窗口】您的快速注册（用户名 %(username)s）已提交，平台审核后将以短信通知您。服务热线 0411-82732333。")
    notifications.queue_sms(mobile=registration.mobile, text=text % {"username": registration.username})


def _told_apart(error: IntegrityError) -> Exception:
    """What a constraint of the database says, in words; the error itself when it says nothing that the user could act on."""
    constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or ""
    if "username" in constraint:
        return NotBoundError(_("该用户名已被使用（不区分大小写），请换一个。"), field="username")
    if "socialaccount" in constraint:
        return NotBoundError(_bound_meanwhile())
    return error


def _bound_meanwhile() -> str:
    return _("该中央标准版账号已完成首次登录设置，请重新点击“中央标准版”登录。")
