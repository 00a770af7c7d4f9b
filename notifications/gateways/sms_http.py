"""SMS through a provider's HTTP interface: a JSON POST with a bearer token.

    POST {SMS_GATEWAY_URL}   Authorization: Bearer {SMS_GATEWAY_TOKEN}   Idempotency-Key: <reference>
    {"reference": "…", "mobile": "13812345678", "text": "…"}

2xx: taken. 400, 404, 410, 422: never will be. Everything else, silence included: tried again.
"""

from uuid import UUID

import requests
from django.conf import settings

from notifications.gateways import GatewayError

_NEVER = {400, 404, 410, 422}


class SmsHttpGateway:
    """See the module."""

    def send(self, *, reference: UUID, recipient: str, subject: str, body: str) -> None:
        """Hand one SMS over. Raises GatewayError; its text names no number and nothing of the body."""
        try:
            answer = requests.post(
                settings.SMS_GATEWAY_URL,
                json={"reference": str(reference), "mobile": recipient, "text": body},
                headers={"Authorization": f"Bearer {settings.SMS_GATEWAY_TOKEN}", "Idempotency-Key": str(reference)},
                timeout=settings.SMS_GATEWAY_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise GatewayError(type(error).__name__) from None
        if not answer.ok or answer.is_redirect:
            raise GatewayError(f"HTTP {answer.status_code}", permanent=answer.status_code in _NEVER)
