"""SMS codes (ACC-02, ACC-07, ACC-08): six digits, five minutes, one use, five tries, limits per number and per address.

A code is good for one purpose and one number. Only a keyed digest is kept, and no log ever gets one.
"""

import hmac
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from accounts.models import SmsCode, SmsPurpose
from core.locks import hold
from notifications import services as notifications

LIFETIME = timedelta(minutes=5)
MAX_TRIES = 5
#: A number gets at most one code for one purpose in this time, and so many in a day; what an address may ask for in an hour is a setting
#: (SMS_CODES_PER_ADDRESS_AND_HOUR).
PAUSE = timedelta(seconds=60)
PER_NUMBER_AND_DAY = 10
#: Asked for only by whom the portal knows to have the number. They are counted apart: for the others a stranger may name any number,
#: and must not keep its owner from logging in for the first time.
_OWNERS_PURPOSES = frozenset({SmsPurpose.FIRST_LOGIN})


class TooManyCodesError(ValidationError):
    """No further code for now; the text says when to ask again."""


def send_code(*, purpose: SmsPurpose, mobile: str, ip: str, at: datetime | None = None) -> None:
    """Send a new code to `mobile`; earlier ones for the same purpose are void from now on.

    Raises TooManyCodesError when number or address has had enough.
    """
    now = at or timezone.now()
    digits = f"{secrets.randbelow(10**6):06d}"
    with transaction.atomic():
        # Two requests for one number, or of one address, count one after the other.
        hold("accounts.codes", (f"mobile:{mobile}", f"ip:{ip}"))
        _check_limits(purpose, mobile, ip, now)
        SmsCode.objects.filter(purpose=purpose, mobile=mobile, used_at=None, expires_at__gt=now).update(expires_at=now)
        SmsCode.objects.create(
            purpose=purpose, mobile=mobile, digest=_digest(purpose, mobile, digits), ip=ip[:64], created_at=now, expires_at=now + LIFETIME
        )
        notifications.queue_sms(
            mobile=mobile,
            text=_("【辽宁单一窗口】%(purpose)s验证码 %(code)s，5 分钟内有效。如非本人操作，请忽略，切勿告知他人。")
            % {"purpose": purpose.label, "code": digits},
            keeps=LIFETIME,
            at=now,
        )


def pretend_to_send(*, purpose: SmsPurpose, mobile: str, ip: str, at: datetime | None = None) -> None:
    """What `send_code` does, but for the sending: where nobody may learn whether there is anybody to send to.

    The same limits are counted and the same errors raised. Raises TooManyCodesError.
    """
    count_text(purpose=purpose, mobile=mobile, ip=ip, at=at)


def count_text(*, purpose: SmsPurpose, mobile: str, ip: str, at: datetime | None = None) -> None:
    """Count a text to `mobile` that carries no code against the limits of codes. `ip` is who has it sent: an address, or the name of an
    enterprise. Call it in the transaction that queues the text.

    Raises TooManyCodesError when number or sender has had enough.
    """
    now = at or timezone.now()
    with transaction.atomic():
        hold("accounts.codes", (f"mobile:{mobile}", f"ip:{ip}"))
        _check_limits(purpose, mobile, ip, now)
        SmsCode.objects.create(
            purpose=purpose, mobile=mobile, digest="", ip=ip[:64], created_at=now, expires_at=now + LIFETIME, used_at=now
        )


def use_code(*, purpose: SmsPurpose, mobile: str, code: str, at: datetime | None = None) -> None:
    """Use up the code that was sent to `mobile`. Every try counts, also when what surrounds it fails afterwards: call it outside of
    a transaction.

    Raises ValidationError, with the same text for a wrong, used or late code and for a number that never had one.
    """
    now = at or timezone.now()
    with transaction.atomic(durable=True):
        sent = (
            SmsCode.objects.select_for_update()
            .filter(purpose=purpose, mobile=mobile, used_at=None, expires_at__gt=now, tries__lt=MAX_TRIES)
            .order_by("-created_at")
            .first()
        )
        if sent is not None:
            sent.tries += 1
            if hmac.compare_digest(sent.digest, _digest(purpose, mobile, code)):
                sent.used_at = now
            sent.save(update_fields=["tries", "used_at"])
    if sent is None or sent.used_at is None:
        raise ValidationError(_("验证码不正确或已失效，请核对；输错 5 次或超过 5 分钟后请重新获取验证码。"), code="sms_code")


def forget_old(*, at: datetime | None = None) -> int:
    """Delete codes that no limit counts any more; gives how many."""
    deleted, _per_model = SmsCode.objects.filter(created_at__lt=(at or timezone.now()) - timedelta(days=2)).delete()
    return deleted


def _digest(purpose: SmsPurpose, mobile: str, code: str) -> str:
    return salted_hmac("accounts.codes", f"{purpose.value}:{mobile}:{code}", algorithm="sha256").hexdigest()


def _check_limits(purpose: SmsPurpose, mobile: str, ip: str, now: datetime) -> None:
    to_number = SmsCode.objects.filter(mobile=mobile)
    # By purpose: who has just registered wants to log in at once, and needs another code for that.
    last = to_number.filter(purpose=purpose).order_by("-created_at").values_list("created_at", flat=True).first()
    if last is not None and now - last < PAUSE:
        wait = int((PAUSE - (now - last)).total_seconds()) + 1
        raise TooManyCodesError(_("短信刚刚发送过，请 %(seconds)d 秒后再试。"), params={"seconds": wait}, code="too_soon")
    counted = [other for other in SmsPurpose if (other in _OWNERS_PURPOSES) == (purpose in _OWNERS_PURPOSES)]
    if to_number.filter(purpose__in=counted, created_at__gt=now - timedelta(days=1)).count() >= PER_NUMBER_AND_DAY:
        raise TooManyCodesError(_("该手机号今日接收短信次数已达上限，请 24 小时后再试，或拨打服务热线。"), code="too_many_for_number")
    from_address = SmsCode.objects.filter(ip=ip[:64], created_at__gt=now - timedelta(hours=1))
    if ip and from_address.count() >= settings.SMS_CODES_PER_ADDRESS_AND_HOUR:
        raise TooManyCodesError(_("发送短信次数过多，请 1 小时后再试。"), code="too_many_for_address")
