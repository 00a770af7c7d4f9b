"""我的IC卡 (CARD-03, CARD-04): which card is whose, how it is bound, renewed and unbound.

proof = bound_cards.prove(actor=…, challenge=…, bound_to=…, presented=…)   # the card has signed; nothing is bound yet
bound_cards.bind(actor=…, proof=proof)                                     # the user has seen what the card says and agrees
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import BoundCard, CardPurpose, Enterprise, User
from accounts.rights import ENTERPRISE_ROLES
from accounts.services import card_challenges, card_signing
from accounts.services.card_signing import CardRefused, Presented
from accounts.signatures.cards import Verified
from accounts.signatures.certificates import Certificate
from accounts.signatures.refusals import SignatureRefusedError
from core import audit
from core.identifiers import normalised
from core.locks import hold

#: So long after the card has signed the user may think about what it says.
PROOF_LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Proof:
    """What a card has signed for binding, to be kept where its user cannot change it (the session on the server)."""

    user_id: int
    challenge: str
    certificate: str
    signature: str = field(repr=False)
    proved_at: datetime

    def as_json(self) -> dict[str, Any]:
        """As a session can hold it."""
        return {
            "user_id": self.user_id,
            "challenge": self.challenge,
            "certificate": self.certificate,
            "signature": self.signature,
            "proved_at": self.proved_at.isoformat(),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        """The same again."""
        return cls(**{**kept, "proved_at": datetime.fromisoformat(kept["proved_at"])})

    def is_good_for(self, user: User, *, at: datetime) -> bool:
        """Whether it is this user's and not older than PROOF_LIFETIME."""
        return self.user_id == user.pk and timedelta(0) <= at - self.proved_at <= PROOF_LIFETIME


def names_enterprise(certificate: Certificate, enterprise: Enterprise) -> bool:
    """Whether the certificate is of this enterprise (CARD-04): by its organisation code, where it has none by its name.

    Names are compared after NFKC without blanks: （） and () are written as one likes.
    """
    if certificate.organisation_code:
        return normalised(certificate.organisation_code).replace("-", "") == enterprise.organisation_code
    return _plain_name(certificate.enterprise_name) == _plain_name(enterprise.name) != ""


def is_same_card(bound: BoundCard, certificate: Certificate) -> bool:
    """Whether the certificate is still of the card as it was bound: same number, same enterprise, same holder.

    A number that was given to somebody else's card is not the card that was bound; nor does a card go along with a user whom staff have
    moved to another enterprise (CARD-04).
    """
    if bound.user.enterprise_id != bound.enterprise_id:
        return False
    if certificate.card_no != bound.card_no or not names_enterprise(certificate, bound.enterprise):
        return False
    if certificate.holder_id_no and bound.holder_id_no:
        return normalised(certificate.holder_id_no) == normalised(bound.holder_id_no)
    return _plain_name(certificate.holder_name) == _plain_name(bound.holder_name)


def prove(*, actor: User, challenge: str, bound_to: str, presented: Presented, at: datetime | None = None) -> Proof:
    """The first half of 绑卡: the card in the reader signed our challenge, and nothing speaks against binding it to the actor.

    `bound_to` as the challenge was issued to. The challenge is used up whatever comes of it. Raises CardRefused, which is audited;
    RuntimeError inside a transaction: revocation is asked of the network. Nothing is bound yet.
    """
    now = at or timezone.now()
    with audit.refusals_recorded(action="accounts.card.bind", obj=actor, actor=actor, enterprise_id=actor.enterprise_id):
        try:
            card_challenges.use(purpose=CardPurpose.BIND, value=challenge, bound_to=bound_to, at=now)
        except SignatureRefusedError as refused:
            raise CardRefused.because(refused) from refused
        proof = Proof(actor.pk, challenge, presented.certificate, presented.signature, now)
        verified = _verify(proof, at=now)
        _require_bindable(actor, verified.certificate)
    return proof


def bind(*, actor: User, proof: Proof, at: datetime | None = None) -> BoundCard:
    """The second half of 绑卡: from now on this is the actor's card. Everything is examined again, under locks.

    Raises CardRefused, which is audited: whatever `prove` refuses, a proof of somebody else or one too old, or somebody was quicker.
    """
    now = at or timezone.now()
    with audit.refusals_recorded(action="accounts.card.bind", obj=actor, actor=actor, enterprise_id=actor.enterprise_id):
        if not proof.is_good_for(actor, at=now):
            raise CardRefused(_("本次读卡已超过 10 分钟，请重新插卡并输入密码。"), "proof_too_old")
        verified = _verify(proof, at=now)
        with transaction.atomic():
            user = User.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=actor.pk)
            # Whoever binds the same card elsewhere waits here: then the card is found to be taken.
            hold("accounts.bound_card", [verified.certificate.card_no])
            enterprise = _require_bindable(user, verified.certificate)
            bound: BoundCard = BoundCard.unscoped.create(
                user=user, enterprise=enterprise, bound_at=now, **_said_by(verified.certificate), card_no=verified.certificate.card_no
            )
            audit.record(
                action="accounts.card.bind",
                obj=bound,
                actor=actor,
                enterprise_id=enterprise.pk,
                after={
                    "card_no": bound.card_no,
                    "certificate_no": bound.certificate_no,
                    "holder_name": bound.holder_name,
                    "valid_to": bound.valid_to,
                    "user": user.username,
                },
            )
    return bound


