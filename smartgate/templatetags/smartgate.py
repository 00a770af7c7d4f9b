"""Names of events as users read them."""

from django import template

from core.models import AuditEntry
from smartgate.models import FilingStatus
from smartgate.states import AUDIT_LABELS, RECEIPT_LABELS

register = template.Library()


@register.filter
def receipt_event(event: str) -> str:
    """What a receipt says, in the manual's words; a word of customs that the portal does not know as it is."""
    return str(RECEIPT_LABELS.get(event, event))


@register.filter
def filing_event(entry: AuditEntry) -> str:
    """What an entry of a filing's history tells: the action, or the state that it led to."""
    name = entry.action.rpartition(".")[2]
    if name in AUDIT_LABELS:
        return str(AUDIT_LABELS[name])
    status = (entry.after or {}).get("status", "")
    return str(FilingStatus(status).label) if status in FilingStatus.values else entry.action
