"""Every write to an import. A worker may die anywhere: what it had committed stays, another goes on from there (docs/adr/0103)."""

import hashlib
import time
from bisect import bisect_right
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rights import Right
from core import audit, broker, locks
from core.workflow import ActionRefused
from smartgate.importing import checking, documents, queries, workbook
from smartgate.importing.models import WORKING, Import, ImportedFiling, ImportFile, ImportState, StoredContents
from smartgate.services import create_filings

log = structlog.get_logger(__name__)

#: Workbooks of one enterprise that are kept at once; with files of IMPORT_MAX_BYTES that bounds what it can fill.
MOST_KEPT: Final = 100
#: Filings of one transaction: some hundred milliseconds, and what a worker that dies has to do again.
PORTION: Final = 200
#: A worker that has not reported for so long is thought dead. A portion takes a second, marking ten thousand rows half a minute.
LEASE: Final = timedelta(seconds=180)
#: A check takes half a minute for MOST_ROWS; one that takes so long is of a file made to take for ever.
MOST_TIME: Final = timedelta(minutes=10)
#: Ten in every row: whoever has more has made the same mistake all over the sheet, and needs to be told once.
MOST_PROBLEMS: Final = 100_000
#: A workbook that has brought down so many workers is not tried again.
MOST_ATTEMPTS: Final = 3


class LeaseLostError(Exception):
    """Another worker has taken the import over."""


def upload(*, actor: User, file_name: str, content: bytes) -> Import:
    """Keep a workbook, to be checked by a worker. Nothing of it becomes a filing before `store`. Raises ActionRefused."""
    enterprise = actor.enterprise
    if enterprise is None:
        raise ActionRefused(_("当前账号不属于任何企业，不能录入单据。"))
    now = timezone.now()
    with transaction.atomic():
        # Two who upload at once are counted one after the other.
        locks.hold("smartgate.import", [str(enterprise.pk)])
        if Import.unscoped.filter(enterprise=enterprise).count() >= MOST_KEPT:
            raise ActionRefused(_("本企业保留的导入文件已达 %(most)s 个。请先删除不再需要的，再上传。") % {"most": MOST_KEPT})
        made: Import = Import.unscoped.create(
            enterprise=enterprise,
            created_by=actor,
            created_at=now,
            expires_at=now + timedelta(days=settings.IMPORT_KEEP_DAYS),
            file_name=file_name[-200:],
            sha256=hashlib.sha256(content).hexdigest(),
        )
        ImportFile.unscoped.create(enterprise=enterprise, upload=made, content=content)
        audit.record(
            action="smartgate.import.upload",
            obj=made,
            actor=actor,
            enterprise_id=enterprise.pk,
            after={"file_name": made.file_name, "sha256": made.sha256},
        )
        transaction.on_commit(lambda: _wake(made.pk))
    return made


def store(*, actor: User, import_id: int, doubles: int = 0) -> Import:
    """暂存全部: have a worker store all filings without errors as drafts. Asked twice it is done once.

    Raises Import.DoesNotExist when it is not the actor's, ActionRefused while it is not checked or holds nothing to store, or when more
    filings would be there twice than the `doubles` that the actor was told of.
    """
    known: Import = Import.objects.for_user(actor).get(pk=import_id)
    with transaction.atomic():
        # Of two with the same contents that are stored at once, the second sees the first.
        locks.hold("smartgate.import", [str(known.enterprise_id)])
        one: Import = Import.unscoped.select_for_update(of=("self",)).get(pk=known.pk)
        if one.state in (ImportState.STORING, ImportState.STORED):
            return one
        if one.state != ImportState.CHECKED or not one.good_count:
            raise ActionRefused(_("该文件没有可以暂存的单据。请改正错误后重新上传。"))
        if (count := len(queries.rows_doubled(actor, one))) > doubles:
            raise ActionRefused(
                _("还没有暂存：有 %(count)s 票与已暂存或正在暂存的单据内容完全相同。请核对后再决定是否仍要暂存。") % {"count": count}
            )
        one.state, one.stored_by, one.progress, one.attempts = ImportState.STORING, actor, 0, 0
        one.lease = one.lease_until = None
        # Not lost while it is being worked on, or wanted for declaring.
        one.expires_at = timezone.now() + timedelta(days=settings.IMPORT_KEEP_DAYS)
        one.save(update_fields=["state", "stored_by", "progress", "attempts", "lease", "lease_until", "expires_at"])
        transaction.on_commit(lambda: _wake(one.pk))
    return one


def delete(*, actor: User, import_id: int) -> None:
    """Throw a workbook away; filings that were stored from it stay. Raises Import.DoesNotExist, ActionRefused while it is being stored."""
    known: Import = Import.objects.for_user(actor).get(pk=import_id)
    with transaction.atomic():
        one: Import = Import.unscoped.select_for_update(of=("self",)).get(pk=known.pk)
        if one.state == ImportState.STORING:
            raise ActionRefused(_("正在暂存，不能删除。请等暂存完成。"))
        audit.record(
            action="smartgate.import.delete", obj=one, actor=actor, enterprise_id=one.enterprise_id, before={"file_name": one.file_name}
        )
        one.delete()