def unbind(*, actor: User, user_id: int, card_no: str, reason: str = "") -> bool:
    """解绑: the card is the user's no more. `card_no` is what was shown to whoever asks for it. Gives whether it was bound.

    A user unbinds his own card, staff (who are asked when a card is lost) everybody's, with a reason. Raises PermissionError for
    anybody else: no page leads there.
    """
    if user_id != actor.pk and not actor.is_staff:
        raise PermissionError("a card is its user's and the staff's to unbind")
    with transaction.atomic():
        # Not the user's key: a declaration that holds the card, and that this waits for, is about to name him as its signer.
        User.objects.select_for_update(no_key=True).get(pk=user_id)
        bound = BoundCard.unscoped.select_related("user").filter(user_id=user_id).first()
        # Compared here: what was sent may be what no column takes.
        if bound is None or bound.card_no != card_no:
            return False
        audit.record(
            action="accounts.card.unbind",
            obj=bound,
            actor=actor,
            enterprise_id=bound.enterprise_id,
            before={
                "card_no": bound.card_no,
                "certificate_no": bound.certificate_no,
                "holder_name": bound.holder_name,
                "user": bound.user.username,
            },
            reason=reason,
        )
        bound.delete()
    return True


def renew(bound: BoundCard, certificate: Certificate, *, at: datetime | None = None) -> bool:
    """A renewed certificate of a bound card takes the old one's place (CARD-08); gives whether it did.

    `certificate` has been verified by the caller. Only one that is of the same card (`is_same_card`) and ends later: whoever presents the
    old one again changes nothing. The next warning is about the new one.
    """
    with transaction.atomic():
        stored = BoundCard.unscoped.select_for_update(of=("self",)).select_related("enterprise", "user").filter(pk=bound.pk).first()
        if stored is None or certificate.valid_to <= stored.valid_to or not is_same_card(stored, certificate):
            return False
        before = {"certificate_no": stored.certificate_no, "valid_to": stored.valid_to}
        said = _said_by(certificate)
        for name, value in said.items():
            setattr(stored, name, value)
        stored.end_warned_at = None
        stored.save(update_fields=[*said, "end_warned_at"])
        audit.record(
            action="accounts.card.renew",
            obj=stored,
            actor=stored.user,
            enterprise_id=stored.enterprise_id,
            before=before,
            after={"certificate_no": stored.certificate_no, "valid_to": stored.valid_to},
        )
    return True


def require_still_bound(*, actor: User, verified: Verified) -> None:
    """Inside the transaction that keeps a signature (`card_signing.keep`): the card is still the actor's, and still the one that was bound.
    A renewed certificate is taken down. Raises CardRefused."""
    # Locked: whoever unbinds the card now waits, or was first.
    mine = BoundCard.unscoped.select_for_update(of=("self",), no_key=True).select_related("enterprise", "user")
    bound = mine.filter(user=actor, card_no=verified.certificate.card_no).first()
    if bound is None:
        raise CardRefused(_("该卡在签名期间已解绑，无法进行申报。请在“我的IC卡”中查看已绑定的卡。"), "not_bound")
    if not is_same_card(bound, verified.certificate):
        raise CardRefused(
            _("卡 %(card)s 的持卡人或企业与绑定时不一致，无法进行申报。请在“我的IC卡”中解绑后重新绑定。") % {"card": bound.card_no},
            "another_holder",
        )
    renew(bound, verified.certificate)


def _verify(proof: Proof, *, at: datetime) -> Verified:
    """Raises CardRefused."""
    return card_signing.verify(data=proof.challenge, presented=Presented(proof.certificate, proof.signature), at=at)


def _require_bindable(user: User, certificate: Certificate) -> Enterprise:
    """The enterprise that the card is bound in. Raises CardRefused (CARD-04)."""
    enterprise = user.enterprise
    if enterprise is None or user.role not in ENTERPRISE_ROLES:
        raise CardRefused(_("只有企业用户可以绑定IC卡。"), "no_enterprise")
    if not names_enterprise(certificate, enterprise):
        raise CardRefused(
            _("此卡属于“%(card)s”，与当前账号所属企业“%(account)s”不一致，不能绑定。请使用本企业的卡。")
            % {"card": certificate.enterprise_name, "account": enterprise.name},
            "another_enterprise",
        )
    own = BoundCard.unscoped.filter(user=user).values_list("card_no", flat=True).first()
    if own == certificate.card_no:
        raise CardRefused(_("此卡已绑定到当前账号，无需重复绑定。"), "bound_already")
    if own is not None:
        raise CardRefused(_("当前账号已绑定卡 %(card)s，请先解绑，再绑定新卡。") % {"card": own}, "has_another_card")
    if BoundCard.unscoped.filter(card_no=certificate.card_no).exists():
        raise CardRefused(
            _("卡 %(card)s 已绑定到其他账号，一张卡只能绑定一个账号。请先在该账号中解绑；无法登录该账号的，请联系平台服务热线。")
            % {"card": certificate.card_no},
            "bound_elsewhere",
        )
    return enterprise


def _said_by(certificate: Certificate) -> dict[str, Any]:
    """What a bound card takes over from its certificate, its number apart."""
    return {
        "certificate_no": certificate.serial_no,
        "certificate": certificate.der,
        "key_name": certificate.key.name,
        "holder_name": certificate.holder_name,
        "holder_id_no": certificate.holder_id_no,
        "enterprise_name": certificate.enterprise_name,
        "organisation_code": certificate.organisation_code,
        "valid_from": certificate.valid_from,
        "valid_to": certificate.valid_to,
    }


def _plain_name(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split())
