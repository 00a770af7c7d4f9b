"""Sending what is due: claim a batch, send it outside any transaction, record what came of it.

Between claim and record the rows carry a lease. A worker that dies leaves it to run out; then another sends the same bytes
under the same id again, and the partner drops the repeat. That is why an unknown outcome needs no telling apart here.
"""

import os
import random
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from relay import lanes, metrics, registry
from relay.channels import open_channel
from relay.channels.base import BoxedLetter, Channel, Letter, SendResult
from relay.envelope import RECEIPT_TYPE
from relay.models import Attempt, AttemptOutcome, OutboundMessage, OutboundState
from relay.wake import awake

log = structlog.get_logger(__name__)

BATCH: Final = 100
#: First wait after an attempt that failed on our side; doubles up to RELAY_BACKOFF_MAX_SECONDS.
ERROR_BACKOFF_SECONDS: Final = 1.0
#: How long a batch with a message that begins anew waits for its turn at FailBox; much less than a lease.
TURN_SECONDS: Final = 5.0
_LIES_THERE: Final = "its earlier refusal lies in FailBox and cannot be moved"
_NOT_LOOKED_FOR: Final = "its earlier refusal cannot be looked for"

# The oldest unfinished message of a subject stands in the way of the younger ones, in whatever state it is (order is kept
# per filing). A row that another worker holds is passed over, and looked at again after the lease. What an operator paused is
# asked with every batch: a batch that was claimed before goes out, the next one does not.
_CLAIM = """
    UPDATE relay_outboundmessage AS claimed
       SET lease_token = %(token)s, leased_until = statement_timestamp() + make_interval(secs => %(lease)s)
      FROM (
            SELECT id FROM relay_outboundmessage AS due
             WHERE partner = %(partner)s AND finished_at IS NULL AND due_at <= statement_timestamp()
               AND (leased_until IS NULL OR leased_until < statement_timestamp())
               AND (subject = '' OR NOT EXISTS (
                    SELECT 1 FROM relay_outboundmessage AS older
                     WHERE older.partner = due.partner AND older.subject = due.subject
                       AND older.finished_at IS NULL AND older.id < due.id))
               AND NOT EXISTS (
                    SELECT 1 FROM relay_pause AS pause
                     WHERE pause.resumed_at IS NULL
                       AND pause.partner IN ('', due.partner) AND pause.message_type IN ('', due.message_type))
             ORDER BY due_at, id
             LIMIT %(limit)s
               FOR UPDATE SKIP LOCKED
           ) AS chosen
     WHERE claimed.id = chosen.id
    RETURNING claimed.id, claimed.message_id, claimed.message_type, claimed.subject, claimed.request_id, claimed.content,
              claimed.attempts, claimed.sent_at IS NOT NULL, claimed.state = 'sent', claimed.partner, claimed.created_at,
              claimed.delivered_before
"""

# What had been delivered and was sent once more: a partner that drops the repeat without a word has it nevertheless (docs/adr/0095).
_DELIVERED_AS_BEFORE = """
    UPDATE relay_outboundmessage AS message
       SET state = 'delivered', finished_at = statement_timestamp(), lease_token = NULL, leased_until = NULL
      FROM (
            SELECT id FROM relay_outboundmessage
             WHERE partner = %(partner)s AND finished_at IS NULL AND delivered_before AND state = 'sent'
               AND due_at <= statement_timestamp() AND (leased_until IS NULL OR leased_until < statement_timestamp())
             ORDER BY id
               FOR UPDATE SKIP LOCKED
           ) AS unanswered
     WHERE message.id = unanswered.id
    RETURNING message.message_id
"""

