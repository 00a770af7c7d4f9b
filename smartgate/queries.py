"""Reads of filings worth a name; always scoped to the reader."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import EvidenceKind, SignatureEvidence
from core import audit
from core.models import AuditEntry
from smartgate.models import Filing, FilingReceipt, FilingVersion, Outcome


def filings_for(user: Any) -> QuerySet[Filing]:
    """The user's filings as the query page shows them; each with `has_receipt`, which decides 查看回执, and `is_changing`, which keeps
    变更 and 删单 from being offered while customs owes the answer to one."""
    receipts = FilingReceipt.objects.for_user(user).filter(filing=OuterRef("pk"))
    changes = FilingVersion.objects.for_user(user).filter(filing=OuterRef("pk"), outcome=Outcome.WAITING)
    filings: QuerySet[Filing] = Filing.objects.for_user(user).annotate(has_receipt=Exists(receipts), is_changing=Exists(changes))
    return filings


def last_of(user: Any) -> Filing | None:
    """The filing that the user entered last, if any."""
    found: Filing | None = Filing.objects.for_user(user).filter(created_by=user).order_by("-entered_at", "-id").first()
    return found


def was_deleted(user: Any, pk: int) -> bool:
    """Whether this was a filing of the user's that is deleted."""
    return bool(Filing.objects.deleted_for(user).filter(pk=pk).exists())


def versions_of(user: Any, filing: Filing) -> list[FilingVersion]:
    """What was sent of a filing, newest first; the contents of each only where they are looked at."""
    found = FilingVersion.objects.for_user(user).filter(filing=filing, number__isnull=False).defer("contents")
    return list(found.select_related("asked_by").order_by("-number"))


def draft_of(user: Any, filing: Filing) -> FilingVersion | None:
    """The 变更 of a filing that was stored and not sent, if any."""
    found: FilingVersion | None = (
        FilingVersion.objects.for_user(user).filter(filing=filing, outcome=Outcome.DRAFT).select_related("asked_by").first()
    )
    return found


def history_of(filing: Filing) -> QuerySet[AuditEntry]:
    """What happened to a filing the user was shown, newest first; refused attempts are for the audit pages."""
    return audit.entries_about(filing).filter(refused=False)[:50]


def signatures_of(user: Any, filing: Filing) -> QuerySet[SignatureEvidence]:
    """Who signed which declaration of a filing, newest first; without what takes room and is only downloaded."""
    found: QuerySet[SignatureEvidence] = SignatureEvidence.objects.for_user(user).filter(kind=EvidenceKind.FILING, subject=filing.subject)
    return found.select_related("signer").defer("text", "signature", "chain").order_by("-version")
