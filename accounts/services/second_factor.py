"""Second factors (ACC-14): who must have one, and what goes with every change of them.

django-allauth keeps the factors and checks codes and passkeys. What is ours stands here: each change holds the user's row, leaves an
audit entry and tells the user by SMS and e-mail, all in the transaction of the change. No secret and no code is ever in either.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from accounts.rights import Role
from accounts.services import sessions
from accounts.services.notes import tell
from core import audit
from core.workflow import ActionRefused

TOTP = Authenticator.Type.TOTP
PASSKEY = Authenticator.Type.WEBAUTHN
RECOVERY_CODES = Authenticator.Type.RECOVERY_CODES
#: What counts as a second factor; recovery codes only stand in for one.
FACTORS = (TOTP, PASSKEY)
LABELS = {TOTP: gettext_lazy("动态口令"), PASSKEY: gettext_lazy("通行密钥"), RECOVERY_CODES: gettext_lazy("恢复代码")}
#: A user may have so many passkeys: each is read at every login.
MOST_PASSKEYS = 10


@dataclass(frozen=True, slots=True)
class SetUp:
    """What a user has set up: for 登录安全."""

    totp: Authenticator | None
    passkeys: Sequence[Authenticator]
    recovery_codes: Authenticator | None
    recovery_codes_left: int

    @property
    def has_factor(self) -> bool:
        return self.totp is not None or bool(self.passkeys)


def set_up_of(user: User) -> SetUp:
    """The user's factors."""
    found = list(Authenticator.objects.filter(user=user).order_by("pk"))
    codes = next((one for one in found if one.type == RECOVERY_CODES), None)
    return SetUp(
        totp=next((one for one in found if one.type == TOTP), None),
        passkeys=[one for one in found if one.type == PASSKEY],
        recovery_codes=codes,
        recovery_codes_left=len(codes.wrap().get_unused_codes()) if codes else 0,
    )


def is_required_of(user: User) -> bool:
    """Whether this user may do nothing without a second factor: platform staff, where STAFF_SECOND_FACTOR_REQUIRED says so."""
    return settings.STAFF_SECOND_FACTOR_REQUIRED and (user.is_staff or user.role == Role.PLATFORM_STAFF)


def is_superusers_business(user: User) -> bool:
    """Whether only a superuser may change what this user logs in with: he is staff, and may more than an ordinary user."""
    return user.is_staff or user.is_superuser


def has_factor(user: User) -> bool:
    """Whether the user has a second factor."""
    return Authenticator.objects.filter(user=user, type__in=FACTORS).exists()


def may_remove(authenticator: Authenticator) -> bool:
    """Whether this factor may go: the last one of somebody who must have one may not."""
    if authenticator.type not in FACTORS or not is_required_of(authenticator.user):
        return True
    return Authenticator.objects.filter(user=authenticator.user, type__in=FACTORS).exclude(pk=authenticator.pk).exists()


@contextmanager
def adding(user: User, factor: str, *, name: str = "") -> Iterator[None]:
    """Around what adds a factor: one change of a user's factors at a time, audited, the user told.

    Raises ActionRefused when 动态口令 is set up already (in another window), or there are too many passkeys.
    """
    with transaction.atomic():
        _hold(user)
        have = Authenticator.objects.filter(user=user, type=factor).count()
        if factor == TOTP and have:
            raise ActionRefused(_("动态口令已经设置。如需更换，请先停用，再重新设置。"))
        if have >= MOST_PASSKEYS:
            raise ActionRefused(_("最多可添加 %(most)d 个通行密钥，请先删除不用的。") % {"most": MOST_PASSKEYS})
        yield
        _record(user, "accounts.second_factor.add", factor, name=name, actor=user)
        text = _("您的账号已添加登录第二因素“%(factor)s”。如非本人操作，请立即修改密码并联系平台客服。")
        tell(user, subject=_("已添加登录第二因素"), text=text % {"factor": LABELS[factor]})


