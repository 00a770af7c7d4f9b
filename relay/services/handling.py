"""Handing what was read to its application, and ending the outbound messages it speaks of.

A batch runs in one transaction. When anything in it raises, all of it rolls back and each message gets a transaction of its
own, so one that fails costs the others a second run and nothing else (docs/adr/0031). Between claim and end a row carries a
lease, and the last statement of the transaction insists on it: what a worker did after its lease ran out is rolled back.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial as bind
from typing import Final
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import DataError, connection, transaction
from django.utils import timezone
from lxml import etree

from relay import metrics, registry
from relay.conf import BATCH_BYTES, handler_attempts
from relay.envelope import RECEIPT_TYPE, read, text_of
from relay.models import CONTRADICTS_REFUSAL, InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.registry import Incoming, MessageRefused
from relay.services.dispatching import backoff_seconds, reference, refuse
from relay.wake import wake

log = structlog.get_logger(__name__)

BATCH: Final = 50
RETRY_SECONDS: Final = 1.0

# As for what goes out: the oldest of a subject first, also while it waits for another try.
_CLAIM = """
    UPDATE relay_inboundmessage AS claimed
       SET lease_token = %(token)s, leased_until = statement_timestamp() + make_interval(secs => %(lease)s), attempts = claimed.attempts + 1
      FROM (
            SELECT id, sum(size) OVER (ORDER BY due_at, id) - size AS bytes_before
              FROM (
                    SELECT id, due_at, size FROM relay_inboundmessage AS due
                     WHERE partner = %(partner)s AND state = 'ready' AND due_at <= statement_timestamp()
                       AND (leased_until IS NULL OR leased_until < statement_timestamp())
                       AND (subject = '' OR NOT EXISTS (
                            SELECT 1 FROM relay_inboundmessage AS older
                             WHERE older.partner = due.partner AND older.subject = due.subject
                               AND older.state = 'ready' AND older.id < due.id))
                     ORDER BY due_at, id
                     LIMIT %(limit)s
                       FOR UPDATE SKIP LOCKED
                   ) AS locked
           ) AS chosen
     WHERE claimed.id = chosen.id AND chosen.bytes_before < %(bytes)s
    RETURNING claimed.id
"""

_FINISH = """
    UPDATE relay_inboundmessage AS message
       SET state = 'handled', finished_at = %(now)s, outcome = result.note,
           reason_code = '', reason_text = '', lease_token = NULL, leased_until = NULL
      FROM unnest(%(ids)s::bigint[], %(notes)s::text[]) AS result(id, note)
     WHERE message.id = result.id AND message.lease_token = %(token)s AND message.state = 'ready'
"""


#: What reading a row raises for a value beyond Python's range, like a time in the year 10000.
_NOT_FOR_PYTHON: Final = (ValueError, ArithmeticError, DataError)


class _LeaseLostError(RuntimeError):
    """Another worker has taken over; what was done here must not be kept."""


def handle(partner: str) -> int:
    """Handle everything of `partner` that is ready and due; returns how many messages were tried.

    Safe to run in any number of workers at once.
    """
    done = 0
    while ids := claim(partner, token := uuid4()):
        messages = load(ids, token)
        fresh = [message for message in messages if message.attempts == 1]
        if fresh and not _handle_together(fresh, token):
            for message in fresh:
                _handle_alone(message, token)
        for message in messages:
            if message.attempts > 1:
                _handle_alone(message, token)
        done += len(ids)
    return done


def claim(partner: str, token: UUID, limit: int = BATCH) -> list[int]:
    """Lease the next messages under `token`, at most one of each subject, oldest first; their ids.

    At most `limit`, and no further than the one that brings their sizes to BATCH_BYTES.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _CLAIM,
            {"token": token, "lease": settings.RELAY_LEASE_SECONDS, "partner": partner, "limit": limit, "bytes": BATCH_BYTES},
        )
        return [row[0] for row in cursor.fetchall()]


