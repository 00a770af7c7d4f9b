"""Forms of the account pages."""

from typing import Any

from crispy_forms.helper import FormHelper
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _


class LoginForm(AuthenticationForm):
    """User name in any case, password."""

    error_messages = {
        "invalid_login": _("用户名或密码不正确，或账号已停用。密码区分大小写；如确认无误仍不能登录，请联系本企业管理员。"),
        "inactive": _("用户名或密码不正确，或账号已停用。密码区分大小写；如确认无误仍不能登录，请联系本企业管理员。"),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("用户名")
        self.fields["password"].label = _("密码")
        self.helper = FormHelper()
        self.helper.form_tag = False
        self.helper.disable_csrf = True
