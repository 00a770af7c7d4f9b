"""What a user changes in his own data (M2 企业管理员信息 / 企业操作员信息, ACC-10)."""

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import codes
from accounts.backends import password_is_right
from accounts.models import SmsPurpose, User
from accounts.services.enterprises import EnterpriseEntry, edit_enterprise
from core import audit
from notifications import services as notifications


def edit_own_data(*, user: User, email: str, enterprise: EnterpriseEntry | None, seen: str) -> None:
    """邮箱 of one's own data and, for an administrator, what he may change of his enterprise (`enterprise`, None for others): both or
    none. `seen` is the mark of the enterprise's data as the page showed them.

    Raises ChangedMeanwhile.
    """
    with transaction.atomic():
        if enterprise is not None and user.enterprise is not None:
            edit_enterprise(actor=user, enterprise_id=user.enterprise.pk, entry=enterprise, seen=seen)
        stored = User.objects.select_for_update(of=("self",)).get(pk=user.pk)
        if stored.email != email:
            before = {"email": stored.email}
            stored.email = email
            stored.save(update_fields=["email"])
            audit.record(
                action="accounts.user.edit",
                obj=stored,
                actor=user,
                enterprise_id=stored.enterprise_id,
                before=before,
                after={"email": email},
            )


def change_mobile(*, user: User, mobile: str, code: str, password: str) -> None:
    """更换手机号, proved by the user's password and by the code that was sent to the new number; the old number is told.

    Call it outside of a transaction: a wrong code counts as a try. Raises ValidationError for a number that is the user's already, for
    a wrong password, which uses up no code, and for a code that is wrong, used or late.
    """
    if mobile == user.mobile:
        raise ValidationError({"mobile": _("该手机号就是您当前登记的手机号，无需更换。")})
    if not password_is_right(user, password):
        raise ValidationError({"password": _("登录密码不正确，请重新输入。密码区分大小写。")})
    try:
        codes.use_code(purpose=SmsPurpose.NEW_MOBILE, mobile=mobile, code=code)
    except ValidationError as wrong:
        raise ValidationError({"sms_code": wrong.messages}) from None
    with transaction.atomic():
        stored = User.objects.select_for_update().get(pk=user.pk)
        old, before = stored.mobile, {"mobile": stored.masked_mobile}
        stored.mobile = mobile
        stored.save(update_fields=["mobile"])
        audit.record(
            action="accounts.user.change_mobile",
            obj=stored,
            actor=user,
            enterprise_id=stored.enterprise_id,
            before=before,
            after={"mobile": stored.masked_mobile},
        )
        tell_old_number(stored, old)


def tell_old_number(user: User, old: str) -> None:
    """Tell whoever has the old number that the account has another one now: a thief cannot do it unseen."""
    if old:
        notifications.queue_sms(
            mobile=old,
            text=_("【辽宁单一窗口】账号 %(username)s 登记的手机号已更换为 %(mobile)s。如非本人或本企业操作，请立即联系服务热线。")
            % {"username": user.username, "mobile": user.masked_mobile},
        )
