"""Where records and messages disagree, or something is stuck: checks that only look (OPS-04).

A check is one SELECT over whole tables, so that millions of rows cost one pass and not millions of questions; what it finds is streamed.
All of them see the same moment of the database, in which a record and its message have always changed together: what one of
them finds is no passing state. Applications register theirs in `apps.py` (`register`); relay names none.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from relay.conf import partners

#: What should happen at once and has not for so long is stuck.
LATE_MINUTES: Final = 10
#: What needs a decision of people is told of after so long.
UNDECIDED_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class Check:
    """`sql` gives a row for each finding; `what` and `to_do` are filled in with its columns, `about` names what it is about.

    `parameters` are the statement's. The name is stable: `application.what_is_wrong`.
    """

    name: str
    sql: str
    about: str
    what: str
    to_do: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement: which check, about what, what is wrong, and what the operator is to do."""

    check: str
    about: str
    what: str
    to_do: str


_checks: dict[str, Check] = {}


def register(*checks: Check) -> None:
    """Have `manage.py check_consistency` run these, too. Raises ImproperlyConfigured when a name is taken by another check."""
    for check in checks:
        if _checks.setdefault(check.name, check) is not check:
            raise ImproperlyConfigured(f"two checks are called {check.name}")


def names() -> list[str]:
    """Every check there is, sorted."""
    return sorted(_checks)


