"""Ways to a partner. A channel is one module with everything of it; `open_channel` picks the configured one."""

from collections.abc import Callable

from relay.channels.amqp import AmqpChannel
from relay.channels.base import Channel
from relay.channels.directory import DirectoryChannel
from relay.conf import require_partner

_CHANNELS: dict[str, Callable[[str], Channel]] = {"amqp": AmqpChannel.for_partner, "directory": DirectoryChannel.for_partner}


def open_channel(partner: str) -> Channel:
    """The channel a partner is configured for. Raises UnknownPartnerError, and KeyError for a channel that does not exist."""
    return _CHANNELS[require_partner(partner)["channel"]](partner)