def load(ids: Sequence[int], token: UUID) -> list[InboundMessage]:
    """The messages claimed under `token`. A row that PostgreSQL holds and Python cannot is set aside alone (UNREADABLE_ROW)."""
    rows = InboundMessage.objects.order_by("pk")
    try:
        return list(rows.filter(pk__in=ids))
    except _NOT_FOR_PYTHON:
        log.warning("relay_batch_unreadable", messages=len(ids))
    messages: list[InboundMessage] = []
    for pk in sorted(ids):
        try:
            messages.extend(rows.filter(pk=pk))
        except _NOT_FOR_PYTHON as error:
            known = rows.only("message_id", "message_type", "subject", "request_id").get(pk=pk)
            # The only value in the row that a partner chose and PostgreSQL did not check.
            rows.filter(pk=pk, lease_token=token).update(send_time=None)
            _set_aside(known, token, "UNREADABLE_ROW", f"a value of the row cannot be read: {error}")
    return messages


def _handle_together(messages: Sequence[InboundMessage], token: UUID) -> bool:
    """Whether all of them went through."""
    try:
        _run(messages, token)
    except (MessageRefused, _LeaseLostError) as error:
        log.info("relay_batch_refused", messages=len(messages), error=repr(error))
        return False
    except Exception:
        # One by one they may all go through, and nothing else would say that there was anything.
        log.warning("relay_batch_taken_apart", messages=len(messages), exc_info=True)
        return False
    return True


def _handle_alone(message: InboundMessage, token: UUID) -> None:
    if message.attempts > handler_attempts():
        _set_aside(message, token, "HANDLER_FAILED", "the worker died each time it handled this message")
        return
    try:
        _run([message], token)
    except _LeaseLostError:
        log.warning("relay_lease_lost", **_log_context(message))
    except MessageRefused as refusal:
        _set_aside(message, token, refusal.code, refusal.reason)
    except Exception as error:
        metrics.HANDLER_FAILURES.count(partner=message.partner, message_type=message.message_type)
        log.exception("relay_handler_failed", attempt=message.attempts, **_log_context(message))
        if message.attempts >= handler_attempts():
            _set_aside(message, token, "HANDLER_FAILED", repr(error))
        else:
            wait = timedelta(seconds=backoff_seconds(message.attempts - 1, RETRY_SECONDS))
            InboundMessage.objects.filter(pk=message.pk, lease_token=token).update(
                due_at=timezone.now() + wait, lease_token=None, leased_until=None, reason_code="RETRY", reason_text=repr(error)
            )


def _run(messages: Sequence[InboundMessage], token: UUID) -> None:
    with transaction.atomic():
        notes = _run_in_transaction(messages, token)
    for message, note in zip(messages, notes, strict=True):
        metrics.HANDLED.count(partner=message.partner, message_type=message.message_type)
        log.info("relay_handled", message_type=message.message_type, outcome=note, **_log_context(message))


def _run_in_transaction(messages: Sequence[InboundMessage], token: UUID) -> list[str]:
    now = timezone.now()
    originals = _lock_originals(messages)
    delivered: list[int] = []
    notes: list[str] = []
    for message in messages:
        original = originals.get(message.original_id or 0)
        with structlog.contextvars.bound_contextvars(**_log_context(message)):
            business = read(bytes(message.content))[1]
            if original is not None:
                _require_same_subject(message, business, original)
                if _is_delivery(message, business, original):
                    _deliver(original, now)
                    delivered.append(original.pk)
            if message.message_type == RECEIPT_TYPE:
                notes.append(_technical_receipt(business, original, now))
            else:
                notes.append(_business_message(message, business, original))
    if delivered:
        OutboundMessage.objects.filter(pk__in=delivered).update(
            state=OutboundState.DELIVERED, finished_at=now, lease_token=None, leased_until=None
        )
    with connection.cursor() as cursor:
        cursor.execute(_FINISH, {"now": now, "ids": [message.pk for message in messages], "notes": notes, "token": token})
        if cursor.rowcount != len(messages):
            raise _LeaseLostError
    if originals:
        # The next message of these subjects may go now.
        transaction.on_commit(bind(wake, messages[0].partner), robust=True)
    return notes


