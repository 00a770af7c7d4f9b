"""Evidence for tests: signatures of years ago, with what the authority said then."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import core, ocsp, x509

from accounts.models import EvidenceKind, SignatureEvidence, User
from accounts.services import card_signing
from accounts.signatures import algorithms, cards, certificates, chains, revocation
from accounts.signatures.certificates import Certificate
from accounts.signatures.revocation import Answer, Method
from simulators.cards import certificates as issuing
from simulators.cards.authority import Authority
from simulators.cards.keys import Key, KeyType
from tests.cards import Authorities, Card

TRIP_NO = "202311210000000012026000000001"
TEXT = f"申报 车次 {TRIP_NO}\n企业：大连测试国际货运代理有限公司\n重量 25000 千克\n"
THEN = datetime(2023, 11, 21, 8, 30, 15, 123456, tzinfo=UTC)


def card_of_then(authorities: Authorities, kind: KeyType = KeyType.SM2) -> Card:
    """A card that was good three years ago and has ended since."""
    return authorities.card(kind, valid_from=THEN - timedelta(days=200), days=365)


def chain_of(card: Card) -> tuple[Certificate, ...]:
    """The card's certificate, the issuing authority's, the root's."""
    return tuple(certificates.load(der) for der in (card.certificate, card.authority.certificate.dump(), card.authority.root.dump()))


def answer_of(card: Card, method: Method, *, at: datetime = THEN) -> Answer:
    """What the authority said of the card at that time."""
    certificate, issuer, _root = chain_of(card)
    asked: dict[str, Any] = {"certificate": certificate, "issuer": issuer, "at": at, "now": at, "source": "http://ca.test/answer"}
    if method == Method.CRL:
        crl = revocation.load_list(card.authority.write_crl(now=at - timedelta(days=1)))
        return revocation.by_list(crl, grace=timedelta(), **asked)
    question = revocation.ask_ocsp(certificate=certificate, issuer=issuer)
    return revocation.by_ocsp(card.authority.answer_ocsp(question.der, now=at), question=question, **asked)


def verified(card: Card, *, text: str = TEXT, method: Method | None = Method.CRL, at: datetime = THEN, raw: bool = True) -> cards.Verified:
    """What `cards.verify` gave at that time; the signature r‖s unless not `raw`."""
    chain = chain_of(card)
    signature = card.sign(text.encode(), raw=raw)
    return cards.Verified(
        certificate=chain[0],
        algorithm=algorithms.verify(key=chain[0].key, data=text.encode(), signature=signature),
        data=text.encode(),
        signature=signature,
        chain=chains.build_chain(chain[0], trust=chains.TrustStore(chain[2:], chain[1:2]), at=at),
        revocation=answer_of(card, method, at=at) if method else None,
        at=at,
    )


def delegated_answer(
    card: Card,
    *,
    purpose: str = "ocsp_signing",
    by: Authority | None = None,
    valid_from: datetime = THEN - timedelta(days=10),
    valid_to: datetime = THEN + timedelta(days=10),
) -> bytes:
    """The issuer's answer of that time, signed by a responder whom `by`, the issuer itself, entitled."""
    issuer = by or card.authority
    certificate, parsed_issuer, _root = chain_of(card)
    question = revocation.ask_ocsp(certificate=certificate, issuer=parsed_issuer)
    answer = ocsp.OCSPResponse.load(card.authority.answer_ocsp(question.der, now=THEN))
    key = Key.generate(card.key.key_type)
    responder = issuing.sign_certificate(
        serial=99,
        subject=x509.Name.build({"country_name": "CN", "common_name": "OCSP"}),
        public_key=key.public_info(),
        issuer=issuer.certificate.subject,
        issuer_key=issuer.key,
        valid_from=valid_from,
        valid_to=valid_to,
        extensions=[issuing.extension("2.5.29.37", x509.ExtKeyUsageSyntax([purpose]))],
    )
    data = answer["response_bytes"]["response"].parsed["tbs_response_data"].copy()
    data["responder_id"] = ocsp.ResponderId(name="by_key", value=issuing.key_id(key.public_info()))
    basic = ocsp.BasicOCSPResponse(
        {
            "tbs_response_data": data,
            "signature_algorithm": key.signature_algorithm(),
            "signature": core.OctetBitString(key.sign(data.dump())),
            "certs": [responder],
        }
    )
    content = {"response_type": "basic_ocsp_response", "response": basic}
    return bytes(ocsp.OCSPResponse({"response_status": "successful", "response_bytes": content}).dump())


@dataclass
class Signing:
    """Keeps evidence for one user."""

    actor: User
    authorities: Authorities
    count: int = field(default=0)

    def __call__(self, card: Card, *, document_no: str = TRIP_NO, answer: Answer | None = None, **changes: Any) -> SignatureEvidence:
        self.count += 1
        text = changes.pop("text", TEXT).replace(TRIP_NO, document_no)
        seen = verified(card, text=text, **changes)
        return card_signing.keep(
            verified=seen if answer is None else replace(seen, revocation=answer),
            actor=self.actor,
            enterprise_id=self.actor.enterprise_id,
            kind=EvidenceKind.FILING,
            subject="smartgate.filing.1",
            document_no=document_no,
            version=self.count,
        )
