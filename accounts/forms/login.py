"""The form of the login page."""

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms.base import AccountForm, PasswordField
from accounts.forms.picture_code import PictureCodeField


class LoginForm(AccountForm):
    """用户名, 密码, 验证码 (M2 企业管理员 登录). What the password opens is asked for only after the picture code is right."""

    username = forms.CharField(
        label=_("用户名"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "maxlength": 150}),
    )
    password = PasswordField(label=_("密码"), autocomplete="current-password", max_length=128)
    captcha = PictureCodeField()
