"""Forms for a new password: 修改密码 and 忘记密码."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.forms.base import AccountForm, MobileField, PasswordField, SmsCodeField
from accounts.forms.picture_code import PictureCodeField
from accounts.models import User


class NewPasswordForm(AccountForm):
    """A new password, twice. `user` is whom it is for, as far as he may be known to whom types it."""

    new_password1 = PasswordField(
        label=gettext_lazy("新密码"),
        autocomplete="new-password",
        help_text=gettext_lazy("8 至 64 位，必须同时包含字母和数字，字母区分大小写"),
    )
    new_password2 = PasswordField(label=gettext_lazy("确认新密码"), autocomplete="new-password", help_text=gettext_lazy("请再次填写新密码"))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self.check_new_password("new_password1", "new_password2", self.user)
        return cleaned


class ChangePasswordForm(NewPasswordForm):
    """The old password, then the new one."""

    old_password = PasswordField(label=gettext_lazy("原密码"), autocomplete="current-password", max_length=128)
    field_order = ["old_password", "new_password1", "new_password2"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("new_password1") and cleaned.get("new_password1") == cleaned.get("old_password"):
            self.add_error("new_password1", _("新密码不能与原密码相同，请另设密码。"))
        return cleaned


class ForgottenPasswordForm(AccountForm):
    """Who has forgotten his password says who he is."""

    username = forms.CharField(
        label=gettext_lazy("用户名"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "maxlength": 150}),
    )
    mobile = MobileField(help_text=gettext_lazy("请填写注册时预留的手机号"))
    captcha = PictureCodeField()


class ResetPasswordForm(NewPasswordForm):
    """The code that came by SMS, and the new password."""

    sms_code = SmsCodeField(label=gettext_lazy("手机验证码"))
    field_order = ["sms_code", "new_password1", "new_password2"]
