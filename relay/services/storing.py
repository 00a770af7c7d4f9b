"""Taking in what a partner sent: stored byte for byte and committed before the file goes and before anybody reads it."""

import hashlib
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from relay import lanes
from relay.channels import open_channel
from relay.channels.base import ReceivedFile, printable
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.services.handling import handle
from relay.services.reading import read
from relay.wake import wake

log = structlog.get_logger(__name__)

BATCH: Final = 100
#: A run ends after this long even when more keeps coming; the next beat goes on.
RUN_SECONDS: Final = 20.0

# The digest is what makes a repeat a repeat: the same bytes are one message, however often and under whatever file name.
# xmax is zero in a row that this statement inserted, and not in one that it found.
_STORE = """
    INSERT INTO relay_inboundmessage AS message
           (partner, file_name, content, size, sha256, kept_as, received_at, last_seen_at, repeats, state, message_type, subject,
            request_id, due_at, attempts, outcome, reason_code, reason_text, answer_result)
    SELECT %(partner)s, name, content, octet_length(content), digest, '', %(now)s, %(now)s, 0, 'received', '', '', '', %(now)s, 0,
           '', '', '', ''
      FROM unnest(%(names)s::text[], %(contents)s::bytea[], %(digests)s::bytea[]) WITH ORDINALITY AS file(name, content, digest, place)
     ORDER BY place
        ON CONFLICT (partner, sha256) WHERE sha256 IS NOT NULL
        DO UPDATE SET repeats = message.repeats + 1, last_seen_at = excluded.last_seen_at
    RETURNING message.id, message.xmax::text <> '0'
"""


def receive(partner: str) -> int:
    """Take in, read and handle what lies at `partner`'s channel; returns how many files were taken in.

    One worker at a time looks into the box; another that comes meanwhile helps with handling only.
    Raises UnknownPartnerError.
    """
    token = lanes.take(_lane(partner))
    if token is None:
        handle(partner)
        return 0
    try:
        return _receive_in_lane(partner, token)
    finally:
        lanes.release(_lane(partner), token)


def _receive_in_lane(partner: str, token: UUID) -> int:
    channel = open_channel(partner)
    taken = 0
    until = time.monotonic() + RUN_SECONDS
    found_any = True
    while found_any and time.monotonic() < until:
        found_any = False
        for files in channel.receive(BATCH):
            if not lanes.renew(_lane(partner), token):
                return taken  # this worker was held up so long that another has taken over
            found_any = True
            readable = [file for file in files if file.content is not None]
            store(partner, readable)
            channel.forget(readable)
            for file in files:
                if file.content is None:
                    note_unread(partner, file)
                    channel.set_aside(file)
            taken += len(files)
            read(partner)
            handle(partner)
        if not taken:
            # Nothing new; but a worker may have died between storing and reading, or a handler be due again.
            read(partner)
            handle(partner)
    return taken


def store(partner: str, files: Sequence[ReceivedFile]) -> None:
    """Commit the bytes of these files. Bytes that are here already count as a repeat, and their technical receipt goes again."""
    by_digest: dict[bytes, ReceivedFile] = {}
    for file in files:
        # Two copies in one batch: which of them is stored makes no difference, and one statement cannot meet a row twice.
        by_digest.setdefault(hashlib.sha256(file.content or b"").digest(), file)
    if not by_digest:
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                _STORE,
                {
                    "partner": partner,
                    "now": timezone.now(),
                    "names": [printable(file.name)[:255] for file in by_digest.values()],
                    "contents": [file.content for file in by_digest.values()],
                    "digests": list(by_digest),
                },
            )
            repeated = [row_id for row_id, was_there in cursor.fetchall() if was_there]
        if repeated:
            _answer_again(partner, repeated)


def _answer_again(partner: str, repeated: Sequence[int]) -> None:
    """The partner seems not to have our receipt: the same one goes again, same id, same bytes."""
    answers = InboundMessage.objects.filter(pk__in=repeated, answer__isnull=False).values("answer")
    again = OutboundMessage.objects.filter(pk__in=answers, finished_at__isnull=False, state=OutboundState.SENT)
    again.update(state=OutboundState.QUEUED, finished_at=None, due_at=timezone.now())
    log.info("relay_repeats", partner=partner, inbound_ids=list(repeated))
    transaction.on_commit(lambda: wake(partner), robust=True)


def note_unread(partner: str, file: ReceivedFile) -> None:
    """Set down in quarantine a file that is put aside unread. A second time for the same file changes nothing."""
    kept_as = printable(file.aside_name)
    noted = Q(partner=partner, message_type="", state=InboundState.QUARANTINED, kept_as=kept_as)
    if InboundMessage.objects.filter(noted).exists():
        return
    now = timezone.now()
    InboundMessage.objects.create(
        partner=partner,
        file_name=printable(file.name)[:255],
        content=b"",
        size=file.size,
        kept_as=kept_as,
        received_at=now,
        last_seen_at=now,
        due_at=now,
        finished_at=now,
        state=InboundState.QUARANTINED,
        reason_code=file.reason_code,
        reason_text=file.reason,
    )
    log.warning("relay_quarantined", partner=partner, file=printable(file.name), code=file.reason_code, reason=file.reason)


def _lane(partner: str) -> str:
    return f"receive:{partner}"
