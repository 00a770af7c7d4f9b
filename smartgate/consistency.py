"""Filings whose state and messages disagree, for `manage.py check_consistency` (OPS-04).

None of these should ever be there but for the contradiction: a filing and its message change in one transaction. They are looked for
because a restored backup, a bug or a hand in the database can bring them about, and a filing that customs holds must not be lost.
"""

from collections.abc import Sequence
from typing import Final

from relay.consistency import RESEND, SETTLE, SETTLE_NOT, Check
from relay.models import CONTRADICTS_REFUSAL
from smartgate.contents import KEPT_LINE_NAMES
from smartgate.messages import HEADER_CONTENTS, LINE_FIELDS
from smartgate.models import Filing, FilingLine, FilingStatus
from smartgate.states import EDITABLE, HELD, ChangeAnswer, Event

_ABOUT: Final = "filing {trip_no} (SeqNo {data_center_no}, {status})"
_CHANGE: Final = "version {number} ({function}) of " + _ABOUT
#: States that a filing reaches only after its message has arrived.
_BEYOND: Final = [
    status.value
    for status in FilingStatus
    if status not in (FilingStatus.DRAFT, FilingStatus.DECLARED, FilingStatus.RELAY_FAILED, FilingStatus.REJECTED)
]


def _on_the_wire(record: str, fields: Sequence[tuple[str, str]]) -> str:
    """SQL of the elements that `messages.filing_element` makes of values kept as JSON: PostgreSQL need not be able to read XML."""
    return " || ".join(
        f"coalesce('<{wire_name}>' || replace(replace(replace(replace({record} ->> '{name}', '&', '&amp;'), '<', '&lt;'), '>', '&gt;'),"
        f" chr(13), '&#13;') || '</{wire_name}>', '')"
        for wire_name, name in fields
    )


#: What a message says of a version, from its first entered field on; 关区代码 stands among the filing's own numbers before that.
_FIRST: Final = _on_the_wire("change.contents -> 'header'", HEADER_CONTENTS[:1])
_HEAD: Final = _on_the_wire("change.contents -> 'header'", HEADER_CONTENTS[1:])
_ITEM: Final = _on_the_wire("line.fields", [pair for pair in LINE_FIELDS if pair[1] in KEPT_LINE_NAMES])


def _stored(record: str, model: type[Filing] | type[FilingLine], names: "list[str]") -> str:
    """A row's fields as JSON that can be compared with a version's, weights without needless zeros."""
    return "jsonb_strip_nulls(jsonb_build_object(" + ", ".join(f"'{name}', {_text_of(record, model, name)}" for name in names) + "))"


