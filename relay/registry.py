"""Where applications say which messages are theirs; filled in their `apps.py`, read by the workers.

Relay calls what is registered here and never names an application. Every hook runs in a transaction that relay opened
and that also holds relay's own change of state: what the hook writes is kept exactly when relay remembers having called
it. A hook may be called again for a message it has already seen (an operator runs a quarantined message again), so what
it does must bear repetition. It does no network or file I/O, and must not catch a database error and go on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from lxml import etree


@dataclass(frozen=True, slots=True)
class OutboundRef:
    """What an application needs to find its own record behind an outbound message."""

    id: int
    message_id: UUID
    message_type: str
    subject: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as its handler gets it; `business` is already valid by the schema of its type.

    `original` is the outbound message that `in_reply_to` names, when it went to the same partner.
    """

    inbound_id: int
    message_id: UUID
    message_type: str
    partner: str
    in_reply_to: UUID | None
    send_time: datetime
    business: etree._Element
    original: OutboundRef | None


class MessageRefused(Exception):  # noqa: N818 - a decision of the application, not an error of the program
    """Raised by a handler that understands the message and cannot accept it: it is set aside with this reason.

    `code` is at most 32 characters of A-Z, 0-9 and _; `reason` is for the operator.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


#: Returns a note for the operator, or None.
InboundHandler: TypeAlias = Callable[[Incoming], str | None]
DeliveredHook: TypeAlias = Callable[[OutboundRef, datetime], None]
RefusedHook: TypeAlias = Callable[[OutboundRef, datetime, str, str], None]


@dataclass(frozen=True, slots=True)
class OutboundHooks:
    """What an application wants to hear of its messages."""

    on_delivered: DeliveredHook | None
    on_refused: RefusedHook | None


_inbound: dict[str, InboundHandler] = {}
_outbound: dict[str, OutboundHooks] = {}


def register_inbound(message_type: str, handler: InboundHandler) -> None:
    """`handler` gets every inbound message of this type. Raises ImproperlyConfigured when the type is taken."""
    if _inbound.setdefault(message_type, handler) is not handler:
        raise ImproperlyConfigured(f"two handlers for inbound {message_type}")


def register_outbound(message_type: str, *, on_delivered: DeliveredHook | None = None, on_refused: RefusedHook | None = None) -> None:
    """This type may be sent; the hooks hear of its end. Raises ImproperlyConfigured when the type is taken.

    `on_delivered(ref, at)`: the partner has the message. `on_refused(ref, at, code, reason)`: it definitely will not take it.
    """
    hooks = OutboundHooks(on_delivered, on_refused)
    if _outbound.setdefault(message_type, hooks) != hooks:
        raise ImproperlyConfigured(f"two registrations for outbound {message_type}")


def inbound_handler(message_type: str) -> InboundHandler | None:
    """The handler of a type, or None when nobody takes it."""
    return _inbound.get(message_type)


def outbound_hooks(message_type: str) -> OutboundHooks | None:
    """The hooks of a type, or None when nobody sends it."""
    return _outbound.get(message_type)


def inbound_types() -> list[str]:
    """Every type an application takes, sorted."""
    return sorted(_inbound)
