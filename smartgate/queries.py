"""Reads of filings worth a name; always scoped to the reader."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import EvidenceKind, SignatureEvidence
from core import audit
from core.models import AuditEntry
from smartgate.models import Filing, FilingReceipt


def filings_for(user: Any) -> QuerySet[Filing]:
    """The user's filings as the query page shows them; each with `has_receipt`, which decides 查看回执."""
    receipts = FilingReceipt.objects.for_user(user).filter(filing=OuterRef("pk"))
    filings: QuerySet[Filing] = Filing.objects.for_user(user).annotate(has_receipt=Exists(receipts))
    return filings


def last_of(user: Any) -> Filing | None:
    """The filing that the user entered last, if any."""
    found: Filing | None = Filing.objects.for_user(user).filter(created_by=user).order_by("-entered_at", "-id").first()
    return found


def history_of(filing: Filing) -> QuerySet[AuditEntry]:
    """What happened to a filing the user was shown, newest first; refused attempts are for the audit pages."""
    return audit.entries_about(filing).filter(refused=False)[:50]


def signatures_of(user: Any, filing: Filing) -> QuerySet[SignatureEvidence]:
    """Who signed which declaration of a filing, newest first; without what takes room and is only downloaded."""
    found: QuerySet[SignatureEvidence] = SignatureEvidence.objects.for_user(user).filter(kind=EvidenceKind.FILING, subject=filing.subject)
    return found.select_related("signer").defer("text", "signature", "chain").order_by("-version")
