"""Where applications say which messages are theirs; filled in their `apps.py`, read by the workers.

Relay calls what is registered here and never names an application. Every hook runs in a transaction that relay opened
and that also holds relay's own change of state: what the hook writes is kept exactly when relay remembers having called
it. A hook may be called again for a message it has already seen (an operator runs a quarantined message again), so what
it does must bear repetition. It does no network or file I/O, and must not catch a database error and go on.
"""

from collections.abc import Callable, Collection
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

    `original` is the outbound message that `in_reply_to` names, when it went to the same partner and is of the type that
    this one answers (`register_inbound`). An id that names nothing of the kind stands in `in_reply_to` alone.
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
#: The subject that a business element speaks of, or None when the application knows none.
SubjectOf: TypeAlias = Callable[[etree._Element], str | None]
DeliveredHook: TypeAlias = Callable[[OutboundRef, datetime], None]
RefusedHook: TypeAlias = Callable[[OutboundRef, datetime, str, str], None]
RequeuedHook: TypeAlias = Callable[[OutboundRef, datetime], None]
SettledHook: TypeAlias = Callable[[OutboundRef, datetime, bool, str], None]
#: Of these subjects, those whose records are still open.
OpenSubjects: TypeAlias = Callable[[Collection[str]], Collection[str]]


@dataclass(frozen=True, slots=True)
class InboundRoute:
    """Who takes an inbound type, and what its messages are held to."""

    handler: InboundHandler
    partner: str
    answers: str | None = None
    subject_of: SubjectOf | None = None


@dataclass(frozen=True, slots=True)
class OutboundHooks:
    """What an application wants to hear of its messages, and what it knows about them."""

    on_delivered: DeliveredHook | None
    on_refused: RefusedHook | None
    on_requeued: RequeuedHook | None = None
    on_settled: SettledHook | None = None
    open_subjects: OpenSubjects | None = None


_inbound: dict[str, InboundRoute] = {}
_outbound: dict[str, OutboundHooks] = {}


def register_inbound(
    message_type: str, handler: InboundHandler, *, partner: str, answers: str | None = None, subject_of: SubjectOf | None = None
) -> None:
    """`handler` gets every inbound message of this type from `partner`; from anybody else it is refused (WRONG_PARTNER).

    `answers` is the outbound type that these messages answer: one without `in_reply_to` is refused (NO_ORIGINAL), since it could
    prove no delivery. `subject_of(business)` is asked before anything is marked delivered: a message that names the message of
    another subject is set aside (WRONG_ORIGINAL). Where it says None, the handler decides; what that refuses delivers nothing.

    Raises ImproperlyConfigured when the type is taken.
    """
    route = InboundRoute(handler, partner, answers, subject_of)
    if _inbound.setdefault(message_type, route) != route:
        raise ImproperlyConfigured(f"two registrations for inbound {message_type}")


def register_outbound(
    message_type: str,
    *,
    on_delivered: DeliveredHook | None = None,
    on_refused: RefusedHook | None = None,
    on_requeued: RequeuedHook | None = None,
    on_settled: SettledHook | None = None,
    open_subjects: OpenSubjects | None = None,
) -> None:
    """This type may be sent; the hooks hear of its end. Raises ImproperlyConfigured when the type is taken.

    `on_delivered(ref, at)`: the partner has the message. `on_refused(ref, at, code, reason)`: it definitely will not take it.
    `on_requeued(ref, at)`: an operator has a refused message sent again; raises core.workflow.ActionRefused when that must not be.
    Without it, what was refused to an application that was told so is never sent again.
    `on_settled(ref, at, delivered, reason)`: an operator has asked the partner whether it holds a message that it had refused, and
    says what he heard; raises ActionRefused when the application cannot follow.
    `open_subjects(subjects)`: of these, those whose messages must be kept whole, however old. Without it, all are.
    """
    hooks = OutboundHooks(on_delivered, on_refused, on_requeued, on_settled, open_subjects)
    if _outbound.setdefault(message_type, hooks) != hooks:
        raise ImproperlyConfigured(f"two registrations for outbound {message_type}")


def inbound_route(message_type: str) -> InboundRoute | None:
    """Who takes a type, or None when nobody does."""
    return _inbound.get(message_type)


def outbound_hooks(message_type: str) -> OutboundHooks | None:
    """The hooks of a type, or None when nobody sends it."""
    return _outbound.get(message_type)


def inbound_types() -> list[str]:
    """Every type an application takes, sorted."""
    return sorted(_inbound)


def outbound_types() -> list[str]:
    """Every type an application sends, sorted."""
    return sorted(_outbound)
