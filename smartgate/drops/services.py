"""Taking what other software dropped: each file once, by its message_id, whatever dies in between (docs/adr/0104).

Read, stored with its answer in one transaction, answered, moved: what is left after a crash is found again and comes to the same end.
"""

import hashlib
import secrets
import time
from pathlib import Path
from typing import Final
from uuid import UUID

import structlog
from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS
from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Enterprise, User
from accounts.rights import Right, Role
from core.codes import CodeOption
from core.directories import NotReadError, flush, names_by_age, read_plain, write_whole
from core.forms.form import EntryForm
from core.forms.page import EntryPage
from relay.channels.base import printable
from relay.envelope import UnreadableMessageError, file_name_of, read
from smartgate.drops import messages
from smartgate.drops.messages import Answered, Draft, FieldError
from smartgate.drops.models import DropFile, DroppedFiling
from smartgate.forms import FilingForm, FilingLineForm
from smartgate.importing.checking import entry_of, kept
from smartgate.models import FilingStatus
from smartgate.services import HEADER_NAMES, LINE_NAMES, FilingHeader, LineEntry, create_filings
from smartgate.services.filings import violated

log = structlog.get_logger(__name__)

BOXES: Final = ("in", "done", "failed", "answers")
#: Files of one enterprise in one run: nobody waits long behind who drops thousands.
MOST_FILES: Final = 50
#: States told in one run.
MOST_STATES: Final = 500
#: A file that is no XML (yet) is looked at again for so long: not every program writes beside and renames.
YOUNG_SECONDS: Final = 60


