"""The form of 账号验证."""

from django.utils.translation import gettext_lazy as _

from accounts.forms.base import AccountForm, SmsCodeField


class FirstLoginForm(AccountForm):
    """*手机验证码 (M2 账号验证)."""

    sms_code = SmsCodeField(label=_("手机验证码"))