@contextmanager
def removing(authenticator: Authenticator) -> Iterator[None]:
    """Around what removes a factor of one's own. Raises ActionRefused when it is the last one of somebody who must have one."""
    user: User = authenticator.user
    name = str(authenticator) if authenticator.type == PASSKEY else ""
    with transaction.atomic():
        _hold(user)
        if not may_remove(authenticator):
            raise ActionRefused(last_one_refusal())
        yield
        _record(user, "accounts.second_factor.remove", authenticator.type, name=name, actor=user)
        _tell_of_removal(user, authenticator.type)


@contextmanager
def renewing_codes(user: User) -> Iterator[None]:
    """Around what makes new recovery codes; the old ones are void."""
    with transaction.atomic():
        _hold(user)
        yield
        _record(user, "accounts.second_factor.renew_codes", RECOVERY_CODES, actor=user)
        text = _("您的账号已重新生成恢复代码，旧代码全部失效。如非本人操作，请立即修改密码并联系平台客服。")
        tell(user, subject=_("恢复代码已重新生成"), text=text)


@contextmanager
def renaming(authenticator: Authenticator, name: str) -> Iterator[None]:
    """Around what gives a passkey another name."""
    user: User = authenticator.user
    with transaction.atomic():
        before = str(authenticator)
        yield
        audit.record(
            action="accounts.second_factor.rename",
            obj=user,
            actor=user,
            enterprise_id=user.enterprise_id,
            before={"name": before},
            after={"name": name},
        )


def reset(*, user: User, actor: User | None) -> int:
    """Take all second factors from a user who lost them, and end his sessions; gives how many factors there were.

    `actor` is the member of staff who does it in /admin/, None for the command. Raises ActionRefused for one's own: whoever is logged
    in with a factor removes it in 登录安全, where the last one that is required stays; and for those of staff, unless by a superuser.
    """
    if actor is not None and actor.pk == user.pk:
        raise ActionRefused(_("不能解除自己的第二因素，请由另一名平台工作人员办理。"))
    if actor is not None and is_superusers_business(user) and not actor.is_superuser:
        raise ActionRefused(_("平台工作人员的第二因素只能由超级管理员解除，请联系超级管理员办理。"))
    with transaction.atomic():
        _hold(user)
        removed = list(Authenticator.objects.filter(user=user).values_list("type", flat=True).order_by("pk"))
        if not removed:
            return 0
        Authenticator.objects.filter(user=user).delete()
        audit.record(
            action="accounts.second_factor.reset",
            obj=user,
            actor=actor,
            enterprise_id=user.enterprise_id,
            before={"factors": removed},
        )
        sessions.end_other_sessions(user=user, except_key=None, actor=actor)
        text = _("平台工作人员已解除您账号的登录第二因素。如您并未申请，请立即联系平台客服。")
        tell(user, subject=_("登录第二因素已解除"), text=text)
    return len(removed)


def note_failure(user: User, *, factor: str, again: bool) -> None:
    """Leave an audit entry of a code or passkey that was wrong; `again` when a logged-in user was asked once more."""
    with transaction.atomic():
        audit.record(
            action="accounts.second_factor.use",
            obj=user,
            actor=user,
            enterprise_id=user.enterprise_id,
            refused=True,
            after={"factor": factor, "again": again},
        )


def last_one_refusal() -> str:
    """Why the last factor stays, and what to do."""
    return _("平台工作人员必须保留至少一种第二因素。请先添加另一种，再停用这一种。")


def _hold(user: User) -> None:
    """Let nobody else change this user's factors until the transaction ends."""
    User.objects.select_for_update(of=("self",)).get(pk=user.pk)


def _record(user: User, action: str, factor: str, *, name: str = "", actor: User) -> None:
    what = {"factor": str(factor), **({"name": name} if name else {})}
    gone = action.endswith(".remove")
    audit.record(
        action=action,
        obj=user,
        actor=actor,
        enterprise_id=user.enterprise_id,
        before=what if gone else None,
        after=None if gone else what,
    )


def _tell_of_removal(user: User, factor: str) -> None:
    text = _("您的账号已停用登录第二因素“%(factor)s”。如非本人操作，请立即修改密码并联系平台客服。")
    tell(user, subject=_("已停用登录第二因素"), text=text % {"factor": LABELS[Authenticator.Type(factor)]})
