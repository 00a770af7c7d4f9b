"""Putting a message into the outbox: in the transaction of whoever sends it, so that both commit or neither (RLY-01)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial as bind
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from lxml import etree

from relay import registry
from relay.conf import require_partner
from relay.envelope import RECEIPT_TYPE, Envelope, SignInfo, build, element, q
from relay.models import InboundMessage, OutboundMessage, OutboundState
from relay.wake import wake


class NotInTransactionError(RuntimeError):
    """`queue_message` was called outside a transaction: the message could go out and the filing be lost."""


class UnregisteredTypeError(LookupError):
    """No application has registered this type with `relay.registry.register_outbound`."""


def queue_message(
    *,
    partner: str,
    message_type: str,
    business: etree._Element,
    subject: str,
    enterprise_id: int | None,
    in_reply_to: UUID | None = None,
    signature: SignInfo | None = None,
) -> OutboundMessage:
    """Store a message for `partner`; it goes out after the caller's transaction commits, and not before.

    `business` is the business element in the exchange's namespace; it is taken into the message. `subject` is the ordering
    key, for example `smartgate.filing:123`: messages of one subject go out one after another, each after the one before
    has ended; of different subjects in any order; an empty subject is not ordered. The caller holds a lock on what the
    subject names, or two messages of one subject could swap places.

    Raises NotInTransactionError; UnknownPartnerError; UnregisteredTypeError; schemas.NoSchemaError and
    schemas.SchemaViolationError when the message does not fit its schema. In all these cases nothing is stored.
    """
    if not connection.in_atomic_block:
        raise NotInTransactionError(message_type)
    require_partner(partner)
    if registry.outbound_hooks(message_type) is None:
        raise UnregisteredTypeError(message_type)
    message = _new_message(partner, message_type, business, timezone.now(), in_reply_to=in_reply_to, signature=signature)
    message.subject = subject
    message.enterprise_id = enterprise_id
    message.save(force_insert=True)
    transaction.on_commit(bind(wake, partner), robust=True)
    return message


@dataclass(frozen=True, slots=True)
class Answer:
    """A technical receipt to be: for which message, and for which id when one could be read."""

    message: InboundMessage
    message_id: UUID | None
    result: str
    code: str = ""
    note: str = ""


def answer(answers: Sequence[Answer]) -> None:
    """Queue a technical receipt for each, in one statement. Runs in the caller's transaction.

    Sets `answer` and `answer_result` of each message and leaves saving it to the caller.
    """
    if not answers:
        return
    now = timezone.now()
    rows = [
        _new_message(
            entry.message.partner,
            RECEIPT_TYPE,
            technical_receipt(entry.message_id, entry.message.file_name, entry.result, entry.code, entry.note),
            now,
            in_reply_to=entry.message_id,
            request_id=entry.message.request_id,
        )
        for entry in answers
    ]
    for entry, row in zip(answers, OutboundMessage.objects.bulk_create(rows), strict=True):
        entry.message.answer = row
        entry.message.answer_result = entry.result
    for partner in {entry.message.partner for entry in answers}:
        transaction.on_commit(bind(wake, partner), robust=True)


def technical_receipt(message_id: UUID | None, file_name: str, result: str, code: str = "", note: str = "") -> etree._Element:
    """The business element of an RCV001."""
    receipt = element("TechnicalReceipt")
    if message_id is not None:
        etree.SubElement(receipt, q("RefMessageId")).text = str(message_id)
    if message_id is None or result != "STORED":
        etree.SubElement(receipt, q("RefFileName")).text = file_name
    etree.SubElement(receipt, q("Result")).text = result
    if code:
        etree.SubElement(receipt, q("Code")).text = code
    if note:
        etree.SubElement(receipt, q("Note")).text = "".join(char if char.isprintable() else " " for char in note[:1000])
    return receipt


def _new_message(
    partner: str,
    message_type: str,
    business: etree._Element,
    now: datetime,
    *,
    in_reply_to: UUID | None,
    signature: SignInfo | None = None,
    request_id: str | None = None,
) -> OutboundMessage:
    """A message that is built, valid, and not yet stored. Without `request_id` it carries that of the running request."""
    message_id = uuid4()
    if request_id is None:
        request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))[:64]
    envelope = Envelope(
        message_id=message_id,
        message_type=message_type,
        sender_id=settings.RELAY_SENDER_ID,
        receiver_id=partner,
        send_time=timezone.localtime(now),
        in_reply_to=in_reply_to,
        correlation_id=request_id,
    )
    return OutboundMessage(
        message_id=message_id,
        message_type=message_type,
        partner=partner,
        in_reply_to=in_reply_to,
        request_id=request_id,
        content=build(envelope, business, signature),
        needs_receipt=message_type != RECEIPT_TYPE,
        state=OutboundState.QUEUED,
        created_at=now,
        due_at=now,
    )
