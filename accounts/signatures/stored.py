"""Evidence that was kept, verified again (CARD-07): as of the time of the signature, from what is stored, without any network."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings

from accounts.signatures import algorithms, cards, certificates, chains, revocation
from accounts.signatures.algorithms import Algorithm
from accounts.signatures.cards import Verified
from accounts.signatures.certificates import Certificate
from accounts.signatures.chains import TrustStore
from accounts.signatures.refusals import (
    AlgorithmNotAcceptedError,
    AnchorNotTrustedError,
    AuthorityNotValidError,
    ChainBrokenError,
    EvidenceAlteredError,
    RevocationAnswerMissingError,
    RevocationUnknownError,
    UnknownIssuerError,
)
from accounts.signatures.revocation import Answer, Method, RevocationList


@dataclass(frozen=True)
class StoredAnswer:
    """A stored CRL or OCSP answer: its bytes, and what its row says of them."""

    sha256: str
    method: str
    source: str
    der: bytes = field(repr=False)
    this_update: datetime
    next_update: datetime | None


@dataclass(frozen=True)
class StoredSignature:
    """A row of evidence; nothing is believed of it yet."""

    document_no: str
    text: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    algorithm: str
    card_no: str
    holder_name: str
    certificate_no: str
    #: The card's certificate first, the anchor last.
    chain: tuple[bytes, ...] = field(repr=False)
    revocation: StoredAnswer | None
    signed_at: datetime


def verify(stored: StoredSignature, *, anchors: Iterable[Certificate] = ()) -> Verified:
    """That all of it holds: signature, columns, certificate and chain at that time, what the issuer then said of revocation, and that
    somebody of the chain is trusted today, by CARD_TRUST_ANCHORS or as one of `anchors`.

    Raises the subclasses of SignatureRefusedError and nothing else. What no signature covers cannot be found out: that `signed_at` was
    moved within the period of the revocation answer.
    """
    card, algorithm = verify_signature(stored)
    chain = _chain(stored, card)
    trusted = {anchor.der for anchor in (*chains.load_trust(settings.CARD_TRUST_ANCHORS).anchors, *anchors)}
    if not any(authority.der in trusted for authority in chain[1:]):
        raise AnchorNotTrustedError
    return Verified(
        certificate=card,
        algorithm=algorithm,
        data=stored.text,
        signature=stored.signature,
        chain=chain,
        revocation=_answer(stored, card, chain[1]),
        at=stored.signed_at,
    )


def verify_signature(stored: StoredSignature) -> tuple[Certificate, Algorithm]:
    """The signature over the text, and that the columns say what the certificate says; whoever issued that. Raises as `verify` does."""
    if not stored.chain:
        raise ChainBrokenError
    card = cards.load_card(stored.chain[0])
    algorithm = _algorithm(stored, card)
    facts = {"card_no": card.card_no, "holder_name": card.holder_name, "certificate_no": card.serial_no}
    for column, fact in facts.items():
        if getattr(stored, column) != fact:
            raise EvidenceAlteredError(column)
    # What is signed says which document it is about (`card_signing.keep`): a signature moved to another number does not pass for its.
    if not stored.document_no or stored.document_no.encode() not in stored.text:
        raise EvidenceAlteredError("document_no")
    return card, algorithm


def _algorithm(stored: StoredSignature, card: Certificate) -> Algorithm:
    """By which algorithm it is signed, which is what the column says."""
    if stored.algorithm == Algorithm.RSA_SHA1 and not settings.CARD_ACCEPT_SHA1:
        raise AlgorithmNotAcceptedError(stored.algorithm)
    found = algorithms.verify(
        key=card.key, data=stored.text, signature=stored.signature, accepts_sha1=stored.algorithm == Algorithm.RSA_SHA1
    )
    if found != stored.algorithm:
        raise EvidenceAlteredError("algorithm")
    return found


def _chain(stored: StoredSignature, card: Certificate) -> tuple[Certificate, ...]:
    """The stored certificates, when they are a chain as `chains` builds it, every one valid then and entitled to issue the one before."""
    authorities = tuple(certificates.load(der) for der in stored.chain[1:])
    if not authorities:
        raise ChainBrokenError
    try:
        built = chains.build_chain(card, trust=TrustStore(authorities[-1:], authorities[:-1]), at=stored.signed_at)
    except AuthorityNotValidError:
        raise
    except UnknownIssuerError as error:
        raise ChainBrokenError from error
    if built != (card, *authorities):
        raise ChainBrokenError
    return built


def _answer(stored: StoredSignature, card: Certificate, issuer: Certificate) -> Answer | None:
    """What the issuer said of the card, judged as of then. None where there is no answer and the operator asks for none."""
    answer = stored.revocation
    if answer is None:
        if settings.CARD_REVOCATION:
            raise RevocationAnswerMissingError
        return None
    # As it was then: whoever verified at that time had no newer one, or he would have kept it.
    at = stored.signed_at
    if answer.method == Method.CRL:
        grace = timedelta(seconds=settings.CARD_CRL_GRACE_SECONDS)
        crl = _list(answer)
        found = revocation.by_list(crl, certificate=card, issuer=issuer, at=at, now=at, grace=grace, source=answer.source)
    elif answer.method == Method.OCSP:
        _check_digest(answer)
        found = revocation.by_stored_ocsp(answer.der, certificate=card, issuer=issuer, at=at, now=at, source=answer.source)
    else:
        raise EvidenceAlteredError("method")
    for column in ("this_update", "next_update"):
        if getattr(answer, column) != getattr(found, column):
            raise EvidenceAlteredError(column)
    return found


@lru_cache(maxsize=2)
def _list(answer: StoredAnswer) -> RevocationList:
    """The list, read once for all that it speaks of: they follow one another, and a list has megabytes."""
    _check_digest(answer)
    crl = revocation.load_list(answer.der)
    if crl.der != answer.der:
        raise RevocationUnknownError
    return crl


def _check_digest(answer: StoredAnswer) -> None:
    if hashlib.sha256(answer.der).hexdigest() != answer.sha256:
        raise EvidenceAlteredError("sha256")
