"""Accounts that nobody uses (ACC-12; M2 《单一窗口平台服务使用协议》 3.3.4): warned of first, then frozen.

Unused since is the last login, or for whom never came the day the account was made. Superusers are exempt: they thaw the others, and
a platform whose last one is frozen cannot be run. Disabled accounts are left alone, they are closed already.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from core import audit
from notifications import services as notifications

_BATCH = 200


def warn_dormant(*, at: datetime | None = None, dry_run: bool = False) -> list[str]:
    """Tell by SMS and e-mail, once, whose account will be frozen in DORMANCY_WARNING_DAYS; gives their user names."""
    now = at or timezone.now()
    return _in_batches(lambda: _to_be_warned(now), lambda user: _warn(user, now), dry_run=dry_run)


def freeze_dormant(*, at: datetime | None = None, dry_run: bool = False) -> list[str]:
    """Freeze the accounts that were not used for DORMANT_AFTER_DAYS; gives their user names.

    Who was warned has DORMANCY_WARNING_DAYS from then on, also when the job did not run for a while. A user who logs in meanwhile wins:
    his row is looked at again under its lock.
    """
    now = at or timezone.now()
    return _in_batches(lambda: _to_be_frozen(now), lambda user: _freeze(user, now), dry_run=dry_run)


def _open() -> "QuerySet[Any]":
    users = User.objects.filter(is_active=True, frozen_at=None, is_superuser=False)
    return users.alias(used_at=Coalesce("last_login", "date_joined"))


def _to_be_frozen(now: datetime) -> "QuerySet[Any]":
    warned_long_ago = Q(dormancy_warned_at=None) | Q(dormancy_warned_at__lte=now - timedelta(days=settings.DORMANCY_WARNING_DAYS))
    return _open().filter(warned_long_ago, used_at__lte=now - timedelta(days=settings.DORMANT_AFTER_DAYS))


def _to_be_warned(now: datetime) -> "QuerySet[Any]":
    frozen_from = now - timedelta(days=settings.DORMANT_AFTER_DAYS)
    warned_from = frozen_from + timedelta(days=settings.DORMANCY_WARNING_DAYS)
    return _open().filter(dormancy_warned_at=None, used_at__gt=frozen_from, used_at__lte=warned_from)


def _in_batches(due: "Callable[[], QuerySet[User]]", act: Callable[[User], None], *, dry_run: bool) -> list[str]:
    """Do it for everybody whom it is due for; rows that somebody else holds are passed over and come the next time."""
    if dry_run:
        return list(due().order_by("username").values_list("username", flat=True))
    done: list[str] = []
    last = 0
    while True:
        with transaction.atomic():
            users = list(due().select_for_update(skip_locked=True).filter(pk__gt=last).order_by("pk")[:_BATCH])
            for user in users:
                act(user)
        if not users:
            return sorted(done)
        done += [user.username for user in users]
        last = users[-1].pk


def _warn(user: User, now: datetime) -> None:
    user.dormancy_warned_at = now
    user.save(update_fields=["dormancy_warned_at"])
    text = _("【辽宁单一窗口】您的账号 %(username)s 已长时间未使用，如 %(days)d 天内不登录将被冻结。如需继续使用，请登录一次。") % {
        "username": user.username,
        "days": settings.DORMANCY_WARNING_DAYS,
    }
    if user.mobile:
        notifications.queue_sms(mobile=user.mobile, text=text)
    if user.email:
        notifications.queue_email(address=user.email, subject=_("您的单一窗口账号即将冻结"), text=text)
    audit.record(
        action="accounts.user.warn_dormant", obj=user, actor=None, enterprise_id=user.enterprise_id, after={"dormancy_warned_at": now}
    )


def _freeze(user: User, now: datetime) -> None:
    user.frozen_at = now
    user.save(update_fields=["frozen_at"])
    audit.record(
        action="accounts.user.freeze",
        obj=user,
        actor=None,
        enterprise_id=user.enterprise_id,
        before={"frozen_at": None},
        after={"frozen_at": now},
        reason=_("超过 %(days)d 天未使用") % {"days": settings.DORMANT_AFTER_DAYS},
    )
