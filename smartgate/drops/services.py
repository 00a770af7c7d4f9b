"""Taking what other software dropped: each file once, by its message_id, whatever dies in between (docs/adr/0104, 0113).

Claimed, read, stored with its answer in one transaction, answered, moved: what is left after a crash is found again and comes to the
same end.
"""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Enterprise, User
from accounts.rights import Right, Role
from core.codes import CodeOption
from core.directories import NotReadError, names_by_age, read_found
from core.forms.form import EntryForm
from core.forms.page import EntryPage
from relay.channels.base import printable
from relay.envelope import UnreadableMessageError, file_name_of, is_well_formed, read
from smartgate.drops import messages
from smartgate.drops.boxes import Boxes, Claimed
from smartgate.drops.messages import Answered, Draft, FieldError
from smartgate.drops.models import DropFile, DroppedFiling
from smartgate.forms import FilingForm, FilingLineForm
from smartgate.importing.checking import entry_of, kept
from smartgate.importing.workbook import MOST_ROWS
from smartgate.models import FilingStatus
from smartgate.services import HEADER_NAMES, LINE_NAMES, FilingHeader, LineEntry, create_filings
from smartgate.services.filings import violated

log = structlog.get_logger(__name__)

#: Files of one enterprise in one run: nobody waits long behind who drops thousands.
MOST_FILES: Final = 50
#: No file is begun after so many seconds of an enterprise's run: others wait, and so do its own states.
MOST_SECONDS: Final = 20
#: Items of one file, as rows of one workbook: the forms take some seconds for a thousand.
MOST_ITEMS: Final = MOST_ROWS
#: Errors in one answer. Who has more has one and the same everywhere.
MOST_ERRORS: Final = 1000
#: States told in one run.
MOST_STATES: Final = 500
#: A file that is no XML (yet) is looked at again for so long: not every program writes beside and renames.
YOUNG_SECONDS: Final = 60

#: What is wrong with a draft, or what is to be stored of it.
Checked = tuple[list[FieldError], tuple[FilingHeader, list[LineEntry]] | None]


def take_all() -> int:
    """Take what lies in the directories of all enterprises that have one, and tell what became of earlier drafts; gives how many files.

    An enterprise has one when the platform's operator made `<SMARTGATE_DROP_ROOT>/<统一社会信用代码>`. One whose directory is broken keeps
    no other waiting, and one that another worker is at is left to that one.
    """
    count = 0
    for enterprise, boxes in _folders():
        with _reported(enterprise):
            boxes.make()
            with boxes.alone() as is_alone:
                if is_alone:
                    with _reported(enterprise):
                        count += _take_some(enterprise, boxes)
                    with _reported(enterprise):
                        tell(enterprise, boxes)
    return count


def forget_old() -> int:
    """Delete files and empty answers that were kept for SMARTGATE_DROP_KEEP_DAYS (0: for ever); gives how many files.

    Ids and digests stay: a file is taken once for ever, and what became of its drafts goes on being told.
    """
    if not settings.SMARTGATE_DROP_KEEP_DAYS:
        return 0
    kept_for = timedelta(days=settings.SMARTGATE_DROP_KEEP_DAYS)
    DropFile.unscoped.filter(received_at__lt=timezone.now() - kept_for).exclude(answer=b"").update(answer=b"")
    count = 0
    for enterprise, boxes in _folders():
        with _reported(enterprise):
            boxes.make()
            deleted, kept = boxes.forget(kept_for.total_seconds())
            count += deleted
            if kept:
                name, first = kept[0]
                log.warning("drop_not_deleted", enterprise_id=enterprise.pk, count=len(kept), file=printable(name), error=str(first))
    return count


def _folders() -> Iterator[tuple[Enterprise, Boxes]]:
    """Enterprises that have a directory, with theirs."""
    root = settings.SMARTGATE_DROP_ROOT
    if root is None or not root.is_dir():
        return
    homes = {path.name: path for path in root.iterdir() if path.is_dir() and not path.is_symlink()}
    for enterprise in Enterprise.objects.filter(credit_code__in=homes).order_by("pk"):
        yield enterprise, Boxes(homes[enterprise.credit_code])


