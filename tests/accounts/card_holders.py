"""Cards of the tests' enterprises, and what their holders' computers send."""

import base64
from dataclasses import replace
from datetime import datetime
from typing import Any

from accounts.models import BoundCard, CardPurpose, Enterprise, User
from accounts.services import bound_cards, card_challenges
from accounts.services.card_signing import Presented
from accounts.signatures import certificates
from accounts.signatures.certificates import Certificate
from simulators.cards.certificates import Holder
from simulators.cards.keys import KeyType
from tests.cards import Authorities, Card

ID_NO = "210202199001010016"
CARD_NO = "2100000000001"
BROWSER = "session-1"


def holder_of(enterprise: Enterprise, **changes: Any) -> Holder:
    """Somebody of the enterprise."""
    person = Holder(
        name="李操作", id_no=ID_NO, enterprise_name=enterprise.name, organisation_code=enterprise.organisation_code, card_no=CARD_NO
    )
    return replace(person, **changes)


def card_of(enterprise: Enterprise, authorities: Authorities, *, kind: KeyType = KeyType.P256, **options: Any) -> Card:
    """A card of somebody of the enterprise; P-256 because its keys are quickly made."""
    when = {name: options.pop(name) for name in ("valid_from", "days") if name in options}
    return authorities.card(kind, holder=holder_of(enterprise, **options), **when)


def read(card: Card) -> Certificate:
    """The card's certificate as the portal reads it."""
    return certificates.load(card.certificate)


def signed(card: Card, text: str) -> Presented:
    """What the browser sends of a text that the card signed."""
    return Presented(certificate=card.as_text, signature=base64.b64encode(card.sign(text.encode())).decode())


def challenge_for(browser: str = BROWSER, purpose: CardPurpose = CardPurpose.BIND, at: datetime | None = None) -> str:
    return card_challenges.issue(purpose=purpose, bound_to=browser, at=at)


def prove(user: User, card: Card, *, at: datetime | None = None) -> bound_cards.Proof:
    """The first half of 绑卡."""
    challenge = challenge_for(at=at)
    return bound_cards.prove(actor=user, challenge=challenge, bound_to=BROWSER, presented=signed(card, challenge), at=at)


def bind(user: User, card: Card) -> BoundCard:
    """All of it."""
    return bound_cards.bind(actor=user, proof=prove(user, card))