# Only what is still ours and still unfinished: the receipt may have come while the file was being written.
_RECORD = """
    UPDATE relay_outboundmessage AS message
       SET state = CASE WHEN result.gone THEN 'sent' ELSE message.state END,
           attempts = message.attempts + 1,
           sent_at = CASE WHEN result.gone THEN coalesce(message.sent_at, %(now)s) ELSE message.sent_at END,
           last_sent_at = CASE WHEN result.gone THEN %(now)s ELSE message.last_sent_at END,
           finished_at = CASE WHEN result.gone AND NOT message.needs_receipt THEN %(now)s END,
           due_at = result.due_at, lease_token = NULL, leased_until = NULL
      FROM unnest(%(ids)s::bigint[], %(gone)s::boolean[], %(due)s::timestamptz[]) AS result(id, gone, due_at)
     WHERE message.id = result.id AND message.lease_token = %(token)s AND message.finished_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message this worker may send until its lease runs out.

    `sent_before`: a copy has gone at some time. `is_repeat`: it has, and this one goes because no receipt came for it, by itself or
    because an operator does not wait; what had ended and is sent again begins anew and is none (docs/adr/0107).
    """

    id: int
    message_id: UUID
    message_type: str
    subject: str
    request_id: str
    content: bytes
    attempts: int
    sent_before: bool
    is_repeat: bool
    partner: str
    created_at: datetime
    delivered_before: bool

    @property
    def begins_anew(self) -> bool:
        """Whether somebody has it sent again, and the partner may have refused it before."""
        return self.sent_before and not self.is_repeat and self.message_type != RECEIPT_TYPE


def dispatch(partner: str) -> int:
    """Send everything that is due to `partner`, batch by batch; returns how many attempts were made.

    Safe to run in any number of workers at once. Raises UnknownPartnerError.
    """
    awake(partner)
    channel = open_channel(partner)
    _end_unanswered_repeats(partner)
    done = 0
    while claimed := claim(partner, token := uuid4()):
        results = _hand_over(channel, claimed)
        record(claimed, results, token)
        done += len(claimed)
        if all(result.outcome == AttemptOutcome.ERROR for result in results):
            break  # the channel is down: the rest would fail alike
    return done


def _hand_over(channel: Channel, claimed: Sequence[Claimed]) -> list[SendResult]:
    """Send these, except what begins anew while its earlier refusal lies there still, or may do so."""
    anew = {message.message_id for message in claimed if message.begins_anew}
    barred = _barred(channel, claimed[0].partner, anew) if anew else {}
    going = [message for message in claimed if message.message_id not in barred]
    sent = iter(channel.send([Letter(message.message_id, message.message_type, message.content, message.is_repeat) for message in going]))
    return [
        SendResult(AttemptOutcome.ERROR, barred[message.message_id]) if message.message_id in barred else next(sent) for message in claimed
    ]


def _barred(channel: Channel, partner: str, message_ids: set[UUID]) -> Mapping[UUID, str]:
    """Those of these messages that must not go yet, and why: their earlier refusal cannot be put away.

    It was noted when it came. Left there, or in the hands of one who collects refusals, it would be taken for a word about the copy
    that goes now (docs/adr/0107).
    """
    token = _wait_for_turn(partner)
    if token is None:
        return dict.fromkeys(message_ids, f"{_NOT_LOOKED_FOR}: another worker looks through FailBox")
    try:
        left = _put_away(channel, message_ids)
        if not lanes.renew(_lane(partner), token):
            return dict.fromkeys(message_ids, f"{_NOT_LOOKED_FOR}: it took longer than a lease")
    except OSError as error:
        return dict.fromkeys(message_ids, f"{_NOT_LOOKED_FOR}: {error}")
    finally:
        lanes.release(_lane(partner), token)
    return dict.fromkeys(left, _LIES_THERE)


def _wait_for_turn(partner: str) -> UUID | None:
    """The token of a lease on looking through FailBox, or None when another worker keeps it for too long."""
    until = time.monotonic() + TURN_SECONDS
    while (token := lanes.take(_lane(partner))) is None and time.monotonic() < until:
        time.sleep(0.05)
    return token


