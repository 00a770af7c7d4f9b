"""Forms of the first login through 中央标准版 (M1 §1.4)."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms.base import AccountForm, PasswordField
from accounts.forms.person import UsernameField
from accounts.forms.picture_code import PictureCodeField
from accounts.models import User
from accounts.standard_edition import CentralAccount


class FirstChoiceForm(forms.Form):
    """首次登录设置: register quickly, or bind what is there."""

    REGISTER, BIND = "register", "bind"
    choice = forms.ChoiceField(
        label=_("设置方式"),
        choices=[(REGISTER, _("快速注册")), (BIND, _("绑定本地已有账户"))],
        error_messages={"required": _("请选择“快速注册”或“绑定本地已有账户”。"), "invalid_choice": _("请从两项中选择一项。")},
    )


class QuickRegistrationForm(AccountForm):
    """地方账户信息: the new local user name and password; the same rules as at the registration (ACC-02)."""

    username = UsernameField(
        label=_("地方用户名"), help_text=_("6 至 18 位字母或数字；建议与中央标准版用户名相同，方便记忆"), autocomplete="username"
    )
    password1 = PasswordField(label=_("密码"), help_text=_("8 至 64 位，须同时包含字母和数字，区分大小写"), autocomplete="new-password")
    password2 = PasswordField(label=_("确认密码"), autocomplete="new-password")

    def __init__(self, *args: Any, account: CentralAccount, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = account

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        user = User(username=cleaned.get("username", ""), full_name=self.account.full_name, email=self.account.email)
        self.check_new_password("password1", "password2", user)
        return cleaned


class BindForm(AccountForm):
    """绑定本地已有账户: name and password of the local account, and the picture code."""

    username = forms.CharField(
        label=_("本地用户名"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    password = PasswordField(label=_("密码"), autocomplete="current-password")
    captcha = PictureCodeField()