def _log_context(message: InboundMessage) -> dict[str, str]:
    """What every line about this message carries: the request id is that of the click it all began with."""
    return {"request_id": message.request_id, "message_id": str(message.message_id), "subject": message.subject}


def _lock_originals(messages: Sequence[InboundMessage]) -> dict[int, OutboundMessage]:
    ids = {message.original_id for message in messages if message.original_id is not None}
    if not ids:
        return {}
    return {row.pk: row for row in OutboundMessage.objects.select_for_update().filter(pk__in=ids).defer("content").order_by("pk")}


def _require_same_subject(message: InboundMessage, business: etree._Element, original: OutboundMessage) -> None:
    """What answers the message of one filing and speaks of another proves nothing. Raises MessageRefused."""
    route = registry.inbound_route(message.message_type)
    subject = route.subject_of(business) if route is not None and route.subject_of is not None else None
    if subject is not None and subject != original.subject:
        raise MessageRefused("WRONG_ORIGINAL", f"in_reply_to names a message about {original.subject}, the contents are about {subject}")


def _is_delivery(message: InboundMessage, business: etree._Element, original: OutboundMessage) -> bool:
    """Whether this ends the wait for `original`; of one that was delivered and is about to go again, it says what is known."""
    is_rejection = message.message_type == RECEIPT_TYPE and text_of(business, "Result") == "REJECTED"
    is_known = original.is_to_go_again and original.delivered_before
    return original.finished_at is None and not is_rejection and not is_known


def _deliver(original: OutboundMessage, now: datetime) -> None:
    """The partner has it: its receipt says so, or it answers, which it could not do without having it."""
    original.state = OutboundState.DELIVERED
    original.finished_at = now
    metrics.note_delivered(original, now)
    hooks = registry.outbound_hooks(original.message_type)
    if hooks is not None and hooks.on_delivered is not None:
        hooks.on_delivered(reference(original), now)


def _technical_receipt(business: etree._Element, original: OutboundMessage | None, now: datetime) -> str:
    if original is None:
        return "names no message of ours"
    if original.is_to_go_again:
        # A late word about a copy that went before (docs/adr/0095). The copy that goes now is answered for itself.
        return "the message is about to go again"
    if text_of(business, "Result") == "REJECTED" and original.finished_at is None:
        refuse(original, now, text_of(business, "Code") or "REJECTED", text_of(business, "Note"))
    elif text_of(business, "Result") != "REJECTED" and original.state == OutboundState.REFUSED:
        raise MessageRefused(CONTRADICTS_REFUSAL, f"the partner stored what it had refused before ({original.reason_code}): ask it")
    return f"the message is {original.state}"


def _business_message(message: InboundMessage, business: etree._Element, original: OutboundMessage | None) -> str:
    route = registry.inbound_route(message.message_type)
    if route is None or message.message_id is None or message.send_time is None:
        raise MessageRefused("UNKNOWN_TYPE", f"nobody here takes {message.message_type}")
    if original is not None and original.state == OutboundState.REFUSED:
        # The partner took it after all, from a copy that went before its refusal was known. Somebody should look.
        log.warning("answer_contradicts_refusal", message_type=message.message_type, code=original.reason_code, **_log_context(message))
    incoming = Incoming(
        inbound_id=message.pk,
        message_id=message.message_id,
        message_type=message.message_type,
        partner=message.partner,
        in_reply_to=message.in_reply_to,
        send_time=message.send_time,
        business=business,
        original=reference(original) if original is not None else None,
    )
    return route.handler(incoming) or ""


def _set_aside(message: InboundMessage, token: UUID, code: str, reason: str) -> None:
    now = timezone.now()
    InboundMessage.objects.filter(pk=message.pk, lease_token=token).update(
        state=InboundState.QUARANTINED,
        finished_at=now,
        reason_code=code[:32],
        reason_text=reason,
        lease_token=None,
        leased_until=None,
    )
    metrics.note_quarantined(message.partner, code)
    log.warning("relay_quarantined", message_type=message.message_type, code=code, reason=reason, **_log_context(message))
