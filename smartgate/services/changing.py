"""变更 and 删单: what customs holds is changed or voided by a version of its own, and stands until customs accepts that (SGW-08)."""

from collections.abc import Sequence
from dataclasses import asdict

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.services import card_signing
from accounts.services.card_signing import Presented
from accounts.signatures.cards import Verified
from core import audit
from core.workflow import ActionRefused
from relay.services import queue_message
from smartgate import cautions, contents, messages, rules, signing, states
from smartgate.models import Filing, FilingLine, FilingVersion, Function, Outcome
from smartgate.services import contradictions, versions
from smartgate.services.declaring import FilingInvalid, keep_evidence, passed_cautions
from smartgate.services.filings import (
    EntryAlreadyDeclared,
    FilingChanged,
    FilingHeader,
    LineEntry,
    locked,
    of_actor,
    operator_of,
)

log = structlog.get_logger(__name__)

_FUNCTIONS = {states.AMEND.name: Function.MOD, states.VOID.name: Function.DEL}


def save_amendment(
    *, actor: User, filing_id: int, header: FilingHeader, lines: Sequence[LineEntry], lock_version: int | None = None
) -> Filing:
    """变更's 暂存: keep changed contents of a filing that customs holds, without sending them.

    Returns the filing, whose own contents stay as customs has them. A filing has one such draft, whoever works on it; `lock_version` is
    that of the filing which the user's page showed. Contents that the draft has already leave everything untouched.
    Raises Filing.DoesNotExist when the filing is not the actor's, ForbiddenTransition when its state forbids 变更, FilingChanged when the
    filing or its draft was changed meanwhile, EntryAlreadyDeclared when just these contents wait for customs' answer already.
    """
    known = of_actor(actor, filing_id)
    with (
        audit.refusals_recorded(action="smartgate.filing.amend_save", obj=known, actor=actor, enterprise_id=known.enterprise_id),
        transaction.atomic(),
    ):
        filing = locked(filing_id)
        header_values = rules.without_grey_header(asdict(header))
        entered = contents.packed(
            {**header_values, "operator": operator_of(actor)},
            [rules.without_grey_line(asdict(line), header_values) for line in lines],
        )
        draft, sent = versions.draft_of(filing), versions.waiting(filing)
        if draft is None and sent is not None and _same(sent.contents, entered):
            raise EntryAlreadyDeclared(filing)
        states.require(states.AMEND, filing.status)
        # Nothing to write: who is being shown what he signs shall not find it changed by his own page.
        if draft is not None and draft.contents == entered and draft.base == filing.version:
            return filing
        if lock_version is not None and filing.lock_version != lock_version:
            raise FilingChanged(
                _(
                    "该单据或其变更内容在您打开之后已有变动（在其他窗口中、由其他用户或海关）。您录入的内容仍保留在本页；请先查看最新单据，再次暂存将以本页内容为准。"
                )
            )
        before = draft.contents if draft is not None else contents.of_filing(filing, list(filing.lines.all()))
        draft = draft or FilingVersion(enterprise_id=filing.enterprise_id, filing=filing, function=Function.MOD, outcome=Outcome.DRAFT)
        draft.base = filing.version
        draft.contents = entered
        draft.bind_key_type, draft.bind_key_info = header.bind_key_type, header.bind_key_info
        draft.asked_by, draft.asked_at = actor, timezone.now()
        draft.save()
        _touch(filing)
        old, new = audit.changes(_for_audit(before), _for_audit(entered))
        audit.record(
            action="smartgate.filing.amend_save", obj=filing, actor=actor, enterprise_id=filing.enterprise_id, before=old, after=new
        )
    return filing


def discard_amendment(*, actor: User, filing_id: int) -> bool:
    """放弃变更: drop the draft of a 变更, in whatever state the filing is by now; whether there was one.

    Raises Filing.DoesNotExist when the filing is not the actor's.
    """
    of_actor(actor, filing_id)
    with transaction.atomic():
        filing = locked(filing_id)
        draft = versions.draft_of(filing)
        if draft is None:
            return False
        draft.delete()
        _touch(filing)
        audit.record(
            action="smartgate.filing.amend_discard",
            obj=filing,
            actor=actor,
            enterprise_id=filing.enterprise_id,
            before=_for_audit(draft.contents),
        )
    return True


