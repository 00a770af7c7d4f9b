"""E-mail through Django's backend (EMAIL_URL)."""

from smtplib import SMTPException, SMTPRecipientsRefused
from uuid import UUID

from django.core.mail import EmailMessage

from notifications.gateways import GatewayError


class EmailGateway:
    """See the module."""

    def send(self, *, reference: UUID, recipient: str, subject: str, body: str) -> None:
        """Hand one message over. Raises GatewayError."""
        message = EmailMessage(subject, body, to=[recipient], headers={"Message-ID": f"<{reference}@portal>"})
        try:
            message.send()
        except SMTPRecipientsRefused as error:
            raise GatewayError(type(error).__name__, permanent=True) from None
        except (SMTPException, OSError) as error:
            raise GatewayError(type(error).__name__) from None
