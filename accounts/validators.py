"""Password rules of this portal (ACC-02): letters and digits; the demo's password only in the demo."""

import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _


class LettersAndDigitsValidator:
    """At least one letter and one digit."""

    def validate(self, password: str, user: Any = None) -> None:
        if not (re.search(r"[A-Za-z]", password) and re.search(r"[0-9]", password)):
            raise ValidationError(_("密码必须同时包含字母和数字。"), code="letters_and_digits")

    def get_help_text(self) -> str:
        return _("密码必须同时包含字母和数字，区分大小写。")


class NotTheDemoPasswordValidator:
    """The password every reader of the README knows is nobody's password outside the demo."""

    def validate(self, password: str, user: Any = None) -> None:
        if password == settings.DEMO_PASSWORD and not settings.DEMO_MODE:
            raise ValidationError(_("该密码为演示环境公开密码，不能使用，请另设密码。"), code="demo_password")

    def get_help_text(self) -> str:
        return _("不能使用演示环境的公开密码。")