def amendment_text(*, actor: User, filing: Filing) -> str:
    """What `actor` signs to send the draft of a 变更 (docs/protocol/signed-text.md). Raises ActionRefused when there is none."""
    return _text(filing, Function.MOD, _contents_to_send(filing, Function.MOD, actor))


def void_text(*, actor: User, filing: Filing) -> str:
    """What `actor` signs to have the filing voided."""
    return _text(filing, Function.DEL, _contents_to_send(filing, Function.DEL, actor))


def send_amendment(*, actor: User, filing_id: int, lock_version: int | None = None, presented: Presented | None = None) -> Filing:
    """变更's 申报: the draft goes to customs as the filing's next version; the filing stays as it is until customs answers.

    Raises Filing.DoesNotExist, ForbiddenTransition, FilingChanged, FilingInvalid, CardRefused as `declare_filing` does, and ActionRefused
    when nothing is to be changed, when customs owes the answer to a change already, or when the new vehicle is taken.
    """
    return _send(states.AMEND, actor, filing_id, lock_version, presented)


def send_void(*, actor: User, filing_id: int, lock_version: int | None = None, presented: Presented | None = None) -> Filing:
    """删单: customs is asked to void the filing, which stays as it is until customs answers. Raises as `send_amendment` does."""
    return _send(states.VOID, actor, filing_id, lock_version, presented)


def _send(action: states.Action, actor: User, filing_id: int, lock_version: int | None, presented: Presented | None) -> Filing:
    function = _FUNCTIONS[action.name]
    known = of_actor(actor, filing_id)
    with audit.refusals_recorded(action=f"smartgate.filing.{action.name}", obj=known, actor=actor, enterprise_id=known.enterprise_id):
        # Asked again under the lock; here so that nobody reads of his card what is the filing's fault.
        _check_may_change(known, action, lock_version)
        text = _text(known, function, _contents_to_send(known, function, actor))
        verified = card_signing.examine(actor=actor, text=text, presented=presented)
        passed = _cautions(known, actor) if function == Function.MOD else []
        with transaction.atomic():
            return _send_locked(action, actor, filing_id, lock_version, verified=verified, passed=passed)


def _cautions(filing: Filing, actor: User) -> list[str]:
    """What the draft of a 变更 is cautioned of, for the trail. It refuses nothing, and is asked before anything is locked."""
    changed, lines = contents.as_filing(filing, _contents_to_send(filing, Function.MOD, actor), version=filing.version)
    return [caution.code for caution in cautions.of_filing(actor, changed, lines)]


def _send_locked(
    action: states.Action, actor: User, filing_id: int, lock_version: int | None, *, verified: Verified | None, passed: Sequence[str]
) -> Filing:
    function = _FUNCTIONS[action.name]
    filing = locked(filing_id)
    _check_may_change(filing, action, lock_version)
    draft = versions.draft_of(filing) if function == Function.MOD else None
    packed = _contents_to_send(filing, function, actor)
    number = versions.next_number(filing)
    changed, lines = contents.as_filing(filing, packed, version=number)
    if draft is not None:
        _check_amendment(filing, draft, changed, lines)
    versions.keep_standing(filing)
    if verified is not None:
        keep_evidence(actor=actor, filing=changed, text=_text(filing, function, packed), verified=verified)
    message = queue_message(
        partner=messages.CUSTOMS,
        message_type=messages.FILING,
        business=messages.filing_element(changed, lines, function, base=filing.version),
        subject=filing.subject,
        enterprise_id=filing.enterprise_id,
        signature=None if verified is None else signing.sign_info(verified),
    )
    change = draft or FilingVersion(enterprise_id=filing.enterprise_id, filing=filing, function=function, base=filing.version)
    change.number = number
    change.contents = packed
    change.bind_key_type, change.bind_key_info = changed.bind_key_type, changed.bind_key_info
    change.asked_by, change.asked_at = actor, timezone.now()
    change.message_id = message.message_id
    change.outcome = Outcome.WAITING
    change.save()
    _touch(filing)
    standing = _for_audit(contents.of_filing(filing, list(filing.lines.all())))
    old, new = audit.changes(standing, _for_audit(packed)) if function == Function.MOD else ({}, {})
    audit.record(
        action=f"smartgate.filing.{action.name}",
        obj=filing,
        actor=actor,
        enterprise_id=filing.enterprise_id,
        before={"version": filing.version, **old},
        after={
            "version": number,
            "message_id": message.message_id,
            **new,
            **passed_cautions(passed),
            **({"card_no": verified.certificate.card_no, "certificate_no": verified.certificate.serial_no} if verified else {}),
        },
    )
    log.info("change_sent", trip_no=filing.trip_no, function=str(function), version=number, message_id=str(message.message_id))
    return filing


