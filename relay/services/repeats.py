"""What a repeat does: our technical receipt goes again, and what it says counts again for a message that was sent again."""

from collections.abc import Sequence
from functools import partial as bind

import structlog
from django.db import transaction
from django.utils import timezone

from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.services.outbox import Answer, answer
from relay.wake import wake

log = structlog.get_logger(__name__)


@transaction.atomic
def note_repeats(partner: str, repeated: Sequence[int]) -> None:
    """These messages came once more, byte for byte: the partner seems not to have our receipt, or had ours once more itself."""
    now = timezone.now()
    # Locked first, and in their order: housekeeping takes the answers of old messages away (operations.housekeeping).
    rows = list(
        InboundMessage.objects.select_for_update(of=("self",))
        .filter(pk__in=repeated)
        .only("pk", "partner", "message_id", "file_name", "request_id", "state", "answer_id", "answer_result", "reason_code", "original_id")
        .order_by("pk")
    )
    _answer_again(rows)
    # Whoever gets a message again sends the receipt it sent before, the very same bytes: for a message that an operator
    # has sent again (`operations.resend`) this is its receipt.
    waiting = OutboundMessage.objects.filter(pk__in=[row.original_id for row in rows if row.original_id], finished_at__isnull=True)
    counts_again = InboundMessage.objects.filter(
        pk__in=[row.pk for row in rows], state=InboundState.HANDLED, emptied_at__isnull=True, original__in=waiting
    )
    counted = counts_again.update(state=InboundState.READY, finished_at=None, due_at=now, attempts=0)
    log.info("relay_repeats", partner=partner, inbound_ids=list(repeated), counted_again=counted)
    transaction.on_commit(bind(wake, partner), robust=True)


def _answer_again(rows: Sequence[InboundMessage]) -> None:
    """The same receipt goes again, same id, same bytes. Where housekeeping took it, a new one says the same."""
    ids = [row.answer_id for row in rows if row.answer_id]
    again = OutboundMessage.objects.filter(pk__in=ids, finished_at__isnull=False, state=OutboundState.SENT, emptied_at__isnull=True)
    again.update(state=OutboundState.QUEUED, finished_at=None, due_at=timezone.now())
    taken = [row for row in rows if row.answer_id is None and row.answer_result]
    answer([Answer(row, row.message_id, row.answer_result, row.reason_code) for row in taken])
    for row in taken:
        row.save(update_fields=["answer", "answer_result"])
