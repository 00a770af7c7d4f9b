"""Why an account may not be used now: one list for logging in, for sessions under way, and for what the user is told."""

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.models import Registration, ReviewStatus, User


def may_be_used(user: User) -> bool:
    """Whether this user may have a session: neither he nor his enterprise is disabled, and the account is not frozen."""
    return user.is_active and user.frozen_at is None and (user.enterprise is None or user.enterprise.is_active)


def why_closed(user: User) -> str:
    """What to tell the user whose account may not be used: what is wrong and what to do. Empty when it may.

    Only for whom has proven to be this user: everybody else learns nothing about the account.
    """
    registration = Registration.objects.filter(user=user).order_by("-submitted_at").first()
    if registration is not None and registration.status == ReviewStatus.PENDING:
        return _("您的注册申请待审核，暂不能登录。审核结果将以短信和邮件通知您，请收到通知后再登录。")
    if registration is not None and registration.status == ReviewStatus.REJECTED:
        return _("您的注册申请审核不通过，原因：%(reason)s。请按原因更正后重新注册。") % {"reason": registration.reason or _("未说明")}
    if may_be_used(user):
        return ""
    if user.enterprise is not None and not user.enterprise.is_active:
        return _("您所在的企业已停用，不能登录。如有疑问，请拨打首页的服务热线联系平台。")
    asks = _("请联系本企业管理员") if user.enterprise is not None and not user.is_administrator else _("请拨打首页的服务热线联系平台")
    if not user.is_active:
        return _("您的账号已停用，不能登录。如需恢复使用，%(asks)s。") % {"asks": asks}
    return _("您的账号超过 %(days)d 天未使用，已被冻结。如需继续使用，%(asks)s解冻。") % {
        "days": settings.DORMANT_AFTER_DAYS,
        "asks": asks,
    }
