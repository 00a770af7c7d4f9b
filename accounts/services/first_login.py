"""账号验证 at the first login (ACC-08)."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts import codes
from accounts.models import SmsPurpose, User
from core import audit


def verify_first_login(*, user_id: int, code: str, at: datetime | None = None) -> None:
    """Note that the user has the phone he gave at registration; once is enough, whoever asks again changes nothing.

    Raises ValidationError when the code is wrong, used or late; each try counts.
    """
    now = at or timezone.now()
    user = User.objects.get(pk=user_id)
    if user.first_login_verified_at is not None:
        return
    codes.use_code(purpose=SmsPurpose.FIRST_LOGIN, mobile=user.mobile, code=code, at=now)
    with transaction.atomic():
        if User.objects.filter(pk=user_id, first_login_verified_at=None).update(first_login_verified_at=now):
            audit.record(
                action="accounts.user.verify_first_login",
                obj=user,
                actor=user,
                enterprise_id=user.enterprise_id,
                after={"first_login_verified_at": now},
            )
