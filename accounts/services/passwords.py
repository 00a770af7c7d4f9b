"""New passwords: 修改密码 by the user who knows the old one, 忘记密码 by the one who has the phone (ACC-07)."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.backends import password_is_right
from accounts.closed import why_closed
from accounts.models import User
from core import audit


def change_password(*, user_id: int, old_password: str, new_password: str) -> User:
    """Give the user the new password, which was validated, when `old_password` is right. His other sessions end: they carry a digest
    of the old one.

    A password that somebody else chose is his own from here on. Raises ValidationError when the old one is wrong.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user_id)
        if not password_is_right(user, old_password):
            raise ValidationError(_("原密码不正确，请重新输入；忘记原密码的，请退出后通过“忘记密码”重置。"), code="old_password")
        _set(user, new_password, action="accounts.user.change_password")
    return user


def reset_password(*, user_id: int, new_password: str) -> User:
    """Give the user, who has just proven to have the phone, the new password, which was validated. All his sessions end.

    It is his own choice: he need not change it again (`must_change_password`). Raises ValidationError for an account that may not be
    used, saying why and what to do; then nothing changes: a new password would not open it.
    """
    with transaction.atomic():
        user = User.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=user_id)
        reason = why_closed(user)
        if reason:
            raise ValidationError(reason, code="closed")
        _set(user, new_password, action="accounts.user.reset_password")
    return user


def _set(user: User, password: str, *, action: str) -> None:
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    audit.record(action=action, obj=user, actor=user, enterprise_id=user.enterprise_id)