def _put_away(channel: Channel, message_ids: set[UUID]) -> set[UUID]:
    """Move away what lies in FailBox about these messages; returns those about which something stayed. Raises OSError."""
    noted = [letter for letter in channel.returned() if letter.message_id in message_ids]
    channel.forget_returned(noted)
    if not noted:
        return set()
    left = {letter.message_id for letter in channel.returned()} & message_ids
    channel.forget_returned([])
    return left


def claim(partner: str, token: UUID, limit: int = BATCH) -> list[Claimed]:
    """Lease the next due messages under `token`, at most one of each subject, oldest first."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"token": token, "lease": settings.RELAY_LEASE_SECONDS, "partner": partner, "limit": limit})
        rows = sorted(cursor.fetchall())
    return [
        Claimed(pk, message_id, message_type, subject, request_id, bytes(content), *rest)
        for pk, message_id, message_type, subject, request_id, content, *rest in rows
    ]


def _end_unanswered_repeats(partner: str) -> None:
    """What was delivered before an operator had it sent again has waited for a receipt once; now it is delivered as it was."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_DELIVERED_AS_BEFORE, {"partner": partner})
        unanswered = [str(message_id) for (message_id,) in cursor.fetchall()]
    if unanswered:
        log.info("relay_repeat_unanswered", partner=partner, message_ids=unanswered)


def record(claimed: Sequence[Claimed], results: Sequence[SendResult], token: UUID) -> None:
    """Write down what came of each attempt, and when each message is due again."""
    now = timezone.now()
    worker = f"{socket.gethostname()}:{os.getpid()}"[:100]
    gone = [result.outcome != AttemptOutcome.ERROR for result in results]
    due = [now + _wait(message, sent) for message, sent in zip(claimed, gone, strict=True)]
    ids = [message.id for message in claimed]
    with transaction.atomic():
        # In the order of ids, as the workers that handle receipts lock them: two batches cannot block each other for good.
        list(OutboundMessage.objects.filter(pk__in=ids).order_by("pk").select_for_update().values_list("pk"))
        with connection.cursor() as cursor:
            cursor.execute(_RECORD, {"now": now, "ids": ids, "gone": gone, "due": due, "token": token})
        Attempt.objects.bulk_create(
            Attempt(message_id=message.id, at=now, outcome=result.outcome, error=result.error, worker=worker)
            for message, result in zip(claimed, results, strict=True)
        )
    for message, result in zip(claimed, results, strict=True):
        metrics.note_attempt(message.partner, message.message_type, result.outcome)
        if not message.sent_before and result.outcome != AttemptOutcome.ERROR:
            metrics.note_left(message.partner, message.message_type, (now - message.created_at).total_seconds())
        log.log(
            30 if result.outcome == AttemptOutcome.ERROR else 20,
            "relay_attempt",
            request_id=message.request_id,
            message_id=str(message.message_id),
            message_type=message.message_type,
            subject=message.subject,
            outcome=str(result.outcome),
            attempt=message.attempts + 1,
            **({"error": result.error} if result.error else {}),
        )


def _wait(message: Claimed, sent: bool) -> timedelta:
    if not sent:
        return timedelta(seconds=backoff_seconds(message.attempts, ERROR_BACKOFF_SECONDS))
    # However often our own disk refused it: for its receipt the first copy to leave waits the plain time, and so does what an operator
    # sends again.
    earlier = message.attempts if message.is_repeat and not message.delivered_before else 0
    return timedelta(seconds=backoff_seconds(earlier, float(settings.RELAY_RECEIPT_TIMEOUT_SECONDS)))


def backoff_seconds(attempts_before: int, first: float) -> float:
    """Seconds to wait after an attempt: `first`, doubled for each earlier one, at most RELAY_BACKOFF_MAX_SECONDS.

    The last quarter is left to chance, so that what failed together does not come back together.
    """
    longest = min(float(settings.RELAY_BACKOFF_MAX_SECONDS), first * 2.0 ** min(attempts_before, 30))
    return longest * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing


