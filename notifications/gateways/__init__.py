"""Ways out: each gateway is one module with a class that has `send`.

The settings name the gateway of each way (`SMS_GATEWAY`). A gateway says whether a text was taken; it never logs the body.
"""

from typing import Protocol
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

from notifications.models import Way


class GatewayError(Exception):
    """The text was not taken; `permanent` when it never will be (the number does not exist)."""

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class Gateway(Protocol):
    """What takes a text out."""

    def send(self, *, reference: UUID, recipient: str, subject: str, body: str) -> None:
        """Hand the text over; sent twice under one reference it must arrive once, as far as the other side can tell.

        Raises GatewayError when it was not taken.
        """


def gateway_of(way: str) -> Gateway:
    """The gateway that the settings name for this way."""
    gateway: Gateway = import_string(settings.NOTIFICATION_GATEWAYS[Way(way)])()
    return gateway