def forget_expired() -> int:
    """Delete what nobody wanted in time, with its files; gives how many. Filings that were stored from it stay."""
    expired = Import.unscoped.filter(expires_at__lt=timezone.now()).exclude(state=ImportState.STORING)
    count = 0
    for pk in list(expired.values_list("pk", flat=True)):
        # One by one: each takes megabytes with it.
        count += bool(expired.filter(pk=pk).delete()[0])
    return count


# -- What workers do ------------------------------------------------------------------------------


def waiting() -> list[int]:
    """Imports with something to do that no worker is at: nobody was woken for them, or whoever was has died."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=timezone.now())
    return list(Import.unscoped.filter(free, state__in=WORKING).order_by("pk").values_list("pk", flat=True)[:20])


def work(import_id: int) -> bool:
    """Do what there is to do for an import, from where the last worker got. Whether there was anything; nothing while another is at it."""
    lease = uuid4()
    now = timezone.now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    if not Import.unscoped.filter(free, pk=import_id, state__in=WORKING).update(lease=lease, lease_until=now + LEASE):
        return False
    one: Import = Import.unscoped.get(pk=import_id)
    try:
        if one.attempts >= MOST_ATTEMPTS:
            _give_up(one, lease)
        else:
            # Counted before, so that one that kills its worker is counted, too.
            _update(import_id, lease, attempts=one.attempts + 1)
            (_check if one.state == ImportState.CHECKING else _store)(one, lease)
    except LeaseLostError:
        log.info("import_lease_lost", import_id=import_id)
    except ActionRefused as refusal:
        _finish(import_id, lease, state=ImportState.CHECKED, notes=[*one.notes, str(refusal)])
    except Exception:
        # Free for the next try at once.
        Import.unscoped.filter(pk=import_id, lease=lease).update(lease=None, lease_until=None)
        raise
    return True


def _give_up(one: Import, lease: UUID) -> None:
    if one.state == ImportState.CHECKING:
        _finish(
            one.pk,
            lease,
            state=ImportState.REFUSED,
            refusal=_("多次尝试后仍未能检查完该文件。请拆成几个文件，或把数据复制到新下载的模板中再上传。"),
        )
    else:
        text = _("多次尝试后仍未能全部暂存，已暂存的单据可在“查询”中看到。请再点“暂存全部”继续；仍不行请联系平台客服。")
        _finish(one.pk, lease, state=ImportState.CHECKED, notes=[*one.notes, text])


def _check(one: Import, lease: UUID) -> None:
    content = bytes(ImportFile.unscoped.only("content").get(upload=one).content)
    with transaction.atomic():
        _update(one.pk, lease)
        # Of a worker that died.
        ImportedFiling.unscoped.filter(upload=one).delete()
    good = bad = rows = problem_count = 0
    portion: list[checking.CheckedFiling] = []
    problems: list[list[Any]] = []
    alive = _keeping(one.pk, lease)
    try:
        with workbook.opened(content, alive) as sheet:
            for found in checking.filings_in(sheet):
                portion.append(found)
                rows += found.rows
                good, bad = (good + 1, bad) if found.contents else (good, bad + 1)
                problem_count += len(found.problems)
                problems += [problem.as_list() for problem in found.problems]
                if problem_count > MOST_PROBLEMS:
                    raise workbook.WorkbookRefused(_too_many(problems[0]))
                if len(portion) == PORTION:
                    _keep(one, lease, portion, good + bad - len(portion), rows)
                    portion = []
            _keep(one, lease, portion, good + bad - len(portion), rows)
            notes, headings = sheet.notes, sheet.headings
        if unknown := workbook.unknown_headings(headings):
            notes.append(_("“%(columns)s”列不是模板的列，没有读取。") % {"columns": _("、").join(unknown)})
        if not rows:
            raise workbook.WorkbookRefused(_("列名下面没有数据。请从第 2 行起填写后再上传。"))
        marked = b""
        if problems:
            with workbook.opened(content, alive) as again:
                marked = documents.marked(again, problems)
    except workbook.WorkbookRefused as refusal:
        with transaction.atomic():
            ImportedFiling.unscoped.filter(upload=one).delete()
            _finish(one.pk, lease, state=ImportState.REFUSED, refusal=str(refusal)[:1000])
        return
    with transaction.atomic():
        # First: it locks the row, and tells whether it is still ours.
        _finish(
            one.pk,
            lease,
            state=ImportState.CHECKED,
            headings=headings,
            notes=notes,
            row_count=rows,
            good_count=good,
            bad_count=bad,
            problem_count=problem_count,
            progress=rows,
        )
        ImportFile.unscoped.filter(upload=one).update(marked=marked)


def _too_many(first: list[Any]) -> str:
    row, _place, heading, message = first
    return _("错误超过 %(most)s 处，已停止检查。多半是同一个错误重复出现，如第 %(row)s 行%(heading)s：%(message)s请改正后再上传。") % {
        "most": MOST_PROBLEMS,
        "row": row,
        "heading": f"“{heading}”" if heading else "",
        "message": message,
    }


def _keeping(import_id: int, lease: UUID) -> Callable[[], None]:
    """To be called again and again while the workbook is read: holds the import longer in time. Raises LeaseLostError, WorkbookRefused."""
    begun = told = time.monotonic()

    def alive() -> None:
        nonlocal told
        now = time.monotonic()
        if now - begun > MOST_TIME.total_seconds():
            raise workbook.WorkbookRefused(
                _("检查用了 %(minutes)s 分钟还没有完成，已停止。请拆成几个文件，或把数据复制到新下载的模板中再上传。")
                % {"minutes": MOST_TIME.seconds // 60}
            )
        if now - told > LEASE.total_seconds() / 3:
            told = now
            _update(import_id, lease)

    return alive


def _keep(one: Import, lease: UUID, portion: list[checking.CheckedFiling], start: int, rows: int) -> None:
    with transaction.atomic():
        _update(one.pk, lease, progress=rows)
        ImportedFiling.unscoped.bulk_create(
            ImportedFiling(
                enterprise_id=one.enterprise_id,
                upload=one,
                position=position,
                row=found.row,
                contents=found.contents,
                digest=checking.digest_of(found.contents),
                problems=[problem.as_list() for problem in found.problems],
            )
            for position, found in enumerate(portion, start=start)
        )


def _store(one: Import, lease: UUID) -> None:
    assert one.stored_by_id is not None  # noqa: S101 - `store` says who
    if one.bad_count:
        _leave_the_wrong_ones(one, lease)
    actor: User = User.objects.select_related("enterprise").get(pk=one.stored_by_id)
    if not (actor.is_active and actor.enterprise_id == one.enterprise_id and actor.has_right(Right.SMARTGATE_EDIT)):
        raise ActionRefused(_("暂存没有完成：发起人的账号已不能录入本企业的单据。请由其他人再次暂存。"))
    while _store_portion(one, lease, actor):
        pass


def _leave_the_wrong_ones(one: Import, lease: UUID) -> None:
    """Before the first draft is stored: from now on the marked workbook has only what is not, so that nobody sends all of it again."""
    content = bytes(ImportFile.unscoped.only("content").get(upload=one).content)
    filings = list(ImportedFiling.unscoped.filter(upload=one).order_by("position").values_list("row", "problems"))
    firsts = [row for row, _problems in filings]
    try:
        with workbook.opened(content, _keeping(one.pk, lease)) as sheet:
            marked = documents.marked(
                sheet,
                (problem for _row, problems in filings for problem in problems),
                lambda row: bool(filings[bisect_right(firsts, row) - 1][1]),
            )
    except workbook.WorkbookRefused:
        # It could be read when it was checked. Better none than one that doubles what is stored now.
        log.warning("import_not_read_again", import_id=one.pk)
        marked = b""
    with transaction.atomic():
        _update(one.pk, lease)
        ImportFile.unscoped.filter(upload=one).update(marked=marked)


def _store_portion(one: Import, lease: UUID, actor: User) -> bool:
    """The next drafts, with their numbers and audit entries, in one transaction with the mark that they are stored. Whether more follow."""
    with transaction.atomic():
        _update(one.pk, lease)
        todo = list(ImportedFiling.unscoped.filter(upload=one, contents__isnull=False, filing__isnull=True).order_by("position")[:PORTION])
        if not todo:
            _finish(one.pk, lease, state=ImportState.STORED, stored_at=timezone.now(), progress=one.good_count)
            audit.record(
                action="smartgate.import.store",
                obj=one,
                actor=actor,
                enterprise_id=one.enterprise_id,
                after={"file_name": one.file_name, "stored": one.good_count},
            )
            return False
        filings = create_filings(actor=actor, entries=[checking.entry_of(row.contents) for row in todo if row.contents is not None])
        for row, filing in zip(todo, filings, strict=True):
            row.filing = filing
        ImportedFiling.unscoped.bulk_update(todo, ["filing"])
        StoredContents.unscoped.bulk_create(
            StoredContents(enterprise_id=one.enterprise_id, digest=row.digest, filing=filing)
            for row, filing in zip(todo, filings, strict=True)
            if row.digest
        )
        done = ImportedFiling.unscoped.filter(upload=one, filing__isnull=False).count()
        _update(one.pk, lease, progress=done)
    return True


def _update(import_id: int, lease: UUID, **values: Any) -> None:
    """Change an import that this worker holds, and hold it longer. Locks its row. Raises LeaseLostError."""
    held = Import.unscoped.filter(pk=import_id, lease=lease)
    if not held.update(lease_until=timezone.now() + LEASE, **values):
        raise LeaseLostError


def _finish(import_id: int, lease: UUID, **values: Any) -> None:
    """The same for the last time."""
    if not Import.unscoped.filter(pk=import_id, lease=lease).update(lease=None, lease_until=None, attempts=0, **values):
        raise LeaseLostError


def _wake(import_id: int) -> None:
    from smartgate.tasks import work_on_import

    broker.wake(work_on_import, [import_id])