def require_may_ask(filing: Filing, action: states.Action) -> None:
    """Raises ForbiddenTransition when the state forbids 变更 or 删单, and ActionRefused while customs owes the answer to one."""
    states.require(action, filing.status)
    versions.require_none_waiting(filing, doing=str(action.label))


def _check_may_change(filing: Filing, action: states.Action, lock_version: int | None) -> None:
    """Raises ForbiddenTransition, FilingChanged, and ActionRefused while an earlier change is not through."""
    require_may_ask(filing, action)
    if contradictions.changes().filter(filing=filing).exists():
        raise ActionRefused(
            _("海关已对该票一份未生效的变更或删单作出回执，与此前的通知矛盾，不能再%(doing)s。请先查看回执并联系平台客服核实。")
            % {"doing": action.label}
        )
    if lock_version is not None and filing.lock_version != lock_version:
        raise FilingChanged(_("该单据在您打开之后已有变动。请核对最新内容后再操作。"))


def _check_amendment(filing: Filing, draft: FilingVersion, changed: Filing, lines: Sequence[FilingLine]) -> None:
    """Raises FilingChanged, FilingInvalid, and ActionRefused when nothing is changed or the vehicle is not to be had."""
    if draft.base != filing.version:
        raise FilingChanged(
            _("该变更是对照第 %(base)s 版暂存的，海关现持有第 %(version)s 版。请核对最新内容并重新暂存后再申报。")
            % {"base": draft.base, "version": filing.version}
        )
    if _same(contents.of_filing(filing, list(filing.lines.all())), draft.contents):
        raise ActionRefused(_("内容与海关持有的第 %(version)s 版相同，没有可申报的变更。") % {"version": filing.version})
    errors = rules.filing_errors(changed, lines)
    if errors:
        raise FilingInvalid(errors)
    if (changed.bind_key_type, changed.bind_key_info) != (filing.bind_key_type, filing.bind_key_info):
        doing = _("变更为该介质")
        versions.claim_vehicle(changed, doing=doing)
        if versions.is_open_elsewhere(changed):
            raise versions.vehicle_taken(changed, doing=doing)
        contradictions.check_vehicle(changed)


def _contents_to_send(filing: Filing, function: Function, actor: User) -> dict[str, object]:
    """What goes out: the draft, or for 删单 what customs holds; by whoever sends it."""
    if function == Function.MOD:
        draft = versions.draft_of(filing)
        if draft is None:
            raise ActionRefused(_("该票没有待申报的变更内容。请录入变更内容后再申报。"))
        packed = draft.contents
    else:
        packed = contents.of_filing(filing, list(filing.lines.all()))
    return {**packed, "header": {**packed["header"], "operator": operator_of(actor)}}


def _text(filing: Filing, function: Function, packed: dict[str, object]) -> str:
    number = versions.next_number(filing)
    changed, lines = contents.as_filing(filing, packed, version=number)
    return signing.filing_text(changed, lines, number, function, base=filing.version)


def _same(one: contents.Contents, other: contents.Contents) -> bool:
    """Whether two contents say the same to customs, whoever declares them and vouches for a plate."""
    return contents.told(one) == contents.told(other)


def _for_audit(packed: contents.Contents) -> dict[str, object]:
    """Contents as the audit trail has a filing's: its fields and its lines, without 操作人员, which the entry names."""
    header, lines = contents.told(packed)
    return {**header, "plate_verified": bool(packed.get("plate_verified")), "lines": lines}


def _touch(filing: Filing) -> None:
    filing.lock_version += 1
    filing.save(update_fields=["lock_version"])