class Boxes:
    """The directories of one enterprise."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.inbox, self.done, self.failed, self.answers = (home / name for name in BOXES)
        self.writing = self.answers / ".writing"

    def make(self) -> None:
        """Have all of them there."""
        for box in (self.inbox, self.done, self.failed, self.writing):
            box.mkdir(parents=True, exist_ok=True)

    def put_answer(self, name: str, content: bytes) -> None:
        """A file in `answers`, whole; in the place of the same one. Raises OSError."""
        write_whole(self.answers / name, content, beside=self.writing / f"{secrets.token_hex(8)}.tmp")
        flush(self.answers)

    def put_away(self, name: str, box: Path, digest: str) -> None:
        """Move a file out of `in`, to a name that keeps all that had this one apart. Whoever was quicker has moved it. Raises OSError."""
        target = box / name
        if target.exists():
            target = box / f"{digest[:12]}-{name}"[:250]
        try:
            (self.inbox / name).rename(target)
        except FileNotFoundError:
            return
        flush(box)
        flush(self.inbox)


def take_all() -> int:
    """Take what lies in the directories of all enterprises that have one, and tell what became of earlier drafts; gives how many files.

    An enterprise has one when the platform's operator made `<SMARTGATE_DROP_ROOT>/<统一社会信用代码>`. One whose directory is broken keeps
    no other waiting.
    """
    root = settings.SMARTGATE_DROP_ROOT
    if root is None or not root.is_dir():
        return 0
    homes = {path.name: path for path in root.iterdir() if path.is_dir() and not path.is_symlink()}
    taken = 0
    for enterprise in Enterprise.objects.filter(credit_code__in=homes).order_by("pk"):
        boxes = Boxes(homes[enterprise.credit_code])
        try:
            boxes.make()
            for name in [*messages.file_names(names_by_age(boxes.inbox))][:MOST_FILES]:
                taken += _taken(enterprise, boxes, name)
            tell(enterprise, boxes)
        except OSError as error:
            log.warning("drop_folder_failed", enterprise_id=enterprise.pk, error=str(error))
    return taken


def _taken(enterprise: Enterprise, boxes: Boxes, name: str) -> bool:
    """`take`, with a file that nobody can digest left where it is and behind the others: operators find it in the log."""
    try:
        return take(enterprise, boxes, name)
    except OSError:
        raise
    except Exception:
        log.exception("drop_failed", enterprise_id=enterprise.pk, file=printable(name))
        return False


def take(enterprise: Enterprise, boxes: Boxes, name: str) -> bool:
    """Take one file. Whether it is through; a half-written one is left for the next look. Raises OSError."""
    path = boxes.inbox / name
    try:
        content = read_plain(path, settings.RELAY_MAX_MESSAGE_BYTES)
    except FileNotFoundError:
        return False
    except NotReadError as refusal:
        digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()
        _refuse(enterprise, boxes, name, digest=digest, code=refusal.code, reason=refusal.reason)
        return True
    digest = hashlib.sha256(content).hexdigest()
    try:
        envelope, business = read(content)
    except UnreadableMessageError as error:
        if error.code == "NOT_XML" and time.time() - path.lstat().st_mtime < YOUNG_SECONDS:
            return False
        _refuse(enterprise, boxes, name, digest=digest, code=error.code, reason=error.reason, message_id=error.message_id)
        return True
    if envelope.message_type != messages.DRAFTS or envelope.sender_id != enterprise.credit_code:
        code, reason = (
            ("UNKNOWN_TYPE", envelope.message_type) if envelope.message_type != messages.DRAFTS else ("WRONG_SENDER", envelope.sender_id)
        )
        _refuse(enterprise, boxes, name, digest=digest, code=code, reason=reason, message_id=envelope.message_id)
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
        _refuse(enterprise, boxes, name, digest=digest, code="ID_REUSED", reason=reason, message_id=envelope.message_id)
        return True
    boxes.put_answer(file_name_of(messages.ANSWER, envelope.message_id), bytes(stored.answer))
    boxes.put_away(name, boxes.done if stored.is_accepted else boxes.failed, digest)
    log.info("drop_taken", enterprise_id=enterprise.pk, file=printable(name), is_accepted=stored.is_accepted)
    return True


def _refuse(
    enterprise: Enterprise, boxes: Boxes, name: str, *, digest: str, code: str, reason: str, message_id: UUID | None = None
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
    boxes.put_away(name, boxes.failed, digest)
    log.info("drop_refused", enterprise_id=enterprise.pk, file=printable(name), code=code, reason=reason[:200])


@transaction.atomic
def _stored(enterprise: Enterprise, message_id: UUID, digest: str, drafts: list[Draft]) -> DropFile:
    """The file as it is known already, or its drafts stored with its answer: all of them, or with an error in any of them none."""
    known: DropFile | None = DropFile.unscoped.filter(enterprise=enterprise, message_id=message_id).first()
    if known is not None:
        return known
    now = timezone.now()
    checked = [_checked(draft) for draft in drafts]
    errors = [errors for errors, _entry in checked if errors]
    actor = None if errors else _actor_of(enterprise)
    code, reason = ("", "") if actor is not None else ("INVALID", _("有错误的字段，整个文件没有导入。请改正后用新的报文编号重新发送。"))
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
        DroppedFiling(enterprise=enterprise, file=made, filing=filing, reference=draft.reference, told_version=filing.lock_version)
        for draft, filing in zip(drafts, filings, strict=False)
    )
    return made


def _checked(draft: Draft) -> tuple[list[FieldError], tuple[FilingHeader, list[LineEntry]] | None]:
    """The page's own forms over one draft: what is wrong with it, or what is to be stored."""
    header = FilingForm(draft.header)
    errors = _errors_of(header, 0)
    lines = []
    for number, texts in enumerate(draft.lines, start=1):
        line = FilingLineForm(texts, header=header)
        errors += _errors_of(line, number)
        lines.append(line)
    if len(lines) > EntryPage.max_lines:
        text = _("表体信息不能超过 %(limit)d 条，现有 %(count)d 条。")
        errors.append(FieldError(0, "", text % {"limit": EntryPage.max_lines, "count": len(lines)}))
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
    news = (
        DroppedFiling.unscoped.filter(enterprise=enterprise)
        .select_related("filing")
        .annotate(receipts=Count("filing__receipts"))
        .filter(Q(told_version__lt=F("filing__lock_version")) | Q(told_receipts__lt=F("receipts")))
        .order_by("pk")[:MOST_STATES]
    )
    count = 0
    for one in news:
        filing, receipts = one.filing, list(one.filing.receipts.all())
        status = (
            CodeOption("deleted", _("已删除"), "")
            if filing.deleted_at
            else CodeOption(filing.status, str(FilingStatus(filing.status).label), "")
        )
        message_id, content = messages.state(
            credit_code=enterprise.credit_code, reference=one.reference, filing=filing, receipts=receipts, status=status
        )
        boxes.put_answer(file_name_of(messages.STATE, message_id), content)
        # After the file: told twice it is the same file, never told it would be lost.
        DroppedFiling.unscoped.filter(pk=one.pk).update(told_version=filing.lock_version, told_receipts=len(receipts))
        count += 1
    return count
