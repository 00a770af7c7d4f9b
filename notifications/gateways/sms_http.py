"""SMS through a provider's HTTP interface: a JSON POST with a bearer token. The form is told in docs/protocol/sms.md."""

from uuid import UUID

import requests
from django.conf import settings
from requests.auth import AuthBase

from notifications.gateways import GatewayError

#: What no repetition changes; everything else that is not 2xx, silence included, is tried again.
_NEVER = {400, 404, 410, 422}


class _BearerToken(AuthBase):
    """As a header of our own it would give way to whatever a ~/.netrc says about that host."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {settings.SMS_GATEWAY_TOKEN}"
        return request


class SmsHttpGateway:
    """See the module."""

    def send(self, *, reference: UUID, recipient: str, subject: str, body: str) -> None:
        """Hand one SMS over. Raises GatewayError; its text names no number and nothing of the body."""
        try:
            with requests.post(
                settings.SMS_GATEWAY_URL,
                json={"reference": str(reference), "mobile": recipient, "text": body},
                headers={"Idempotency-Key": str(reference)},
                auth=_BearerToken(),
                timeout=settings.SMS_GATEWAY_TIMEOUT_SECONDS,
                allow_redirects=False,
                # The answer's body says nothing that we use, and may be of any length.
                stream=True,
            ) as answer:
                status = answer.status_code
        except requests.RequestException as error:
            raise GatewayError(type(error).__name__) from None
        if not 200 <= status < 300:
            raise GatewayError(f"HTTP {status}", permanent=status in _NEVER)
