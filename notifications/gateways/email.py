"""E-mail through Django's backend (EMAIL_URL)."""

from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused
from uuid import UUID

from django.core.mail import BadHeaderError, EmailMessage

from notifications.gateways import GatewayError


class EmailGateway:
    """See the module."""

    def send(self, *, reference: UUID, recipient: str, subject: str, body: str) -> None:
        """Hand one message over. Raises GatewayError; its text names no address and nothing of the message."""
        message = EmailMessage(subject, body, to=[recipient], headers={"Message-ID": f"<{reference}@portal>"})
        try:
            message.send()
        except BadHeaderError:
            raise GatewayError("BadHeaderError", permanent=True) from None
        except (SMTPException, OSError) as error:
            raise GatewayError(type(error).__name__, permanent=_is_final(error)) from None


def _is_final(error: Exception) -> bool:
    """Whether the mail server will never take it: 5xx. With 4xx it only puts us off, as greylisting does."""
    match error:
        case SMTPRecipientsRefused():
            return all(code >= 500 for code, _text in error.recipients.values())
        case SMTPDataError():
            return error.smtp_code >= 500
        case _:
            return False
