"""What the account forms have in common: entry fields as elsewhere (PRT-04), and the field for an SMS code with its 获取验证码."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from core.forms.form import EntryForm
from core.identifiers import normalised, validate_mobile
from core.text import validate_plain_text


class NumberField(forms.CharField):
    """A number of the trade as it is typed: full-width and small letters, blanks and hyphens are put right."""

    def to_python(self, value: Any) -> str:
        return normalised(super().to_python(value) or "").replace("-", "")


class NameField(forms.CharField):
    """A name or an address; more than one blank in a row counts as one."""

    default_validators = [validate_plain_text]

    def to_python(self, value: Any) -> str:
        return " ".join((super().to_python(value) or "").split())


class CheckboxGroup(forms.CheckboxSelectMultiple):
    """Several may be chosen. A link to the field leads to its first box."""

    template_name = "accounts/checkbox_group_widget.html"

    def id_for_label(self, id_: str, index: str | None = None) -> str:
        return super().id_for_label(id_, index or "0")


class RadioGroup(forms.RadioSelect):
    """One of a few."""

    template_name = "accounts/checkbox_group_widget.html"

    def id_for_label(self, id_: str, index: str | None = None) -> str:
        return super().id_for_label(id_, index or "0")


class MobileField(forms.CharField):
    """手机号: full-width digits and blanks are put right."""

    widget = forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "tel-national"})
    default_validators = [validate_mobile]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": _("手机号"), "help_text": _("请填写真实有效的手机号来获取验证码"), **kwargs})

    def to_python(self, value: Any) -> str:
        return normalised(super().to_python(value) or "")


class SmsCodeWidget(forms.TextInput):
    """A text field with the button 获取验证码 beside it. The button posts the whole form as `send_code`; with a script only the line
    under the field changes (`accounts.views.sms`)."""

    template_name = "accounts/sms_code_widget.html"
    #: What stands under the field when the page is drawn in answer to the button (an `accounts.views.sms.CodeNote`).
    code_note: Any = None

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return {**super().get_context(name, value, attrs), "code_note": self.code_note}


class SmsCodeField(forms.CharField):
    """验证码 as it came by SMS: six digits."""

    widget = SmsCodeWidget(attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "maxlength": 6})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": _("验证码"), "help_text": _("点击“获取验证码”，输入短信中的 6 位数字，5 分钟内有效"), **kwargs})

    def to_python(self, value: Any) -> str:
        return normalised(super().to_python(value) or "")

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value and not (len(value) == 6 and value.isascii() and value.isdigit()):
            raise forms.ValidationError(_("验证码应为短信中的 6 位数字。"), code="sms_code")


class PasswordField(forms.CharField):
    """A password, never shown again and never stripped."""

    def __init__(self, *, autocomplete: str, **kwargs: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
        super().__init__(**{"strip": False, "max_length": 64, "widget": widget, **kwargs})


class AccountForm(EntryForm):
    """Base of the account forms: one column, hints under the fields."""

    def check_new_password(self, first_name: str, second_name: str, user: User) -> None:
        """A new password and the same once more, in a form that is being cleaned; `user` is whom it will belong to."""
        first, second = self.cleaned_data.get(first_name) or "", self.cleaned_data.get(second_name) or ""
        if first:
            try:
                validate_password(first, user)
            except forms.ValidationError as refusal:
                self.add_error(first_name, refusal)
                return
        if first != second and not self.errors.keys() & {first_name, second_name}:
            self.add_error(second_name, forms.ValidationError(_("两次填写的密码不一致，请重新填写。"), code="password_mismatch"))
