"""A card's signature, examined whole: the one door for card login, binding and declarations."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from accounts.signatures import algorithms, certificates, chains, sources
from accounts.signatures.algorithms import Algorithm
from accounts.signatures.certificates import Certificate
from accounts.signatures.refusals import MalformedCertificateError
from accounts.signatures.revocation import Answer

CARD_NO = re.compile("[0-9A-Z]{13}")


@dataclass(frozen=True)
class Verified:
    """A signature that counts, and all that shows why: what evidence is made of (CARD-07)."""

    certificate: Certificate
    algorithm: Algorithm
    data: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    #: The card's certificate first, the anchor last.
    chain: tuple[Certificate, ...]
    #: None only where the operator has switched revocation off.
    revocation: Answer | None
    at: datetime


def verify(*, certificate: bytes | str, data: bytes, signature: bytes, at: datetime) -> Verified:
    """Whether a card signed `data`, and whose it is. `certificate` as the bridge gives it (base64 DER), DER or PEM.

    Asks the network for revocation: call it before, not inside, the transaction that acts on it; RuntimeError otherwise.
    Raises the subclasses of SignatureRefusedError and nothing else for whatever is handed in. What a stranger can send is checked
    first, and cheaply; nothing is asked of the network for a certificate that no anchor vouches for.
    """
    card = load_card(certificate)
    algorithm = algorithms.verify(key=card.key, data=data, signature=signature, accepts_sha1=settings.CARD_ACCEPT_SHA1)
    chain = chains.build_chain(card, trust=chains.load_trust(settings.CARD_TRUST_ANCHORS), at=at)
    answer = sources.ask(certificate=card, issuer=chain[1], at=at)
    return Verified(certificate=card, algorithm=algorithm, data=data, signature=signature, chain=chain, revocation=answer, at=at)


def load_card(certificate: bytes | str) -> Certificate:
    """A card's signing certificate. Raises MalformedCertificateError, also where it names no holder, enterprise, or card of 13 characters;
    UnsupportedKeyError; WrongKeyUsageError."""
    card = certificates.load(certificate)
    chains.check_signing_use(card)
    if not (CARD_NO.fullmatch(card.card_no) and card.holder_name and card.enterprise_name):
        raise MalformedCertificateError
    return card
