"""What users sign with their cards (CARD-05, CARD-07): one way for every application.

verified = card_signing.examine(actor=…, text=…, presented=…)      # outside of a transaction: revocation is asked of the network
with transaction.atomic():
    …                                                              # the row is locked and its text is still the same
    bound_cards.require_still_bound(actor=…, verified=verified)    # the card was not unbound meanwhile, nor is its number somebody else's
    card_signing.keep(verified=verified, actor=…, kind=…, …)       # evidence commits with what it is evidence of
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import EvidenceKind, RevocationProof, SignatureEvidence, User
from accounts.signatures import cards
from accounts.signatures.cards import Verified
from accounts.signatures.refusals import SignatureRefusedError
from accounts.signatures.revocation import Answer
from core.workflow import ActionRefused


@dataclass(frozen=True, slots=True)
class Presented:
    """What the user's computer sends: the certificate and the signature as the card bridge gave them, both base64."""

    certificate: str
    signature: str = field(repr=False)


class CardRefused(ActionRefused):
    """The card in the reader, or what it signed, does not count; the text says why and what to do. `code` names the reason."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code

    @classmethod
    def because(cls, refused: SignatureRefusedError) -> Self:
        """The same of a signature that verification refused."""
        return cls(" ".join(refused.messages), str(refused.code))


def examine(*, actor: User, text: str, presented: Presented | None, at: datetime | None = None) -> Verified | None:
    """Whether the actor's own bound card signed `text` (CARD-05). None where nothing was presented and CARD_REQUIRED is off.

    Raises CardRefused; RuntimeError inside a transaction. Nothing is stored.
    """
    bound = actor.ic_card_no
    if presented is None:
        if not settings.CARD_REQUIRED:
            return None
        if not bound:
            raise CardRefused(not_bound(), "not_bound")
        raise CardRefused(_("未检测到 IC 卡或 Ikey，无法进行申报。请插入与当前账号绑定的卡后重试。"), "no_card")
    try:
        signature = decode(presented.signature)
        card = cards.load_card(presented.certificate)
        if not bound:
            raise CardRefused(not_bound(), "not_bound")
        if card.card_no != bound:
            raise CardRefused(mismatch(card.card_no, bound), "another_card")
        return cards.verify(certificate=presented.certificate, data=text.encode(), signature=signature, at=at or timezone.now())
    except SignatureRefusedError as refused:
        raise CardRefused.because(refused) from refused


def not_bound() -> str:
    """What the user reads who wants to sign and has bound no card."""
    return _("当前账号尚未绑定IC卡，无法进行申报。请先在“我的IC卡”中绑卡。")


def mismatch(card_no: str, bound: str) -> str:
    """What the user reads when another card than his own is in the reader (M4 §3.1.1.1)."""
    return _("当前卡号 %(card)s 与用户注册信息卡号 %(bound)s 不一致，无法进行申报") % {"card": card_no, "bound": bound}


def keep(
    *, verified: Verified, actor: User, enterprise_id: int, kind: EvidenceKind, subject: str, document_no: str, version: int
) -> SignatureEvidence:
    """Store what shows that `verified` counted, in the transaction of what it is evidence of.

    `subject` and `version` name what was signed, once: a second signature of the same is an IntegrityError. `document_no` is the number
    that people know it by, and has to stand in the text: nobody can say later that the signature is of another one. ValueError otherwise.
    """
    card, text = verified.certificate, verified.data.decode()
    if not document_no or document_no not in text:
        raise ValueError("the signed text does not name the document")
    return SignatureEvidence.unscoped.create(
        enterprise_id=enterprise_id,
        signer=actor,
        kind=kind,
        subject=subject,
        version=version,
        document_no=document_no,
        text=text,
        signature=verified.signature,
        algorithm=str(verified.algorithm),
        card_no=card.card_no,
        holder_name=card.holder_name,
        certificate_no=card.serial_no,
        chain=[one.der for one in verified.chain],
        revocation=_proof(verified.revocation) if verified.revocation else None,
        signed_at=verified.at,
    )


def verify(*, data: str, presented: Presented, at: datetime) -> Verified:
    """What a card presented counts for `data`, whosever card it is. Raises CardRefused; RuntimeError inside a transaction."""
    signature = decode(presented.signature)
    try:
        return cards.verify(certificate=presented.certificate, data=data.encode(), signature=signature, at=at)
    except SignatureRefusedError as refused:
        raise CardRefused.because(refused) from refused


def decode(base64_text: str) -> bytes:
    """The bytes of a base64 text as the card bridge gives it. Raises CardRefused."""
    try:
        return base64.b64decode("".join(base64_text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise CardRefused(_("读卡程序返回的签名无法识别，请重新签名；仍不行请更新读卡程序。"), "malformed_signature") from None


def _proof(answer: Answer) -> RevocationProof:
    """The answer by its contents; the same CRL is stored once, whoever comes first."""
    # Not read back: a CRL may have megabytes.
    proof, _is_new = RevocationProof.objects.defer("der").get_or_create(
        sha256=hashlib.sha256(answer.der).hexdigest(),
        defaults={
            "method": answer.method,
            "source": answer.source[:500],
            "der": answer.der,
            "this_update": answer.this_update,
            "next_update": answer.next_update,
        },
    )
    return proof
