"""What the card panel posts (`templates/accounts/card_panel.html`): the card's certificate and what it signed. Never the PIN."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

from accounts.services.card_signing import Presented

#: Characters of base64. Cards' certificates take about two thousand, signatures of RSA-2048 three hundred and fifty.
MOST_CERTIFICATE = 32 * 1024
MOST_SIGNATURE = 8 * 1024

_NOT_SIGNED = _("没有收到IC卡的签名，请插入IC卡、输入密码后重试。")
_UNREADABLE = _("收到的签名信息无法识别，请刷新页面后重新签名。")


def _hidden(*, most: int, **kwargs: Any) -> forms.CharField:
    messages = {"required": _NOT_SIGNED, "max_length": _UNREADABLE, "null_characters_not_allowed": _UNREADABLE}
    return forms.CharField(max_length=most, widget=forms.HiddenInput, error_messages=messages, **kwargs)


class CardSignatureForm(forms.Form):
    """The fields of the card panel, alone or beside other fields. The panel itself draws them.

    `challenge` is what was signed where the panel signs a challenge, and empty where it signs a text of the page.
    """

    certificate = _hidden(most=MOST_CERTIFICATE)
    signature = _hidden(most=MOST_SIGNATURE)
    challenge = _hidden(most=64, required=False, validators=[RegexValidator(r"\A[0-9a-f]{64}\Z", _UNREADABLE)])

    def presented(self) -> Presented:
        """What the card gave, from a form that is valid. Whether it counts is for `card_signing` and `accounts.signatures.cards`."""
        return Presented(certificate=self.cleaned_data["certificate"], signature=self.cleaned_data["signature"])


def presented_in(data: Mapping[str, Any]) -> Presented | None:
    """What a page with a card panel presents, or None: nothing signed, or nothing that could be a signature.

    For pages where the server itself decides whether it takes a signature (CARD_REQUIRED, `card_signing.examine`).
    """
    form = CardSignatureForm(data)
    return form.presented() if form.is_valid() else None
