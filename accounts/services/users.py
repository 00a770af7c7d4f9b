"""What is done to other users' accounts."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.rights import Right
from core import audit


def thaw_account(*, actor: User, user_id: int, at: datetime | None = None) -> bool:
    """Open a frozen account again (ACC-12); gives whether it was frozen.

    Staff of the platform may do it for everybody, the administrator of an enterprise for its users. The user counts as warned from now
    on: he has DORMANCY_WARNING_DAYS to log in, or the account is frozen again. Raises User.DoesNotExist for who is out of reach.
    """
    now = at or timezone.now()
    within_reach = User.objects.all()
    if not actor.is_staff:
        manages = actor.has_right(Right.ENTERPRISE_MANAGE) and actor.enterprise is not None
        within_reach = within_reach.filter(enterprise=actor.enterprise) if manages else within_reach.none()
    with transaction.atomic():
        user = within_reach.select_for_update().get(pk=user_id)
        if user.frozen_at is None:
            return False
        before = user.frozen_at
        user.frozen_at, user.dormancy_warned_at = None, now
        user.save(update_fields=["frozen_at", "dormancy_warned_at"])
        audit.record(
            action="accounts.user.thaw",
            obj=user,
            actor=actor,
            enterprise_id=user.enterprise_id,
            before={"frozen_at": before},
            after={"frozen_at": None},
        )
    return True
