"""Every write to a filing: what a user does with it and what customs says of it.

Each function is one transaction: lock the row, check the state, change, audit, queue the message. It can be called again
after a crash: what was committed stays, what was not never happened.
"""

from core.workflow import ActionRefused
from smartgate.services.answers import ReceiptNumberReusedError, apply_receipt, mark_relay_refused, mark_relayed
from smartgate.services.changing import (
    amendment_text,
    discard_amendment,
    require_may_ask,
    save_amendment,
    send_amendment,
    send_void,
    void_text,
)
from smartgate.services.declaring import FilingInvalid, declare_filing, text_to_sign, texts_to_sign
from smartgate.services.filings import (
    DATA_CENTER_SEQUENCE,
    HEADER_NAMES,
    LINE_NAMES,
    TRIP_SEQUENCE,
    EntryAlreadyDeclared,
    FilingChanged,
    FilingHeader,
    LineEntry,
    card_part,
    create_filings,
    delete_filing,
    header_values,
    line_values,
    operator_of,
    save_filing,
    snapshot,
)

__all__ = [
    "DATA_CENTER_SEQUENCE",
    "HEADER_NAMES",
    "LINE_NAMES",
    "TRIP_SEQUENCE",
    "ActionRefused",
    "EntryAlreadyDeclared",
    "FilingChanged",
    "FilingHeader",
    "FilingInvalid",
    "LineEntry",
    "ReceiptNumberReusedError",
    "amendment_text",
    "apply_receipt",
    "card_part",
    "create_filings",
    "declare_filing",
    "delete_filing",
    "discard_amendment",
    "header_values",
    "line_values",
    "mark_relay_refused",
    "mark_relayed",
    "operator_of",
    "require_may_ask",
    "save_amendment",
    "save_filing",
    "send_amendment",
    "send_void",
    "snapshot",
    "text_to_sign",
    "texts_to_sign",
    "void_text",
]