def _text_of(record: str, model: type[Filing] | type[FilingLine], name: str) -> str:
    is_number = model._meta.get_field(name).get_internal_type() == "DecimalField"
    return f"trim_scale({record}.{name})::text" if is_number else f"nullif({record}.{name}, '')"


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
         WHERE filing.status = 'relay_failed' AND receipt.event <> %(rejected)s AND NOT receipt.applied AND NOT receipt.disowned
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
          JOIN smartgate_filing AS filing ON 'smartgate.filing:' || filing.data_center_no = message.subject
         WHERE answer.state = 'quarantined'
           AND (filing.message_id = message.message_id AND NOT (answer.reason_code = %(contradicts)s AND filing.status = 'relay_failed')
                OR EXISTS (
                SELECT 1 FROM smartgate_filingversion AS change
                 WHERE change.filing_id = filing.id AND change.message_id = message.message_id AND change.outcome = 'waiting'))
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
           AND NOT EXISTS (
                SELECT 1 FROM smartgate_filingversion AS change
                 WHERE change.filing_id = filing.id AND change.message_id = message.message_id AND change.outcome = 'waiting')
         ORDER BY filing.id
        """,
        _ABOUT,
        "an earlier message of it, {message_id}, is {state} still, and holds up the present one, {present_id}",
        "ask customs whether it has {message_id}. If so: " + SETTLE + "; if not: " + SETTLE_NOT,
    ),
    Check(
        "smartgate.change_waits",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, change.number, change.function, change.message_id,
               change.asked_at, coalesce(message.state, 'gone') AS state
          FROM smartgate_filingversion AS change JOIN smartgate_filing AS filing ON filing.id = change.filing_id
          LEFT JOIN relay_outboundmessage AS message ON message.message_id = change.message_id
         WHERE change.outcome = 'waiting' AND coalesce(message.state, '') <> 'refused'
           AND change.asked_at < now() - make_interval(hours => %(undecided)s)
         ORDER BY change.id
        """,
        _CHANGE,
        "has waited for customs' answer since {asked_at:%Y-%m-%d %H:%M:%S %Z}; its message {message_id} is {state}",
        "ask customs by SeqNo about this version. It answers again when the message comes again: " + RESEND,
    ),
    Check(
        "smartgate.change_behind_refusal",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, change.number, change.function, change.message_id,
               message.reason_code, coalesce(to_char(change.delivered_at, 'YYYY-MM-DD HH24:MI:SS TZ'), 'never') AS delivered_at
          FROM smartgate_filingversion AS change JOIN smartgate_filing AS filing ON filing.id = change.filing_id
          JOIN relay_outboundmessage AS message ON message.message_id = change.message_id
         WHERE change.outcome = 'waiting' AND message.state = 'refused'
         ORDER BY change.id
        """,
        _CHANGE,
        "its message {message_id} was refused ({reason_code}), and the change waits still; delivered before that: {delivered_at}",
        f"ask customs by SeqNo whether it has this version. If so: {SETTLE}; if not: {RESEND}; or, when it will not take it: {SETTLE_NOT}",
    ),
    Check(
        "smartgate.change_contradiction",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, change.number, change.function, change.message_id,
               string_agg(receipt.event, ', ') AS events
          FROM smartgate_filingversion AS change JOIN smartgate_filing AS filing ON filing.id = change.filing_id
          JOIN smartgate_filingreceipt AS receipt ON receipt.filing_id = filing.id AND receipt.version = change.number
         WHERE change.outcome = 'not_sent' AND receipt.event <> %(rejected)s AND NOT receipt.applied AND NOT receipt.disowned
         GROUP BY filing.id, change.id
        UNION ALL
        SELECT DISTINCT filing.trip_no, filing.data_center_no, filing.status, change.number, change.function, change.message_id,
               receipt.event
          FROM relay_outboundmessage AS message
          JOIN smartgate_filingversion AS change ON change.message_id = message.message_id
          JOIN smartgate_filing AS filing ON filing.id = change.filing_id
          JOIN smartgate_filingreceipt AS receipt ON receipt.filing_id = filing.id AND receipt.version = change.number
         WHERE message.state = 'refused' AND change.outcome = 'rejected'
           AND receipt.event = %(accepted)s AND NOT receipt.applied AND NOT receipt.disowned
        UNION ALL
        SELECT filing.trip_no, filing.data_center_no, filing.status, change.number, change.function, change.message_id,
               answer.message_type
          FROM relay_inboundmessage AS answer
          JOIN relay_outboundmessage AS message ON message.id = answer.original_id
          JOIN smartgate_filingversion AS change ON change.message_id = message.message_id
          JOIN smartgate_filing AS filing ON filing.id = change.filing_id
         WHERE answer.state = 'quarantined' AND answer.reason_code = %(contradicts)s AND change.outcome = 'not_sent'
         ORDER BY trip_no
        """,
        _CHANGE,
        "customs' exchange refused its message {message_id}, and customs has answered it: {events}. Nobody can change or void the filing",
        "ask customs by SeqNo which version it holds. If this one: " + SETTLE + "; if not: " + SETTLE_NOT,
        {"accepted": ChangeAnswer.ACCEPTED.value, "rejected": ChangeAnswer.REJECTED.value, "contradicts": CONTRADICTS_REFUSAL},
    ),
    Check(
        "smartgate.change_accepted_since",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, change.number, change.function, change.message_id,
               max(receipt.event_time) AS accepted_at
          FROM smartgate_filingreceipt AS receipt
          JOIN smartgate_filing AS filing ON filing.id = receipt.filing_id
          JOIN smartgate_filingversion AS change ON change.filing_id = filing.id AND change.number = receipt.version
          LEFT JOIN relay_outboundmessage AS message ON message.message_id = change.message_id
         WHERE receipt.event = %(accepted)s AND NOT receipt.applied AND NOT receipt.disowned AND change.outcome = 'rejected'
           AND coalesce(message.state, '') <> 'refused' AND filing.status = ANY(%(held)s) AND filing.version < change.number
         GROUP BY filing.id, change.id
         ORDER BY change.id
        """,
        _CHANGE,
        "customs has rejected it, and accepted it as well ({accepted_at:%Y-%m-%d %H:%M:%S %Z}); the filing stays as it was",
        "ask customs by SeqNo which version it holds. If this one: " + SETTLE + "; if not, nothing: found until the filing has passed",
        {"accepted": ChangeAnswer.ACCEPTED.value, "held": sorted(HELD)},
    ),
    Check(
        "smartgate.change_not_taken_over",
        """
        SELECT filing.trip_no, filing.data_center_no, filing.status, change.number, change.function, change.message_id,
               filing.version
          FROM smartgate_filingversion AS change JOIN smartgate_filing AS filing ON filing.id = change.filing_id
         WHERE change.outcome = 'accepted' AND filing.version < change.number
         ORDER BY change.id
        """,
        _CHANGE,
        "customs accepted it, and the filing is at version {version} still",
        "nothing by command: find out how it came about (audit trail of the filing) before anything is sent",
    ),
    Check(
        "smartgate.version_contents",
        f"""
        SELECT filing.trip_no, filing.data_center_no, filing.status, change.number, change.function, change.message_id
          FROM smartgate_filingversion AS change JOIN smartgate_filing AS filing ON filing.id = change.filing_id
         WHERE change.number = filing.version AND change.function <> 'DEL' AND filing.status <> ALL(%(editable)s)
           AND (change.message_id <> filing.message_id
                OR change.contents -> 'header' <> {_stored("filing", Filing, [name for _, name in HEADER_CONTENTS])}
                OR change.contents -> 'lines' <> coalesce((
                    SELECT jsonb_agg({_stored("line", FilingLine, list(KEPT_LINE_NAMES))} ORDER BY line.line_no)
                      FROM smartgate_filingline AS line WHERE line.filing_id = filing.id), '[]'::jsonb))
         ORDER BY change.id
        """,  # noqa: S608 - of names of fields, nothing that anybody typed
        _CHANGE,
        "customs holds this version, and the filing's contents are others; its message is {message_id}",
        "nothing by command: find out how it came about (audit trail of the filing); what customs holds is in the message",
        {"editable": sorted(EDITABLE)},
    ),
    Check(
        "smartgate.version_message",
        f"""
        SELECT filing.trip_no, filing.data_center_no, filing.status, change.number, change.function, change.message_id
          FROM smartgate_filingversion AS change JOIN smartgate_filing AS filing ON filing.id = change.filing_id
          JOIN relay_outboundmessage AS message ON message.message_id = change.message_id,
               LATERAL convert_from(message.content, 'UTF8') AS sent
         WHERE message.emptied_at IS NULL
           AND EXISTS (SELECT 1 FROM smartgate_filingversion AS one WHERE one.filing_id = filing.id AND one.function <> 'ADD')
           AND (position('<Function>' || change.function || '</Function><Version>' || change.number || '</Version>'
                         || coalesce('<BaseVersion>' || change.base || '</BaseVersion>', '') || '<Head>' IN sent) = 0
                OR position({_FIRST} || '<OpTime>' IN sent) = 0
                OR position({_HEAD} || '</Head><List>' || coalesce((
                    SELECT string_agg('<Item><GNo>' || line.place || '</GNo>' || {_ITEM} || '</Item>', '' ORDER BY line.place)
                      FROM jsonb_array_elements(change.contents -> 'lines') WITH ORDINALITY AS line (fields, place)), '')
                            || '</List>' IN sent) = 0)
         ORDER BY change.id
        """,  # noqa: S608 - of names of fields, nothing that anybody typed
        _CHANGE,
        "its contents and its message {message_id} disagree",
        "nothing by command: what customs got is in the message; find out how it came about (audit trail of the filing)",
    ),
)
