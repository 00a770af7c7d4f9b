"""Certificates of bound cards that end (CARD-08): a banner on the user's pages, and one SMS and e-mail for each certificate."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import BoundCard
from accounts.services.notes import tell
from core import audit

_BATCH = 200


@dataclass(frozen=True, slots=True)
class CardEnd:
    """A certificate that ends soon, or has ended."""

    valid_to: datetime
    has_ended: bool


def end_of(valid_to: datetime | None, *, at: datetime | None = None) -> CardEnd | None:
    """What to warn of, for a certificate with this end; None when it is good for more than CARD_END_WARNING_DAYS, and without a card."""
    now = at or timezone.now()
    if valid_to is None or valid_to - now >= timedelta(days=settings.CARD_END_WARNING_DAYS):
        return None
    return CardEnd(valid_to, has_ended=valid_to < now)


def warn_of_ends(*, at: datetime | None = None) -> list[str]:
    """Tell by SMS and e-mail, once for each certificate, whose card ends within CARD_END_WARNING_DAYS; gives the cards' numbers.

    Who cannot log in is told when he can again. A card whose row somebody else holds comes the next time.
    """
    now = at or timezone.now()
    warned: list[str] = []
    last = 0
    while True:
        with transaction.atomic():
            due = (
                BoundCard.unscoped.select_for_update(of=("self",), skip_locked=True)
                .select_related("user")
                .defer("certificate", "holder_id_no")
            )
            due = due.filter(
                end_warned_at=None,
                valid_to__lt=now + timedelta(days=settings.CARD_END_WARNING_DAYS),
                user__is_active=True,
                user__frozen_at=None,
                enterprise__is_active=True,
            )
            batch = list(due.filter(pk__gt=last).order_by("pk")[:_BATCH])
            for bound in batch:
                _warn(bound, now)
        if not batch:
            return sorted(warned)
        warned += [bound.card_no for bound in batch]
        last = batch[-1].pk


def _warn(bound: BoundCard, now: datetime) -> None:
    bound.end_warned_at = now
    bound.save(update_fields=["end_warned_at"])
    text = (
        _("您账号 %(username)s 绑定的IC卡 %(card)s 的证书已于 %(day)s 到期，不能再用于登录和申报。请到电子口岸制卡中心办理证书更新。")
        if bound.valid_to < now
        else _(
            "您账号 %(username)s 绑定的IC卡 %(card)s 的证书将于 %(day)s 到期。请及时到电子口岸制卡中心办理证书更新，以免影响登录和申报。"
        )
    )
    day = f"{timezone.localtime(bound.valid_to):%Y-%m-%d}"
    tell(bound.user, subject=_("IC卡证书到期提醒"), text=text % {"username": bound.user.username, "card": bound.card_no, "day": day})
    audit.record(
        action="accounts.card.warn_end", obj=bound, actor=None, enterprise_id=bound.enterprise_id, after={"valid_to": bound.valid_to}
    )