@contextmanager
def one_moment() -> Iterator[None]:
    """A transaction in which the database stands still and nothing can be changed; must be the outermost one."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def findings(only: str = "") -> Iterator[Finding]:
    """What the checks find (of one of them, or of all), as it is found. Call it in `one_moment`. Raises KeyError for an unknown name."""
    for check in [_checks[only]] if only else [_checks[name] for name in names()]:
        parameters = {"late": LATE_MINUTES, "undecided": UNDECIDED_HOURS, "partners": list(partners()), **check.parameters}
        # Not held by the client whole, however many rows there are.
        with connection.chunked_cursor() as cursor:
            cursor.execute(check.sql, parameters)
            while rows := cursor.fetchmany(500):
                columns = [column.name for column in cursor.description]
                for row in rows:
                    values = dict(zip(columns, row, strict=True))
                    texts = (text.format(**values) for text in (check.about, check.what, check.to_do))
                    yield Finding(check.name, *texts)


#: Commands as they are to be typed, each up to a semicolon.
RESEND: Final = "manage.py relay_resend {message_id} --yes"
SETTLE: Final = 'manage.py relay_settle {message_id} --delivered --reason "who, when" --yes'
SETTLE_NOT: Final = 'manage.py relay_settle {message_id} --not-delivered --reason "who, when" --yes'
_WORKERS: Final = "see that a worker takes the queue relay, and that beat runs (docs/operations/running.md); it goes on by itself then"
_OUTBOUND: Final = "{message_type} {message_id} to {partner}"
_INBOUND: Final = "inbound {id} ({file_name}) from {partner}"

CHECKS: Final = (
    Check(
        "relay.overdue",
        """
        SELECT due.message_type, due.message_id, due.partner, due.due_at, due.leased_until
          FROM relay_outboundmessage AS due
         WHERE due.finished_at IS NULL AND due.due_at < now() - make_interval(mins => %(late)s)
           AND (due.leased_until IS NULL OR due.leased_until < now() - make_interval(mins => %(late)s))
           AND due.partner = ANY(%(partners)s)
           AND NOT EXISTS (SELECT 1 FROM relay_pause AS pause
                            WHERE pause.resumed_at IS NULL
                              AND pause.partner IN ('', due.partner) AND pause.message_type IN ('', due.message_type))
           AND (due.subject = '' OR NOT EXISTS (
                SELECT 1 FROM relay_outboundmessage AS older
                 WHERE older.partner = due.partner AND older.subject = due.subject AND older.finished_at IS NULL AND older.id < due.id))
         ORDER BY due.id
        """,
        _OUTBOUND,
        "due since {due_at:%Y-%m-%d %H:%M:%S %Z} and not sent; lease: {leased_until}",
        _WORKERS,
    ),
    Check(
        "relay.unread",
        """
        SELECT id, file_name, partner, received_at FROM relay_inboundmessage
         WHERE state = 'received' AND due_at < now() - make_interval(mins => %(late)s) AND partner = ANY(%(partners)s)
         ORDER BY id
        """,
        _INBOUND,
        "stored {received_at:%Y-%m-%d %H:%M:%S %Z} and not read since",
        _WORKERS,
    ),
    Check(
        "relay.unhandled",
        """
        SELECT ready.id, ready.file_name, ready.partner, ready.due_at, ready.attempts, ready.reason_text
          FROM relay_inboundmessage AS ready
         WHERE ready.state = 'ready' AND ready.due_at < now() - make_interval(mins => %(late)s) AND ready.partner = ANY(%(partners)s)
           AND (ready.leased_until IS NULL OR ready.leased_until < now() - make_interval(mins => %(late)s))
           AND (ready.subject = '' OR NOT EXISTS (
                SELECT 1 FROM relay_inboundmessage AS older
                 WHERE older.partner = ready.partner AND older.subject = ready.subject AND older.state = 'ready' AND older.id < ready.id))
         ORDER BY ready.id
        """,
        _INBOUND,
        "due since {due_at:%Y-%m-%d %H:%M:%S %Z} and not handled, tried {attempts} times; {reason_text}",
        _WORKERS,
    ),
    Check(
        "relay.unknown_partner",
        """
        SELECT message_type, message_id, partner FROM relay_outboundmessage
         WHERE finished_at IS NULL AND partner <> ALL(%(partners)s) ORDER BY id
        """,
        _OUTBOUND,
        "waits for a partner that is not configured",
        "put the partner back into RELAY_PARTNERS; or, when it will never get it: " + SETTLE_NOT,
    ),
    Check(
        "relay.no_receipt",
        """
        SELECT message_type, message_id, partner, sent_at, attempts FROM relay_outboundmessage
         WHERE state = 'sent' AND finished_at IS NULL AND needs_receipt AND sent_at < now() - make_interval(hours => %(undecided)s)
         ORDER BY id
        """,
        _OUTBOUND,
        "sent {attempts} times since {sent_at:%Y-%m-%d %H:%M:%S %Z} without a receipt",
        "ask the partner whether it has it. If so, and its receipt will not come: "
        + SETTLE
        + "; if not: manage.py relay_resend {message_id} --yes; "
        "and when it will never take it: " + SETTLE_NOT,
    ),
    Check(
        "relay.undecided",
        """
        SELECT id, file_name, partner, reason_code, received_at FROM relay_inboundmessage
         WHERE state = 'quarantined' AND last_seen_at < now() - make_interval(hours => %(undecided)s) ORDER BY id
        """,
        _INBOUND,
        "in quarantine since {received_at:%Y-%m-%d %H:%M:%S %Z}: {reason_code}",
        "manage.py relay_quarantine show {id}; when the cause was ours and is mended: manage.py relay_quarantine retry {id}; "
        'or, when nobody wants it: manage.py relay_quarantine discard {id} --reason "why"',
    ),
    Check(
        "relay.long_pause",
        """
        SELECT id, coalesce(nullif(partner, ''), 'all') AS partner, coalesce(nullif(message_type, ''), 'all') AS message_type,
               paused_at, paused_by, reason,
               CASE WHEN partner <> '' THEN ' --partner ' || partner ELSE '' END
               || CASE WHEN message_type <> '' THEN ' --type ' || message_type ELSE '' END AS words
          FROM relay_pause WHERE resumed_at IS NULL AND paused_at < now() - make_interval(hours => %(undecided)s) ORDER BY id
        """,
        "pause of partner {partner}, type {message_type}",
        "since {paused_at:%Y-%m-%d %H:%M:%S %Z} by {paused_by}: {reason}",
        "manage.py relay_resume{words}",
    ),
)
