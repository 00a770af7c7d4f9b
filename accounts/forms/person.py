"""What a user is asked about himself, or an administrator about an operator (ACC-02)."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.identifiers import normalised, validate_identity_number
from core.text import validate_plain_text


class UsernameField(forms.CharField):
    """登录用户名 of a new user: 6 to 18 letters or digits."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"})
        help_text = _("长度须为6-18位, 只能包含字母或数字")
        super().__init__(**{"label": _("登录用户名"), "help_text": help_text, "widget": widget, **kwargs})

    def validate(self, value: Any) -> None:
        super().validate(value)
        if not re.fullmatch(r"[A-Za-z0-9]{6,18}", value):
            raise forms.ValidationError(_("登录用户名长度须为6-18位，只能包含字母或数字。"), code="username")


class FullNameField(forms.CharField):
    """姓名."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": _("姓名"), "max_length": 50, "validators": [validate_plain_text], **kwargs})


class IdentityNumberField(forms.CharField):
    """身份证号, checked; full-width digits and blanks are put right."""

    default_validators = [validate_identity_number]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": _("身份证号"), "help_text": _("18 位居民身份证号码"), **kwargs})

    def to_python(self, value: Any) -> str:
        return normalised(super().to_python(value) or "")


class EmailField(forms.EmailField):
    """邮箱."""

    def __init__(self, **kwargs: Any) -> None:
        messages = {"invalid": _("邮箱格式不正确，应如 name@example.com。")}
        super().__init__(**{"label": _("邮箱"), "max_length": 254, "error_messages": messages, **kwargs})
