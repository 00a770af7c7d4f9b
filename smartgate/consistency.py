"""Filings whose state and messages disagree, for `manage.py check_consistency` (OPS-04).

None of these should ever be there but for the contradiction: a filing and its message change in one transaction. They are looked for
because a restored backup, a bug or a hand in the database can bring them about, and a filing that customs holds must not be lost.
"""

from typing import Final

from relay.consistency import RESEND, SETTLE, SETTLE_NOT, Check
from relay.models import CONTRADICTS_REFUSAL
from smartgate.models import FilingStatus
from smartgate.states import Event

_ABOUT: Final = "filing {trip_no} (SeqNo {data_center_no}, {status})"
#: States that a filing reaches only after its message has arrived.
_BEYOND: Final = [
    status.value
    for status in FilingStatus
    if status not in (FilingStatus.DRAFT, FilingStatus.DECLARED, FilingStatus.RELAY_FAILED, FilingStatus.REJECTED)
]

CHECKS: Final = (
    Check(
        "smartgate.no_message",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, filing.message_id
          FROM smartgate_filing AS filing LEFT JOIN relay_outboundmessage AS message ON message.message_id = filing.message_id
         WHERE filing.status <> 'draft' AND message.id IS NULL
         ORDER BY filing.id
        """,
        _ABOUT,
        "declared, but its message {message_id} is not there: it is not known whether customs has it",
        "ask customs by SeqNo; look for the message in a backup. Do not let it be declared again before that",
    ),
    Check(
        "smartgate.wrong_message",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, message.message_id, message.subject, message.enterprise_id
          FROM smartgate_filing AS filing JOIN relay_outboundmessage AS message ON message.message_id = filing.message_id
         WHERE message.subject <> 'smartgate.filing:' || filing.data_center_no OR message.message_type <> 'SGW101'
            OR message.enterprise_id IS DISTINCT FROM filing.enterprise_id
         ORDER BY filing.id
        """,
        _ABOUT,
        "its message {message_id} is about {subject} of enterprise {enterprise_id}",
        "nothing by command: find out how it came about (audit trail of the filing) before anything is sent",
    ),
    Check(
        "smartgate.behind_delivery",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, message.message_id, message.finished_at
          FROM smartgate_filing AS filing JOIN relay_outboundmessage AS message ON message.message_id = filing.message_id
         WHERE filing.status IN ('declared', 'relay_failed') AND filing.deleted_at IS NULL AND message.state = 'delivered'
         ORDER BY filing.id
        """,
        _ABOUT,
        "its message {message_id} was delivered {finished_at:%Y-%m-%d %H:%M:%S %Z}, and the filing does not know",
        SETTLE,
    ),
    Check(
        "smartgate.behind_refusal",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, message.message_id, message.reason_code
          FROM smartgate_filing AS filing JOIN relay_outboundmessage AS message ON message.message_id = filing.message_id
         WHERE filing.status = 'declared' AND message.state = 'refused'
         ORDER BY filing.id
        """,
        _ABOUT,
        "its message {message_id} was refused ({reason_code}), and the filing does not know",
        "send it once more: " + RESEND + "; or, when customs will not take it: " + SETTLE_NOT,
    ),
    Check(
        "smartgate.ahead",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, message.message_id, message.state
          FROM smartgate_filing AS filing JOIN relay_outboundmessage AS message ON message.message_id = filing.message_id
         WHERE filing.status = ANY(%(beyond)s)
           AND (message.state = 'refused' OR message.state <> 'delivered' AND NOT EXISTS (
                SELECT 1 FROM relay_inboundmessage AS reply
                 WHERE reply.original_id = message.id AND reply.state IN ('ready', 'handled')))
         ORDER BY filing.id
        """,
        _ABOUT,
        "customs has it by its state, but its message {message_id} is {state} without any receipt",
        "ask customs by SeqNo whether it holds the filing. If so: " + SETTLE + "; if not: " + RESEND,
        {"beyond": _BEYOND},
    ),
    Check(
        "smartgate.contradiction",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, filing.message_id, string_agg(receipt.event, ', ') AS events
          FROM smartgate_filing AS filing
          JOIN smartgate_filingreceipt AS receipt ON receipt.filing_id = filing.id AND receipt.version = filing.version
         WHERE filing.status = 'relay_failed' AND receipt.event <> %(rejected)s AND NOT receipt.disowned
         GROUP BY filing.id
        UNION ALL
        SELECT filing.trip_no, filing.data_center_no, filing.status, filing.message_id, answer.message_type
          FROM relay_inboundmessage AS answer
          JOIN relay_outboundmessage AS message ON message.id = answer.original_id
          JOIN smartgate_filing AS filing ON filing.message_id = message.message_id
         WHERE answer.state = 'quarantined' AND answer.reason_code = %(contradicts)s AND filing.status = 'relay_failed'
         ORDER BY trip_no
        """,
        _ABOUT,
        "customs' exchange refused its message {message_id}, and customs has answered it: {events}. Nobody can declare or delete it",
        "ask customs by SeqNo whether it holds the filing. If so: " + SETTLE + "; if not: " + SETTLE_NOT,
        {"rejected": Event.REJECTED.value, "contradicts": CONTRADICTS_REFUSAL},
    ),
    Check(
        "smartgate.answer_set_aside",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, answer.id AS inbound_id, answer.reason_code
          FROM relay_inboundmessage AS answer
          JOIN relay_outboundmessage AS message ON message.id = answer.original_id
          JOIN smartgate_filing AS filing ON filing.message_id = message.message_id
         WHERE answer.state = 'quarantined' AND NOT (answer.reason_code = %(contradicts)s AND filing.status = 'relay_failed')
         ORDER BY filing.id, answer.id
        """,
        _ABOUT,
        "an answer to it is in quarantine: inbound {inbound_id}, {reason_code}",
        "manage.py relay_quarantine show {inbound_id}; when the cause was ours and is mended: "
        "manage.py relay_quarantine retry {inbound_id}; "
        'or, when customs says that it is void: manage.py relay_quarantine discard {inbound_id} --reason "why"',
        {"contradicts": CONTRADICTS_REFUSAL},
    ),
    Check(
        "smartgate.superseded",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, message.message_id, filing.message_id AS present_id, message.state
          FROM relay_outboundmessage AS message
          JOIN smartgate_filing AS filing ON 'smartgate.filing:' || filing.data_center_no = message.subject
         WHERE message.finished_at IS NULL AND filing.message_id IS DISTINCT FROM message.message_id
         ORDER BY filing.id
        """,
        _ABOUT,
        "an earlier message of it, {message_id}, is {state} still, and holds up the present one, {present_id}",
        "ask customs whether it has {message_id}. If so: " + SETTLE + "; if not: " + SETTLE_NOT,
    ),
)
