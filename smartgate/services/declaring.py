"""申报: a filing becomes a message to customs, signed with the declarant's own card (SGW-04, CARD-05, CARD-07)."""

from collections.abc import Sequence
from copy import copy

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import EvidenceKind, User
from accounts.services import bound_cards, card_signing
from accounts.services.card_signing import Presented
from accounts.signatures.cards import Verified
from core import audit
from core.workflow import ActionRefused
from relay.services import queue_message
from smartgate import cautions, messages, rules, signing, states
from smartgate.models import Filing, Function
from smartgate.services import versions
from smartgate.services.contradictions import check_not_with_customs
from smartgate.services.filings import (
    MOVED,
    FilingChanged,
    locked,
    move,
    of_actor,
    operator_of,
    violated,
)

log = structlog.get_logger(__name__)


class FilingInvalid(ActionRefused):
    """The filing breaks a rule and cannot be declared; `errors` says which, one text each."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__(" ".join(errors))
        self.errors = list(errors)


def text_to_sign(*, actor: User, filing: Filing) -> str:
    """What `actor` signs to declare the filing as it is stored now (docs/protocol/signed-text.md)."""
    return texts_to_sign(actor=actor, filings=[filing])[0]


def texts_to_sign(*, actor: User, filings: Sequence[Filing]) -> list[str]:
    """The same of many, in their order. One query, where their lines have been prefetched."""
    numbers = versions.next_numbers(filings)
    operator, texts = operator_of(actor), []
    for filing in filings:
        as_declared = copy(filing)
        as_declared.operator = operator
        texts.append(signing.filing_text(as_declared, list(filing.lines.all()), numbers[filing.pk]))
    return texts


def declare_filing(*, actor: User, filing_id: int, lock_version: int | None = None, presented: Presented | None = None) -> Filing:
    """申报: check everything once more, and send the filing to customs as a message of the same transaction (SGW-04).

    `presented` is what the card in the user's reader made of `text_to_sign`; None without a card, which is refused while CARD_REQUIRED
    is on. What was signed, and all that shows that it counts, commits with the message (CARD-07).
    Raises Filing.DoesNotExist, ForbiddenTransition, FilingChanged as `save_filing` does, FilingInvalid, CardRefused when the card or its
    signature does not count, and ActionRefused when the vehicle has an open filing already. RuntimeError inside a transaction that was
    opened elsewhere: whether the card is revoked is asked of the network.
    """
    known = of_actor(actor, filing_id)
    with audit.refusals_recorded(action="smartgate.filing.declare", obj=known, actor=actor, enterprise_id=known.enterprise_id):
        # Asked again under the lock; here so that nobody reads of his card what is the filing's fault.
        _check_may_declare(known, lock_version)
        verified = card_signing.examine(actor=actor, text=text_to_sign(actor=actor, filing=known), presented=presented)
        # Refuses nothing: the trail says what the declarant passed. Asked before anything is locked.
        passed = [caution.code for caution in cautions.of_filing(actor, known, list(known.lines.all()))]
        try:
            with transaction.atomic():
                return _declare(actor=actor, filing_id=filing_id, lock_version=lock_version, verified=verified, passed=passed)
        except IntegrityError as error:
            if violated(error) == "filing_one_open_per_vehicle":
                raise versions.vehicle_taken(known, doing=str(states.DECLARE.label)) from None
            raise


def _declare(*, actor: User, filing_id: int, lock_version: int | None, verified: Verified | None, passed: Sequence[str]) -> Filing:
    filing = locked(filing_id)
    before = filing.status
    target = _check_may_declare(filing, lock_version)
    versions.claim_vehicle(filing, doing=str(states.DECLARE.label))
    check_not_with_customs(filing)
    filing.operator = operator_of(actor)
    lines = list(filing.lines.all())
    errors = rules.filing_errors(filing, lines)
    if errors:
        raise FilingInvalid(errors)
    now = timezone.now()
    filing.version = versions.next_number(filing)
    if verified is not None:
        keep_evidence(actor=actor, filing=filing, text=signing.filing_text(filing, lines, filing.version), verified=verified)
    message = queue_message(
        partner=messages.CUSTOMS,
        message_type=messages.FILING,
        business=messages.filing_element(filing, lines, Function.ADD),
        subject=filing.subject,
        enterprise_id=filing.enterprise_id,
        signature=None if verified is None else signing.sign_info(verified),
    )
    filing.message_id = message.message_id
    filing.declared_at = now
    move(filing, target, at=now)
    filing.save(update_fields=["version", "message_id", "declared_at", "operator", *MOVED])
    versions.keep_declared(filing, lines, actor=actor)
    audit.record(
        action="smartgate.filing.declare",
        obj=filing,
        actor=actor,
        enterprise_id=filing.enterprise_id,
        before={"status": before},
        after={
            "status": filing.status,
            "version": filing.version,
            "message_id": message.message_id,
            **passed_cautions(passed),
            **({"card_no": verified.certificate.card_no, "certificate_no": verified.certificate.serial_no} if verified else {}),
        },
    )
    log.info("filing_declared", trip_no=filing.trip_no, message_id=str(message.message_id), is_signed=verified is not None)
    return filing


def passed_cautions(codes: Sequence[str]) -> dict[str, list[str]]:
    """The cautions that a declarant passed, as the trail has them; nothing where there were none."""
    return {"cautions": [str(code) for code in dict.fromkeys(codes)]} if codes else {}


def _check_may_declare(filing: Filing, lock_version: int | None) -> str:
    """The state that declaring leads to. Raises ForbiddenTransition and FilingChanged."""
    target = states.TABLE.target(filing.status, states.Event.DECLARE, doing=str(states.DECLARE.label))
    if lock_version is not None and filing.lock_version != lock_version:
        raise FilingChanged(_("该单据已被其他用户修改。请核对最新内容后再申报。"))
    return target


def keep_evidence(*, actor: User, filing: Filing, text: str, verified: Verified) -> None:
    """Store what was signed with the `version` of the filing that goes out, of which `text` is what is to be signed.

    Raises FilingChanged when that says something else, CardRefused when the card is not the actor's any more.
    """
    if text.encode() != verified.data:
        raise FilingChanged(_("该单据在签名期间已被修改，未申报。请核对最新内容后重新签名。"))
    bound_cards.require_still_bound(actor=actor, verified=verified)
    card_signing.keep(
        verified=verified,
        actor=actor,
        enterprise_id=filing.enterprise_id,
        kind=EvidenceKind.FILING,
        subject=filing.subject,
        document_no=filing.trip_no,
        version=filing.version,
    )
