"""What a user is asked about himself, or an administrator about an operator (ACC-02)."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.forms.base import NameField, NumberField
from core.identifiers import validate_identity_number


class UsernameField(forms.CharField):
    """登录用户名 of a new user: 6 to 18 letters or digits."""

    def __init__(self, *, autocomplete: str = "off", **kwargs: Any) -> None:
        attrs = {"autocomplete": autocomplete, "autocapitalize": "none", "spellcheck": "false", "maxlength": 18}
        widget = forms.TextInput(attrs=attrs)
        help_text = _("长度须为6-18位, 只能包含字母或数字")
        super().__init__(**{"label": _("登录用户名"), "help_text": help_text, "widget": widget, **kwargs})

    def validate(self, value: Any) -> None:
        super().validate(value)
        if not re.fullmatch(r"[A-Za-z0-9]{6,18}", value):
            raise forms.ValidationError(_("登录用户名长度须为 6 至 18 位，只能包含字母或数字。"), code="username")


class FullNameField(NameField):
    """姓名."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": _("姓名"), "max_length": 50, **kwargs})


class IdentityNumberField(NumberField):
    """身份证号, checked."""

    default_validators = [validate_identity_number]

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"maxlength": 30})
        super().__init__(**{"label": _("身份证号"), "help_text": _("18 位身份证号"), "widget": widget, **kwargs})


class EmailField(forms.EmailField):
    """邮箱."""

    def __init__(self, **kwargs: Any) -> None:
        messages = {"invalid": _("邮箱格式不正确，应如 name@example.com。")}
        super().__init__(**{"label": _("邮箱"), "max_length": 254, "error_messages": messages, **kwargs})
