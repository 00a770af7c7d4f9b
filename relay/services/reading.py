"""Reading what was stored: XML, schema, envelope, what it answers. Nothing here changes an application's record.

A message that can be read becomes `ready` and is answered STORED; one that cannot is quarantined with the reason and is
answered REJECTED. One worker at a time reads a partner's messages, in the order they came.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from relay import metrics, registry
from relay.conf import portions
from relay.envelope import RECEIPT_TYPE, Envelope, UnreadableMessageError, text_of, type_and_id, uuid_or_none
from relay.envelope import read as read_envelope
from relay.models import InboundMessage, InboundState, OutboundMessage
from relay.services.outbox import Answer, answer

log = structlog.get_logger(__name__)

BATCH: Final = 100
STORED: Final = "STORED"
REJECTED: Final = "REJECTED"

# One statement for a batch: an UPDATE of each row by itself took five times as long.
_SAVE = """
    UPDATE relay_inboundmessage AS message
       SET state = new.state, message_id = coalesce(new.message_id, message.message_id), message_type = new.message_type,
           in_reply_to = new.in_reply_to, original_id = new.original_id, subject = new.subject, send_time = new.send_time,
           request_id = new.request_id, reason_code = new.reason_code, reason_text = new.reason_text, answer_id = new.answer_id,
           answer_result = new.answer_result, attempts = 0, due_at = %(now)s,
           finished_at = CASE WHEN new.state = 'quarantined' THEN %(now)s END
      FROM unnest(%(pk)s::bigint[], %(state)s::text[], %(message_id)s::uuid[], %(message_type)s::text[], %(in_reply_to)s::uuid[],
                  %(original_id)s::bigint[], %(subject)s::text[], %(send_time)s::timestamptz[], %(request_id)s::text[],
                  %(reason_code)s::text[], %(reason_text)s::text[], %(answer_id)s::bigint[], %(answer_result)s::text[])
        AS new(id, state, message_id, message_type, in_reply_to, original_id, subject, send_time, request_id, reason_code,
               reason_text, answer_id, answer_result)
     WHERE message.id = new.id
