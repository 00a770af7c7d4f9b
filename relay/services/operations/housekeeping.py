"""Old messages lose their bytes, month by month: never in a request, never while anybody could still need them (docs/adr/0092).

The row stays, with its ids and its digest: bytes that come again years later are a repeat, and an id that comes again with others is a
contradiction, as on the first day. Where an archive is configured, the bytes are on its disk before they leave the database.
"""

import gzip
import json
import os
import secrets
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from core.directories import flush
from core.listing.keyset import Order, Position, Reach
from relay import lanes, registry
from relay.conf import portions
from relay.envelope import RECEIPT_TYPE
from relay.models import InboundMessage, InboundState, OutboundMessage

log = structlog.get_logger(__name__)

BATCH: Final = 500
#: A run ends after this long; the next night goes on.
RUN_SECONDS: Final = 3600.0
LANE: Final = "housekeeping"
#: Older files that are still being written come from a worker that was killed; nobody takes this long for a batch.
LEFTOVER_SECONDS: Final = 24 * 3600.0
MessageT = TypeVar("MessageT", OutboundMessage, InboundMessage)
#: What nobody is going to do anything with any more.
_DECIDED: Final = (InboundState.HANDLED, InboundState.DISCARDED)
#: All others, one by one: each has a partial index of its own, and of a list PostgreSQL would read the whole table, batch for batch.
_UNSETTLED: Final = reduce(or_, (Q(state=state) for state in InboundState if state not in _DECIDED))


