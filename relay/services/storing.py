"""Taking in what a partner sent: stored byte for byte and committed before the file goes and before anybody reads it."""

import hashlib
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from core.locks import hold
from relay import lanes, metrics
from relay.channels import open_channel
from relay.channels.base import Channel, ReceivedFile, printable
from relay.conf import portions
from relay.envelope import type_and_id
from relay.models import InboundMessage, InboundState
from relay.services.handling import handle
from relay.services.outbox import Answer, answer
from relay.services.reading import REJECTED, read, wants_answer
from relay.services.repeats import note_repeats

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
    RETURNING message.id, message.sha256, message.xmax::text <> '0'
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
    except Exception:
        # What is stored already needs no channel: it is read and handled also while the partner's box is broken.
        read(partner)
        handle(partner)
        raise
    finally:
        lanes.release(_lane(partner), token)


def _receive_in_lane(partner: str, token: UUID) -> int:
    channel = open_channel(partner)
    taken = 0
    until = time.monotonic() + RUN_SECONDS
    # What can be neither deleted nor moved is looked at once in a run, or the run would go round and round with it.
    seen: set[str] = set()
    found_any = True
    while found_any and time.monotonic() < until:
        found_any = False
        for files in channel.receive(BATCH, seen):
            if not lanes.renew(_lane(partner), token):
                return taken  # this worker was held up so long that another has taken over
            found_any = True
            seen.update(file.name for file in files)
            _take_in(partner, channel, files)
            taken += len(files)
            read(partner)
            handle(partner)
        if not taken:
            # Nothing new; but a worker may have died between storing and reading, or a handler be due again.
            read(partner)
            handle(partner)
    return taken


def _take_in(partner: str, channel: Channel, files: Sequence[ReceivedFile]) -> None:
    """Store these files, take them away, and answer again those that came before.

    Only when the file is gone: one that stays would be found and answered with every beat.
    """
    readable = [file for file in files if file.content is not None]
    repeated = store(partner, readable)
    gone = channel.forget(readable)
    again = [row_id for name, row_id in repeated.items() if name in gone]
    for file in files:
        if file.content is None:
            repeated_id = note_unread(partner, file)
            if channel.set_aside(file) and repeated_id is not None:
                again.append(repeated_id)
    if again:
        note_repeats(partner, again)


def store(partner: str, files: Sequence[ReceivedFile]) -> dict[str, int]:
    """Commit the bytes of these files, portion by portion (see conf.portions).

    Bytes that are here already count as a repeat; returns those: file name → row.
    """
    by_digest: dict[bytes, ReceivedFile] = {}
    for file in files:
        # Two copies in one batch: which of them is stored makes no difference, and one statement cannot meet a row twice.
        by_digest.setdefault(hashlib.sha256(file.content or b"").digest(), file)
    repeated: dict[str, int] = {}
    for portion in portions(by_digest.items(), lambda entry: entry[1].size, BATCH):
        with transaction.atomic(), connection.cursor() as cursor:
            # One that was held up until another took over its lane may be storing the same files in another order: a deadlock.
            hold("relay.store", [partner])
            cursor.execute(
                _STORE,
                {
                    "partner": partner,
                    "now": timezone.now(),
                    "names": [printable(file.name)[:255] for _, file in portion],
                    "contents": [file.content for _, file in portion],
                    "digests": [digest for digest, _ in portion],
                },
            )
            again = {by_digest[bytes(digest)].name: row_id for row_id, digest, was_there in cursor.fetchall() if was_there}
        metrics.note_received(partner, new=len(portion) - len(again), again=len(again))
        repeated |= again
    return repeated


@transaction.atomic
def note_unread(partner: str, file: ReceivedFile) -> int | None:
    """Set down in quarantine a file that is put aside unread, and answer REJECTED, or its sender would send it for ever.

    The same file again counts as a repeat; returns its row then.
    """
    now = timezone.now()
    kept_as = printable(file.aside_name)
    noted = InboundMessage.objects.filter(partner=partner, message_type="", state=InboundState.QUARANTINED, kept_as=kept_as)
    if (known := noted.values_list("pk", flat=True).first()) is not None:
        noted.filter(pk=known).update(repeats=F("repeats") + 1, last_seen_at=now)
        return known
    row = InboundMessage(
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
    named = type_and_id(file.name)
    refusal = Answer(row, named[1] if named else None, REJECTED, file.reason_code, file.reason)
    if wants_answer(refusal):
        answer([refusal])
    row.save(force_insert=True)
    metrics.note_quarantined(partner, file.reason_code)
    log.warning("relay_quarantined", partner=partner, file=printable(file.name), code=file.reason_code, reason=file.reason)
    return None


def _lane(partner: str) -> str:
    return f"receive:{partner}"