@contextmanager
def _reported(enterprise: Enterprise) -> Iterator[None]:
    """What goes wrong with a whole directory is the operators' to read, and nobody else's to wait for."""
    try:
        yield
    except Exception as error:
        log.warning("drop_folder_failed", enterprise_id=enterprise.pk, error=str(error), exc_info=not isinstance(error, OSError))


def _take_some(enterprise: Enterprise, boxes: Boxes) -> int:
    """Claim files and take them, then those that failed before, of which there may be half a run; gives how many are through.

    Raises OSError when the directory itself cannot be read; what is wrong with one file is its own.
    """
    until = time.monotonic() + MOST_SECONDS
    due = boxes.due()
    again = [one for one in due if one.tries][: MOST_FILES // 2]
    fresh = [one for one in due if not one.tries]
    errors: list[tuple[str, OSError]] = []
    for name in messages.file_names(names_by_age(boxes.inbox)):
        if len(again) + len(fresh) >= MOST_FILES:
            break
        try:
            if _is_finished(boxes.inbox / name):
                fresh.append(boxes.claim(name))
        except FileNotFoundError:
            continue
        except OSError as error:
            errors.append((name, error))
    if errors:
        name, first = errors[0]
        log.warning("drop_not_taken", enterprise_id=enterprise.pk, count=len(errors), file=printable(name), error=str(first))
    count = 0
    for one in [*fresh, *again]:
        if time.monotonic() > until:
            break
        count += _taken(enterprise, boxes, one)
    return count


def _is_finished(path: Path) -> bool:
    """Whether a file is to be taken as it is: it is XML, or nobody has written on it for a while. Raises OSError."""
    try:
        content, found = read_found(path, settings.RELAY_MAX_MESSAGE_BYTES)
    except NotReadError:
        return True
    return not _is_young(found) or is_well_formed(content)


def _is_young(found: os.stat_result) -> bool:
    # Either way round: a file server's clock may be ahead of ours.
    return abs(time.time() - found.st_mtime) < YOUNG_SECONDS


def _taken(enterprise: Enterprise, boxes: Boxes, one: Claimed) -> bool:
    """`take`, with a file that nobody can digest tried again later and later, behind the others: operators find it in the log."""
    try:
        begun = boxes.begin(one)
    except FileNotFoundError:
        # Another worker has begun with it.
        return False
    except OSError as error:
        log.warning("drop_failed", enterprise_id=enterprise.pk, file=printable(one.name), token=one.token, error=str(error))
        return False
    try:
        return take(enterprise, boxes, begun)
    except Exception as error:
        log.warning(
            "drop_failed",
            enterprise_id=enterprise.pk,
            file=printable(one.name),
            token=one.token,
            tries=begun.tries,
            error=str(error),
            exc_info=not isinstance(error, OSError),
        )
        return False


def take(enterprise: Enterprise, boxes: Boxes, one: Claimed) -> bool:
    """Take one file. Whether it is through; one that is not is left for another look. Raises OSError."""
    try:
        content, found = read_found(boxes.taking / one.file_name, settings.RELAY_MAX_MESSAGE_BYTES)
    except FileNotFoundError:
        return False
    except NotReadError as refusal:
        digest = hashlib.sha256(f"{one.token}-{one.name}".encode(errors="replace")).hexdigest()
        reason = f"{printable(one.name)} {refusal.reason}"
        _refuse(enterprise, boxes, one, refusal.found, digest=digest, code=refusal.code, reason=reason)
        return True
    digest = hashlib.sha256(content).hexdigest()
    try:
        envelope, business = read(content)
    except UnreadableMessageError as error:
        if error.code == "NOT_XML" and _is_young(found):
            return False
        _refuse(enterprise, boxes, one, found, digest=digest, code=error.code, reason=error.reason, message_id=error.message_id)
        return True
    if envelope.message_type != messages.DRAFTS or envelope.sender_id != enterprise.credit_code:
        code, reason = (
            ("UNKNOWN_TYPE", envelope.message_type) if envelope.message_type != messages.DRAFTS else ("WRONG_SENDER", envelope.sender_id)
        )
        _refuse(enterprise, boxes, one, found, digest=digest, code=code, reason=reason, message_id=envelope.message_id)
        return True
    if (items := messages.items_in(business)) > MOST_ITEMS:
        reason = _("文件共有表体 %(items)d 条，一个文件最多 %(most)d 条，整个文件没有导入。请分成几个文件，各用新的报文编号发送。")
        reason %= {"items": items, "most": MOST_ITEMS}
        _refuse(enterprise, boxes, one, found, digest=digest, code="TOO_MANY", reason=reason, message_id=envelope.message_id)
        return True
    try:
        stored = _stored(enterprise, envelope.message_id, digest, messages.parse_drafts(business))
    except IntegrityError as error:
        if violated(error) != "drop_file_once":
            raise
        # Another worker was at it; the next look finds what it stored.
        return False
    if stored.sha256 != digest:
        reason = str(envelope.message_id)
        _refuse(enterprise, boxes, one, found, digest=digest, code="ID_REUSED", reason=reason, message_id=envelope.message_id)
        return True
    boxes.put_answer(file_name_of(messages.ANSWER, envelope.message_id), bytes(stored.answer) or _answer_again(enterprise, stored))
    boxes.put_away(one, boxes.done if stored.is_accepted else boxes.failed, found)
    log.info("drop_taken", enterprise_id=enterprise.pk, file=printable(one.name), is_accepted=stored.is_accepted)
    return True


def _refuse(
    enterprise: Enterprise,
    boxes: Boxes,
    one: Claimed,
    found: os.stat_result,
    *,
    digest: str,
    code: str,
    reason: str,
    message_id: UUID | None = None,
) -> None:
    """Say why a file was not read, and put it with the failed. Nothing is stored: said twice, it says the same."""
    said = messages.answer(
        credit_code=enterprise.credit_code,
        in_reply_to=message_id,
        at=timezone.now(),
        code=code,
        reason=reason,
        key=f"{enterprise.pk}/{digest}/{code}",
    )
    boxes.put_answer(f"{messages.ANSWER}_{digest[:32]}.xml", said)
    boxes.put_away(one, boxes.failed, found)
    log.info("drop_refused", enterprise_id=enterprise.pk, file=printable(one.name), code=code, reason=reason[:200])


def _stored(enterprise: Enterprise, message_id: UUID, digest: str, drafts: list[Draft]) -> DropFile:
    """The file as it is known already, or its drafts stored with its answer: all of them, or with an error in any of them none."""
    # Checked before the transaction: the forms take seconds, and look at code tables only.
    known = _known(enterprise, message_id)
    return known or _store(enterprise, message_id, digest, drafts, _all_checked(drafts))


def _known(enterprise: Enterprise, message_id: UUID) -> DropFile | None:
    known: DropFile | None = DropFile.unscoped.filter(enterprise=enterprise, message_id=message_id).first()
    return known


@transaction.atomic
def _store(enterprise: Enterprise, message_id: UUID, digest: str, drafts: list[Draft], checked: list[Checked]) -> DropFile:
    known = _known(enterprise, message_id)
    if known is not None:
        return known
    now = timezone.now()
    errors = [errors for errors, _entry in checked if errors]
    actor = None if errors else _actor_of(enterprise)
    code, reason = ("", "") if actor is not None else ("INVALID", _("有错误的字段，整个文件没有导入。请改正后用新的报文编号重新发送。"))
    if sum(map(len, errors)) >= MOST_ERRORS:
        reason = _("错误很多，只列出前 %(most)d 处，其余没有检查；整个文件没有导入。请改正后用新的报文编号重新发送。") % {
            "most": MOST_ERRORS
        }
    if actor is None and not errors:
        code, reason = "NO_ACCOUNT", _("企业没有可用的管理员账号，或没有开通智能卡口散杂货应用。")
    filings = create_filings(actor=actor, entries=[entry for _errors, entry in checked if entry], at=now) if actor is not None else []
    answered = [
        Answered(draft.reference, filings[place] if filings else None, errors)
        for place, (draft, (errors, _entry)) in enumerate(zip(drafts, checked, strict=True))
    ]
    answer = messages.answer(
        credit_code=enterprise.credit_code,
        in_reply_to=message_id,
        at=now,
        code=code,
        reason=reason,
        drafts=answered,
        key=f"{enterprise.pk}/{message_id}",
    )
    made: DropFile = DropFile.unscoped.create(
        enterprise=enterprise, message_id=message_id, sha256=digest, received_at=now, is_accepted=not code, answer=answer
    )
    DroppedFiling.unscoped.bulk_create(
        DroppedFiling(enterprise=enterprise, file=made, filing=filing, reference=draft.reference)
        for draft, filing in zip(drafts, filings, strict=False)
    )
    return made


def _answer_again(enterprise: Enterprise, stored: DropFile) -> bytes:
    """The answer to a file whose own was emptied: the same bytes again for stored drafts; what was wrong with the others is gone."""
    dropped = stored.filings.select_related("filing").order_by("pk")
    return messages.answer(
        credit_code=enterprise.credit_code,
        in_reply_to=stored.message_id,
        at=stored.received_at,
        code="" if stored.is_accepted else "REFUSED_BEFORE",
        reason="" if stored.is_accepted else _("该报文以前已被拒绝，错误明细已过保留期。请改正后用新的报文编号重新发送。"),
        drafts=[Answered(one.reference, one.filing) for one in dropped],
        key=f"{enterprise.pk}/{stored.message_id}",
    )


def _all_checked(drafts: list[Draft]) -> list[Checked]:
    """Each of the drafts checked, until there are MOST_ERRORS; those after that are not stored either."""
    checked: list[Checked] = []
    room = MOST_ERRORS
    for draft in drafts:
        errors, entry = _checked(draft) if room else ([], None)
        checked.append((errors[:room], entry))
        room -= len(checked[-1][0])
    return checked


def _checked(draft: Draft) -> Checked:
    """The page's own forms over one draft: what is wrong with it, or what is to be stored."""
    header = FilingForm(draft.header)
    errors = _errors_of(header, 0)
    lines = []
    if len(draft.lines) > EntryPage.max_lines:
        text = _("表体信息不能超过 %(limit)d 条，现有 %(count)d 条。")
        return [*errors, FieldError(0, "", text % {"limit": EntryPage.max_lines, "count": len(draft.lines)})], None
    for number, texts in enumerate(draft.lines, start=1):
        line = FilingLineForm(texts, header=header)
        errors += _errors_of(line, number)
        lines.append(line)
    if errors:
        return errors, None
    return [], entry_of({"header": kept(header, HEADER_NAMES), "lines": [kept(line, LINE_NAMES) for line in lines]})


def _errors_of(form: EntryForm, line: int) -> list[FieldError]:
    names = messages.WIRE_NAMES[line > 0]
    return [
        FieldError(line, "" if name == NON_FIELD_ERRORS else names[name], str(text))
        for name, texts in form.errors.items()
        for text in texts
    ]


def _actor_of(enterprise: Enterprise) -> User | None:
    """In whose name drafts are entered: the enterprise's administrator. Who declares them signs in his own."""
    administrators = User.objects.filter(enterprise=enterprise, role=Role.ENTERPRISE_ADMINISTRATOR, is_active=True).select_related(
        "enterprise"
    )
    return next((user for user in administrators.order_by("pk") if user.has_right(Right.SMARTGATE_EDIT)), None)


def tell(enterprise: Enterprise, boxes: Boxes) -> int:
    """Write what became of the enterprise's drafts since it was told last; gives how many files. Raises OSError."""
    news = DroppedFiling.unscoped.filter(enterprise=enterprise, told__lt=F("changes")).order_by("pk")
    count = 0
    for one in news.select_related("filing").prefetch_related("filing__receipts")[:MOST_STATES]:
        try:
            _tell(enterprise, boxes, one)
        except OSError:
            raise
        except Exception:
            # The others are told; this one again and again, until the cause is gone.
            log.exception("drop_not_told", enterprise_id=enterprise.pk, filing_id=one.filing_id)
        else:
            count += 1
    return count


def _tell(enterprise: Enterprise, boxes: Boxes, one: DroppedFiling) -> None:
    filing = one.filing
    status = (
        CodeOption("deleted", _("已删除"), "")
        if filing.deleted_at
        else CodeOption(filing.status, str(FilingStatus(filing.status).label), "")
    )
    message_id, content = messages.state(
        credit_code=enterprise.credit_code,
        reference=one.reference,
        change=one.changes,
        filing=filing,
        receipts=list(filing.receipts.all()),
        status=status,
    )
    boxes.put_answer(file_name_of(messages.STATE, message_id), content)
    # After the file: told twice it is the same file, never told it would be lost. What has changed since has a higher number.
    DroppedFiling.unscoped.filter(pk=one.pk).update(told=one.changes)
