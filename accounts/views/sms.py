"""获取验证码 on any page: what the button of `SmsCodeField` answers.

A view that has such a field calls `send_code` when `asks_for_code(request)`, and answers with `note_part`, when the script asked for
that part of the page alone, else with the whole page, whose form tells the note (`tell`).
"""

from dataclasses import dataclass
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from accounts import codes
from accounts.forms.base import AccountForm
from accounts.models import SmsPurpose
from core import audit
from core.http import wants_part
from core.identifiers import validate_mobile


@dataclass(frozen=True, slots=True)
class CodeNote:
    """What stands under the field after 获取验证码: a sentence, whether it tells of trouble, and how long to wait for the next code."""

    text: str
    is_error: bool = False
    wait_seconds: int = 0


def asks_for_code(request: HttpRequest) -> bool:
    """Whether the button 获取验证码 was pressed, and not that of the form."""
    return request.method == "POST" and "send_code" in request.POST


def send_code(request: HttpRequest, *, purpose: SmsPurpose, mobile: str, really: bool = True) -> CodeNote:
    """Send a code to `mobile`, or only pretend to (`really=False`: nobody may learn that there is nobody to send to)."""
    send = codes.send_code if really else codes.pretend_to_send
    try:
        validate_mobile(mobile)
        send(purpose=purpose, mobile=mobile, ip=audit.client_address(request))
    except ValidationError as refusal:
        return CodeNote(" ".join(refusal.messages), is_error=True)
    return CodeNote(_("验证码已发送，请查收短信。"), wait_seconds=int(codes.PAUSE / timedelta(seconds=1)))


def note_part(request: HttpRequest, note: CodeNote) -> HttpResponse | None:
    """The line under the field, when the script asked for it; None when the whole page is to be drawn."""
    return render(request, "accounts/sms_code_note.html", {"code_note": note}) if wants_part(request) else None


def tell(form: AccountForm, note: CodeNote) -> None:
    """Have the form say the note under its code when it is drawn; the cursor stands where one goes on."""
    form.fields["sms_code"].widget.code_note = note
    form.focus_on = "mobile" if note.is_error and "mobile" in form.fields else "sms_code"