def cut_off(now: datetime) -> datetime | None:
    """Messages made before this are old: the first of the month RELAY_KEEP_MONTHS ago, in Shanghai; None when all are kept."""
    months: int = settings.RELAY_KEEP_MONTHS
    if not months:
        return None
    local = timezone.localtime(now)
    index = local.year * 12 + local.month - 1 - months
    return local.replace(year=index // 12, month=index % 12 + 1, day=1, hour=0, minute=0, second=0, microsecond=0)


def empty_old(*, now: datetime | None = None) -> tuple[int, int]:
    """Empty what is old and settled; how many outgoing and how many incoming messages. One worker at a time does it.

    Raises OSError when the archive cannot be written; what was archived till then has been emptied, nothing else.
    """
    before = cut_off(now or timezone.now())
    token = lanes.take(LANE) if before is not None else None
    if before is None or token is None:
        return 0, 0
    until = time.monotonic() + RUN_SECONDS
    outbound = inbound = 0
    try:
        _clear_leftovers()
        # Outgoing ones first: an incoming one waits for the message it is about.
        for sent in _while_ours(_old_outbound(before), token, until):
            _archive(sent)
            outbound += _empty_outbound([row.pk for row in sent], token)
        for received in _while_ours(_old_inbound(before), token, until):
            _archive(received)
            inbound += _empty_inbound([row.pk for row in received], token)
    finally:
        lanes.release(LANE, token)
    log.info("relay_emptied", before=before.isoformat(), outbound=outbound, inbound=inbound)
    return outbound, inbound


def _while_ours(batches: Iterator[list[MessageT]], token: UUID, until: float) -> Iterator[list[MessageT]]:
    """The batches, as long as there is time and no other worker has taken over."""
    for batch in batches:
        if time.monotonic() > until or not lanes.renew(LANE, token):
            return
        yield batch


def _old_outbound(before: datetime) -> Iterator[list[OutboundMessage]]:
    """Ended messages of conversations that are over. Our own receipts go with what they answer."""
    unsettled = InboundMessage.objects.filter(_UNSETTLED)
    rows = (
        OutboundMessage.objects.filter(emptied_at__isnull=True, finished_at__isnull=False, created_at__lt=before)
        .exclude(message_type=RECEIPT_TYPE)
        .exclude(Exists(unsettled.filter(original=OuterRef("pk"))))
        .exclude(
            ~Q(subject=""),
            Exists(OutboundMessage.objects.filter(partner=OuterRef("partner"), subject=OuterRef("subject"), finished_at__isnull=True))
            | Exists(unsettled.filter(partner=OuterRef("partner"), subject=OuterRef("subject"))),
        )
    )
    for found in _in_order(rows, OutboundMessage, "created_at"):
        closed = _without_open_records(found)
        # Their contents only now: most of what is passed over night after night is open.
        contents = OutboundMessage.objects.in_bulk([row.pk for row in closed])
        yield from portions((contents[row.pk] for row in closed if row.pk in contents), lambda row: len(row.content), BATCH)


def _without_open_records(rows: Iterable[OutboundMessage]) -> list[OutboundMessage]:
    """Those whose application says that it is through with their record; one that does not say keeps all of its messages."""
    by_type: dict[str, list[OutboundMessage]] = {}
    for row in rows:
        by_type.setdefault(row.message_type, []).append(row)
    closed: list[OutboundMessage] = []
    for message_type, found in by_type.items():
        hooks = registry.outbound_hooks(message_type)
        if hooks is None or hooks.open_subjects is None:
            continue
        still_open = hooks.open_subjects({row.subject for row in found if row.subject})
        closed.extend(row for row in found if row.subject not in still_open)
    return closed


def _old_inbound(before: datetime) -> Iterator[list[InboundMessage]]:
    """What was decided on, and what it is about has been emptied; our answer to it has gone."""
    rows = (
        InboundMessage.objects.filter(emptied_at__isnull=True, state__in=_DECIDED, received_at__lt=before)
        .filter(Q(original__isnull=True) | Q(original__emptied_at__isnull=False))
        .filter(Q(answer__isnull=True) | Q(answer__finished_at__isnull=False))
        # An application took it and nobody knows about which record: kept.
        .exclude(state=InboundState.HANDLED, original__isnull=True, message_type__in=registry.inbound_types())
    )
    for found in _in_order(rows, InboundMessage, "received_at"):
        contents = InboundMessage.objects.defer("send_time").in_bulk([row.pk for row in found])
        yield from portions((contents[row.pk] for row in found if row.pk in contents), lambda row: row.size, BATCH)


def _in_order(rows: QuerySet[Any], model: Any, column: str) -> Iterator[list[Any]]:
    """The rows, oldest first, by keyset, without their contents."""
    order = Order(model, column, descending=False, scope="relay.housekeeping")
    names = {"pk", column, "message_type", "subject"} & {"pk", *(field.name for field in model._meta.concrete_fields)}
    position = None
    while page := order.page(rows.only(*names), size=BATCH, position=position).rows:
        last = page[-1]
        position = Position(Reach.AFTER, getattr(last, column), last.pk)
        yield list(page)


@transaction.atomic
def _empty_outbound(ids: list[int], token: UUID) -> int:
    """Take the bytes of these messages, unless one has come to life meanwhile; their attempts go too."""
    if not lanes.renew(LANE, token):
        return 0  # this worker was held up while it archived them, and another has taken over
    locked = OutboundMessage.objects.select_for_update(skip_locked=True).filter(
        pk__in=ids, finished_at__isnull=False, emptied_at__isnull=True
    )
    mine = list(locked.order_by("pk").values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE relay_outboundmessage SET sha256 = sha256(content), content = '', emptied_at = now() WHERE id = ANY(%s)", [mine]
        )
        cursor.execute("DELETE FROM relay_attempt WHERE message_id = ANY(%s)", [mine])
    return len(mine)


@transaction.atomic
def _empty_inbound(ids: list[int], token: UUID) -> int:
    """Take the bytes of these messages. The receipt we gave goes whole: from what it said, a new one can be made."""
    if not lanes.renew(LANE, token):
        return 0
    locked = InboundMessage.objects.select_for_update(of=("self",), skip_locked=True).filter(
        pk__in=ids, state__in=_DECIDED, emptied_at__isnull=True
    )
    found = list(locked.order_by("pk").values_list("pk", "answer_id"))
    mine = [pk for pk, _ in found]
    sent = OutboundMessage.objects.select_for_update(skip_locked=True).filter(
        pk__in=[answer for _, answer in found if answer], finished_at__isnull=False, message_type=RECEIPT_TYPE
    )
    # One that the partner answered, which it should not, is named by that answer.
    answers = list(sent.exclude(Exists(InboundMessage.objects.filter(original=OuterRef("pk")))).order_by("pk").values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE relay_inboundmessage SET content = '', emptied_at = now() WHERE id = ANY(%s)", [mine])
        cursor.execute("UPDATE relay_inboundmessage SET answer_id = NULL WHERE id = ANY(%s) AND answer_id = ANY(%s)", [mine, answers])
        cursor.execute("DELETE FROM relay_attempt WHERE message_id = ANY(%s)", [answers])
        cursor.execute("DELETE FROM relay_outboundmessage WHERE id = ANY(%s)", [answers])
    return len(mine)


def _archive(batch: list[Any]) -> None:
    """Write a batch to the archive, whole and on the disk, one file for each month in it.

    Every file has a name of its own: of a batch that was written before, or is being written by a worker that was held up, the database
    may have only that file's bytes left, or this one's.
    """
    root: Path | None = settings.RELAY_ARCHIVE_DIR
    if root is None:
        return
    months: dict[str, list[Any]] = {}
    for row in batch:
        at = row.created_at if isinstance(row, OutboundMessage) else row.received_at
        months.setdefault(f"{timezone.localtime(at):%Y-%m}", []).append(row)
    for month, rows in months.items():
        folder = root / month
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{rows[0]._meta.model_name}-{rows[0].pk}-{rows[-1].pk}-{secrets.token_hex(8)}.jsonl.gz"
        beside = folder / f".{name}.tmp"
        try:
            with beside.open("xb") as raw:
                with gzip.open(raw, "wt", encoding="utf-8") as file:
                    for row in rows:
                        file.write(json.dumps(_archived(row), ensure_ascii=False) + "\n")
                raw.flush()
                os.fsync(raw.fileno())
            beside.rename(folder / name)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        flush(folder)


def _clear_leftovers() -> None:
    """What workers that were killed left half written in the archive; the database has it still."""
    root: Path | None = settings.RELAY_ARCHIVE_DIR
    for beside in root.glob("*/.*.jsonl.gz.tmp") if root is not None else ():
        if beside.stat().st_mtime < time.time() - LEFTOVER_SECONDS:
            beside.unlink(missing_ok=True)


def _archived(row: Any) -> dict[str, Any]:
    """A message in the archive: what it was, and its bytes in base64."""
    outgoing = isinstance(row, OutboundMessage)
    return {
        "direction": "out" if outgoing else "in",
        "id": row.pk,
        "partner": row.partner,
        "message_id": str(row.message_id) if row.message_id else None,
        "message_type": row.message_type,
        "subject": row.subject,
        "state": str(row.state),
        "at": (row.created_at if outgoing else row.received_at).isoformat(),
        "content": b64encode(bytes(row.content)).decode(),
    }
