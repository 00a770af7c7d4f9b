"""Forms of the second factor: django-allauth's, with the portal's words, fields and looks (settings MFA_FORMS and ACCOUNT_FORMS)."""

import struct
from typing import Any

from allauth.account import forms as account_forms
from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms as code_forms
from allauth.mfa.totp import forms as totp_forms
from allauth.mfa.webauthn import forms as passkey_forms
from cryptography.exceptions import InvalidSignature
from django import forms
from django.core.cache import cache
from django.utils.translation import gettext_lazy as _

from accounts.forms.base import AccountForm, PasswordField
from accounts.models import User
from accounts.services import second_factor
from core.identifiers import normalised

#: A code is good for its own half minute and the one on either side of it (MFA_TOTP_TOLERANCE); so long nobody may use it again.
_CODE_LIFETIME_SECONDS = 90


class CodeField(forms.CharField):
    """A code of digits: full-width digits and blanks are put right."""

    widget = forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "one-time-code", "maxlength": 20})

    def to_python(self, value: Any) -> str:
        return normalised(super().to_python(value) or "")


class _UsedOnce:
    """allauth forgets after half a minute that a code was used; one is good for longer than that."""

    user: User

    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        if not cache.add(f"accounts.second_factor.used:{self.user.pk}:{code}", True, _CODE_LIFETIME_SECONDS):
            raise get_adapter().validation_error("incorrect_code")
        return code


class AuthenticateForm(_UsedOnce, AccountForm, code_forms.AuthenticateForm):
    """The second step of logging in."""

    code = CodeField(label=_("动态口令或恢复代码"), help_text=_("手机验证器上显示的 6 位动态口令；手机不在身边时，用 8 位恢复代码"))


class CodeAgainForm(_UsedOnce, AccountForm, code_forms.ReauthenticateForm):
    """Somebody logged in proves by a code that it is still he."""

    code = CodeField(label=_("动态口令或恢复代码"), help_text=_("手机验证器上显示的 6 位动态口令，或 8 位恢复代码"))


class PasswordAgainForm(AccountForm, account_forms.ReauthenticateForm):
    """Somebody logged in proves by his password that it is still he."""

    password = PasswordField(label=_("登录密码"), autocomplete="current-password")


class ActivateTotpForm(_UsedOnce, AccountForm, totp_forms.ActivateTOTPForm):
    """The first code shows that the authenticator has the secret."""

    code = CodeField(label=_("动态口令"), help_text=_("验证器现在显示的 6 位数字"))


#: What the library says of an answer that no browser gives, or that is signed by another key.
_NOT_A_PASSKEY = (KeyError, TypeError, ValueError, AttributeError, IndexError, struct.error, InvalidSignature)


class _PasskeyTried:
    """A wrong passkey is refused in words, whatever was sent for it, and noted as a wrong code is; allauth tells of codes only."""

    user: User | None
    reauthenticated: bool

    def clean_credential(self) -> Any:
        try:
            return super().clean_credential()  # type: ignore[misc]
        except _NOT_A_PASSKEY:
            refusal = get_adapter().validation_error("incorrect_code")
        except forms.ValidationError as error:
            refusal = error
        if self.user is not None:
            second_factor.note_failure(self.user, factor=second_factor.PASSKEY, again=self.reauthenticated)
        raise refusal


class AuthenticatePasskeyForm(_PasskeyTried, passkey_forms.AuthenticateWebAuthnForm):
    """A passkey as the second step of logging in."""


class PasskeyAgainForm(_PasskeyTried, passkey_forms.ReauthenticateWebAuthnForm):
    """Somebody logged in proves by a passkey that it is still he."""


class PasskeyLoginForm(_PasskeyTried, passkey_forms.LoginWebAuthnForm):
    """通行密钥登录: the passkey says who it is, too."""


class PasskeyNameField(forms.CharField):
    """What its owner calls a passkey."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"label": _("名称"), "max_length": 30, "help_text": _("便于区分，如“办公电脑”“手机”"), **kwargs})


class AddPasskeyForm(AccountForm, passkey_forms.AddWebAuthnForm):
    """The browser makes the passkey and puts what it answers into `credential`."""

    name = PasskeyNameField(required=False)
    #: Drawn by the template: allauth's script looks at it before the form is sent.
    passwordless = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except _NOT_A_PASSKEY:
            raise get_adapter().validation_error("incorrect_code") from None


class RenamePasskeyForm(AccountForm, passkey_forms.EditWebAuthnForm):
    name = PasskeyNameField()