def collect_returned(partner: str) -> int:
    """Mark what the partner's agent put into FailBox as refused; returns how many letters were dealt with.

    Each in a transaction of its own; one whose hook fails stays in FailBox and is tried at the next sweep. One worker at a time does
    this, and none while what begins anew is looked up: what was found before says nothing about a copy that went since.
    """
    channel = open_channel(partner)
    token = lanes.take(_lane(partner))
    if token is None:
        return 0
    try:
        return _collect_in_lane(partner, channel, token)
    finally:
        lanes.release(_lane(partner), token)


def _collect_in_lane(partner: str, channel: Channel, token: UUID) -> int:
    done: list[BoxedLetter] = []
    for letter in channel.returned():
        try:
            with transaction.atomic():
                # Nobody else can take the lane before this transaction ends.
                if not lanes.renew(_lane(partner), token):
                    break
                message = (
                    OutboundMessage.objects.select_for_update()
                    .filter(partner=partner, message_id=letter.message_id)
                    .defer("content")
                    .first()
                )
                if message is not None and message.finished_at is None and not message.is_to_go_again:
                    refuse(message, timezone.now(), "FAIL_BOX", "the partner's agent put the file into FailBox")
        except Exception:
            log.exception("relay_returned_letter_failed", partner=partner, message_id=str(letter.message_id))
            continue
        done.append(letter)
    is_ours = False
    try:
        is_ours = lanes.renew(_lane(partner), token)
    finally:
        # Not when another worker has taken over: under the same name a new refusal may lie there. This one is found again.
        channel.forget_returned(done if is_ours else [])
    return len(done)


def _lane(partner: str) -> str:
    return f"returned:{partner}"


def withdraw_refused(partner: str) -> int:
    """Take back copies of refused messages that still wait for the partner; returns how many.

    A message that got no answer in time goes again, and its refusal can come while that copy lies there: taken by the partner
    now, it would be accepted after the user has been told that it was not, and has declared again. Best effort: the partner
    may be quicker.
    """
    channel = open_channel(partner)
    waiting = channel.waiting()
    if not waiting:
        return 0
    named = OutboundMessage.objects.filter(message_id__in=[letter.message_id for letter in waiting])
    refused = set(named.filter(partner=partner, state=OutboundState.REFUSED).values_list("message_id", flat=True))
    letters = [letter for letter in waiting if letter.message_id in refused]
    channel.withdraw(letters)
    for letter in letters:
        log.info("relay_withdrawn", partner=partner, message_id=str(letter.message_id))
    return len(letters)


def refuse(message: OutboundMessage, at: datetime, code: str, reason: str) -> None:
    """End a message as definitely refused and tell its application. The caller has locked the row, in its transaction."""
    message.state = OutboundState.REFUSED
    message.finished_at = at
    message.reason_code = code[:32]
    message.reason_text = reason
    message.delivered_before = False
    message.lease_token = message.leased_until = None
    message.save(update_fields=["state", "finished_at", "reason_code", "reason_text", "delivered_before", "lease_token", "leased_until"])
    log.warning(
        "relay_refused",
        request_id=message.request_id,
        message_id=str(message.message_id),
        message_type=message.message_type,
        subject=message.subject,
        code=code,
        reason=reason,
    )
    metrics.note_refused(message)
    hooks = registry.outbound_hooks(message.message_type)
    if hooks is not None and hooks.on_refused is not None:
        # What it audits and sends belongs to the click that queued the message, whoever noticed the refusal.
        with structlog.contextvars.bound_contextvars(request_id=message.request_id):
            hooks.on_refused(reference(message), at, message.reason_code, reason)


def reference(message: OutboundMessage) -> registry.OutboundRef:
    """What the applications get to see of an outbound message."""
    return registry.OutboundRef(message.pk, message.message_id, message.message_type, message.subject)