"""
_COLUMNS: Final = (
    "pk",
    "state",
    "message_id",
    "message_type",
    "in_reply_to",
    "original_id",
    "subject",
    "send_time",
    "request_id",
    "reason_code",
    "reason_text",
    "answer_id",
    "answer_result",
)


def read(partner: str) -> int:
    """Read everything stored and unread of `partner`; returns how many messages were read."""
    done = 0
    while count := _read_batch(partner):
        done += count
    return done


@transaction.atomic
def _read_batch(partner: str) -> int:
    # Not SKIP LOCKED: a second reader waits, or it could read a younger message of a subject before the older one.
    waiting = InboundMessage.objects.select_for_update().filter(partner=partner, state=InboundState.RECEIVED).order_by("pk")
    batch = next(portions(waiting.values_list("pk", "size")[:BATCH], itemgetter(1), BATCH), [])
    if not batch:
        return 0
    # Not `send_time`: a message that is run again may have one that only the database can hold; it is read anew below.
    messages = list(InboundMessage.objects.filter(pk__in=[pk for pk, _ in batch]).defer("send_time").order_by("pk"))
    found: dict[int, tuple[Envelope, UUID | None]] = {}
    unreadable: dict[int, UnreadableMessageError] = {}
    for message in messages:
        try:
            found[message.pk] = _understand(message)
        except UnreadableMessageError as error:
            unreadable[message.pk] = error
    taken = _ids_in_use(partner, [envelope.message_id for envelope, _ in found.values()])
    originals = _originals(partner, [named for _, named in found.values() if named is not None])
    answers: list[Answer] = []
    for message in messages:
        problem = unreadable.get(message.pk)
        if problem is None:
            envelope, named = found[message.pk]
            original = _answered(envelope, originals.get(named) if named else None)
            if taken.setdefault(envelope.message_id, message.pk) == message.pk:
                _set_ready(message, envelope, original)
                answers.append(Answer(message, message.message_id, STORED))
                continue
            reason = f"{envelope.message_id} came before with other bytes"
            problem = UnreadableMessageError("ID_REUSED", reason, message_id=envelope.message_id, message_type=envelope.message_type)
        _set_aside(message, problem)
        answers.append(Answer(message, problem.message_id, REJECTED, problem.code, problem.reason))
    answer([entry for entry in answers if wants_answer(entry)])
    with connection.cursor() as cursor:
        cursor.execute(_SAVE, {name: [getattr(message, name) for message in messages] for name in _COLUMNS} | {"now": timezone.now()})
    return len(messages)


def _understand(message: InboundMessage) -> tuple[Envelope, UUID | None]:
    """The envelope, and the id of the outbound message that this one is about. Raises UnreadableMessageError."""
    envelope, business = read_envelope(bytes(message.content))

    def problem(code: str, reason: str) -> UnreadableMessageError:
        return UnreadableMessageError(code, reason, message_id=envelope.message_id, message_type=envelope.message_type)

    route = registry.inbound_route(envelope.message_type)
    if envelope.message_type != RECEIPT_TYPE and route is None:
        raise problem("UNKNOWN_TYPE", f"nobody here takes {envelope.message_type}")
    if envelope.sender_id != message.partner:
        raise problem("WRONG_SENDER", f"sender_id {envelope.sender_id} came from {message.partner}")
    if envelope.receiver_id != settings.RELAY_SENDER_ID:
        raise problem("WRONG_RECEIVER", f"receiver_id {envelope.receiver_id} is not {settings.RELAY_SENDER_ID}")
    if route is not None:
        if route.partner != message.partner:
            raise problem("WRONG_PARTNER", f"{envelope.message_type} is not for {message.partner} to send")
        if route.answers is not None and envelope.in_reply_to is None:
            raise problem("NO_ORIGINAL", f"{envelope.message_type} without in_reply_to: it must name the {route.answers} it answers")
        return envelope, envelope.in_reply_to
    # A receipt for a file whose id the partner could not read names the file, and our file names hold the id.
    by_name = type_and_id(text_of(business, "RefFileName"))
    named = uuid_or_none(text_of(business, "RefMessageId")) or (by_name[1] if by_name else None)
    if envelope.in_reply_to is not None and named is not None and envelope.in_reply_to != named:
        raise problem("CONTRADICTION", f"in_reply_to {envelope.in_reply_to} but the receipt is about {named}")
    return envelope, named or envelope.in_reply_to


def _ids_in_use(partner: str, message_ids: Sequence[UUID]) -> dict[UUID, int]:
    rows = InboundMessage.objects.filter(partner=partner, message_id__in=message_ids).values_list("message_id", "pk")
    return {message_id: pk for message_id, pk in rows if message_id is not None}


def _originals(partner: str, message_ids: Sequence[UUID]) -> dict[UUID, OutboundMessage]:
    """Our messages by id; only those that went to this partner, or one partner could speak for another."""
    rows = OutboundMessage.objects.filter(partner=partner, message_id__in=message_ids).defer("content")
    return {row.message_id: row for row in rows}


def _answered(envelope: Envelope, original: OutboundMessage | None) -> OutboundMessage | None:
    """`original`, unless it is of a type that such a message does not answer."""
    route = registry.inbound_route(envelope.message_type)
    expected = route.answers if route else None
    return original if original is not None and expected in (None, original.message_type) else None


def _set_ready(message: InboundMessage, envelope: Envelope, original: OutboundMessage | None) -> None:
    message.state = InboundState.READY
    message.message_id = envelope.message_id
    message.message_type = envelope.message_type
    message.in_reply_to = envelope.in_reply_to
    message.send_time = envelope.send_time
    message.original = original
    message.subject = original.subject if original else ""
    message.request_id = original.request_id if original else envelope.correlation_id
    message.reason_code = message.reason_text = ""


def _set_aside(message: InboundMessage, error: UnreadableMessageError) -> None:
    """Quarantine. The row does not take the id: bytes that are no message have none, and a reused one belongs to the first."""
    message.state = InboundState.QUARANTINED
    message.message_type = error.message_type
    message.send_time = None
    message.reason_code = error.code
    message.reason_text = error.reason
    metrics.note_quarantined(message.partner, error.code)
    log.warning("relay_quarantined", partner=message.partner, file=message.file_name, code=error.code, reason=error.reason)


def wants_answer(entry: Answer) -> bool:
    """Whether to send it. Not for a technical receipt, readable or not: two sides could answer each other's for ever. And nothing twice."""
    message = entry.message
    is_receipt = RECEIPT_TYPE in (message.message_type, message.file_name[: len(RECEIPT_TYPE)])
    return not is_receipt and message.answer_result != entry.result
