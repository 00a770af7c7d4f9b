"""Every write to a batch. A filing is declared by `declare_filing`, as from its own page, in a transaction of its own."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services.card_signing import CardRefused, Presented
from accounts.signatures.sources import asked_once
from core.workflow import ActionRefused
from smartgate import states
from smartgate.batches.models import Batch, BatchItem
from smartgate.importing.models import Import, ImportState
from smartgate.models import Filing
from smartgate.services import declare_filing


def from_import(*, actor: User, import_id: int) -> Batch:
    """The batch of the filings that a workbook became; the same one however often it is asked for.

    Filings that have been declared meanwhile, or deleted, are left out. Raises Import.DoesNotExist when it is not the actor's,
    ActionRefused while it is not stored, and where nothing of it is left.
    """
    known: Import = Import.objects.for_user(actor).get(pk=import_id)
    with transaction.atomic():
        upload: Import = Import.unscoped.select_for_update(of=("self",)).get(pk=known.pk)
        made = Batch.unscoped.filter(upload=upload).first()
        if made is not None:
            return made
        if upload.state != ImportState.STORED:
            raise ActionRefused(_("请先暂存该文件的单据，再批量申报。"))
        stored = upload.filings.filter(filing__isnull=False).order_by("position")
        filings = _declarable(actor, list(stored.values_list("filing_id", flat=True)))
        if not filings:
            raise ActionRefused(_("该文件的单据都已申报或删除，没有可以申报的单据。"))
        return _create(actor, filings, upload)


def from_filings(*, actor: User, filing_ids: Sequence[int]) -> Batch:
    """A batch of filings that the actor ticked; those that may not be declared are left out. Raises ActionRefused when none is left."""
    filings = _declarable(actor, filing_ids)
    if not filings:
        raise ActionRefused(_("请先勾选要申报的单据。"))
    with transaction.atomic():
        return _create(actor, filings, None)


def _declarable(actor: User, ids: Sequence[int]) -> list[Filing]:
    """Those of the actor's that may be declared, each once, in the order asked for."""
    found = Filing.objects.for_user(actor).filter(status__in=states.DECLARE.states).in_bulk(ids)
    return [found[pk] for pk in dict.fromkeys(ids) if pk in found]


def _create(actor: User, filings: Sequence[Filing], upload: Import | None) -> Batch:
    assert actor.enterprise_id is not None  # noqa: S101 - whoever reached a record of an enterprise belongs to it
    batch: Batch = Batch.unscoped.create(enterprise_id=actor.enterprise_id, created_by=actor, created_at=timezone.now(), upload=upload)
    BatchItem.unscoped.bulk_create(
        [
            BatchItem(enterprise_id=batch.enterprise_id, batch=batch, filing=filing, position=position, version=filing.version)
            for position, filing in enumerate(filings)
        ],
        batch_size=1000,
    )
    return batch


@dataclass(frozen=True, slots=True)
class Sent:
    """One item as a page sends it: the `lock_version` of its filing as it was shown, and what the card made of its text, if any."""

    item_id: int
    lock_version: int
    presented: Presented | None = None


def declare_items(*, actor: User, batch: Batch, sent: Sequence[Sent], seconds: float) -> tuple[list[BatchItem], str]:
    """Declare filings of a batch, one after the other, each in a transaction of its own, and remember why one was refused.

    Gives what became of them, in their order, and why the card was refused, "" where it was not: then the others would fare no better, and
    they are as they were. After so many seconds the rest is left to the next call. One that is declared already stays as it is.
    Raises BatchItem.DoesNotExist, before anything is declared, where one of them is not in the batch.
    """
    items = batch.items.select_related("filing").in_bulk([one.item_id for one in sent])
    if any(one.item_id not in items for one in sent):
        raise BatchItem.DoesNotExist
    until = time.monotonic() + seconds
    done: list[BatchItem] = []
    with asked_once():
        for one in sent:
            try:
                done.append(_declare(actor, items[one.item_id], one))
            except CardRefused as refusal:
                return done, str(refusal)
            if time.monotonic() > until:
                break
    return done, ""


def _declare(actor: User, item: BatchItem, sent: Sent) -> BatchItem:
    if item.is_declared:
        return item
    reason = ""
    try:
        item.filing = declare_filing(actor=actor, filing_id=item.filing_id, lock_version=sent.lock_version, presented=sent.presented)
    except CardRefused:
        raise
    except Filing.DoesNotExist:
        reason = _("单据已被删除。")
    except ActionRefused as refusal:
        reason = str(refusal)
    if reason != item.reason:
        item.reason = reason[:1000]
        item.save(update_fields=["reason"])
    if reason:
        # What the filing says counts: another tab may have declared it, which is what this one was refused for.
        item.filing = Filing.unscoped.get(pk=item.filing_id)
    return item


def forget_old() -> None:
    """Delete batches of long ago. Their filings stay, and say themselves what became of them."""
    Batch.unscoped.filter(created_at__lt=timezone.now() - timedelta(days=settings.IMPORT_KEEP_DAYS)).delete()
