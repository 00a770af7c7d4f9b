"""Telling a user something about his account: by SMS and by e-mail, whichever he has."""

from django.utils.translation import gettext as _

from accounts.models import User
from notifications.services import queue_email, queue_sms


def tell(user: User, *, subject: str, text: str) -> None:
    """Queue both; call it in the transaction of what gives rise to it."""
    if user.mobile:
        queue_sms(mobile=user.mobile, text=_("【辽宁单一窗口】%(text)s") % {"text": text})
    if user.email:
        queue_email(address=user.email, subject=_("辽宁单一窗口：%(subject)s") % {"subject": subject}, text=text)
