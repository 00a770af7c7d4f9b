"""Stored evidence, years later: it holds, and every lie in it is found with its own reason (CARD-07)."""

import dataclasses
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from asn1crypto import ocsp
from asn1crypto import x509 as asn1_x509
from pytest_django import Settings as PortalSettings

from accounts.signatures import certificates, chains, revocation, stored
from accounts.signatures.algorithms import Algorithm
from accounts.signatures.refusals import (
    AlgorithmNotAcceptedError,
    AnchorNotTrustedError,
    AuthorityNotValidError,
    ChainBrokenError,
    EvidenceAlteredError,
    ExpiredError,
    MalformedCertificateError,
    NotYetValidError,
    RevocationAnswerMissingError,
    RevocationListTooOldError,
    RevocationUnknownError,
    RevokedError,
    SignatureRefusedError,
    WrongKeyUsageError,
    WrongSignatureError,
)
from accounts.signatures.revocation import Method
from accounts.signatures.stored import StoredAnswer, StoredSignature
from simulators.cards import certificates as issuing
from simulators.cards.keys import Key, KeyType
from tests.accounts.signing import TEXT, THEN, TRIP_NO, card_of_then, chain_of, delegated_answer, verified
from tests.cards import HOLDER, Authorities, Card

KINDS = tuple(KeyType)
METHODS = tuple(Method)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """Authorities of the same names, whom nobody trusts."""
    return Authorities(tmp_path_factory.mktemp("strangers"))


@pytest.fixture(autouse=True)
def trusted(authorities: Authorities, tmp_path: Path, settings: PortalSettings) -> PortalSettings:
    """The portal trusts the roots, demands revocation, and has a network that nobody may use."""
    settings.CARD_TRUST_ANCHORS = authorities.trust(tmp_path / "anchors")
    settings.CARD_REVOCATION = ["ocsp", "crl"]
    settings.CARD_CRL_DIR = tmp_path / "crl"
    settings.CARD_CRL_GRACE_SECONDS = 0
    settings.CARD_ACCEPT_SHA1 = False
    return settings


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: Any, **_options: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(requests, "request", refused)


def digest(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def answer_row(der: bytes, method: Method) -> StoredAnswer:
    """A stored answer whose row fits its bytes."""
    if method == Method.CRL:
        crl = revocation.load_list(der)
        return StoredAnswer(digest(der), "crl", "test", der, crl.this_update, crl.next_update)
    parsed = ocsp.OCSPResponse.load(der).response_data["responses"][0]
    return StoredAnswer(digest(der), "ocsp", "test", der, parsed["this_update"].native, parsed["next_update"].native)


def evidence_of(card: Card, method: Method | None = Method.CRL, **changes: Any) -> StoredSignature:
    """What was stored of a signature three years ago."""
    seen = verified(card, method=method, **changes)
    answer = seen.revocation
    return StoredSignature(
        document_no=TRIP_NO,
        text=seen.data,
        signature=seen.signature,
        algorithm=str(seen.algorithm),
        card_no=seen.certificate.card_no,
        holder_name=seen.certificate.holder_name,
        certificate_no=seen.certificate.serial_no,
        chain=tuple(one.der for one in seen.chain),
        revocation=answer
        and StoredAnswer(digest(answer.der), answer.method, answer.source, answer.der, answer.this_update, answer.next_update),
        signed_at=seen.at,
    )


@pytest.fixture(scope="session", params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> KeyType:
    return request.param


@pytest.fixture(scope="session", params=METHODS, ids=str)
def method(request: pytest.FixtureRequest) -> Method:
    return request.param


@pytest.fixture(scope="session")
def good(authorities: Authorities, kind: KeyType, method: Method) -> StoredSignature:
    return evidence_of(card_of_then(authorities, kind), method)


@pytest.fixture(scope="session")
def by_list(authorities: Authorities) -> StoredSignature:
    return evidence_of(card_of_then(authorities))


def lie(good: StoredSignature, **changes: Any) -> StoredSignature:
    return dataclasses.replace(good, **changes)


def lie_in_answer(good: StoredSignature, **changes: Any) -> StoredSignature:
    assert good.revocation is not None
    return lie(good, revocation=dataclasses.replace(good.revocation, **changes))


def refused(evidence: StoredSignature, kind: type[SignatureRefusedError], **more: Any) -> SignatureRefusedError:
    with pytest.raises(SignatureRefusedError) as found:
        stored.verify(evidence, **more)
    assert type(found.value) is kind, found.value
    return found.value


@pytest.mark.covers("CARD-07", "CARD-08")
def test_it_holds_although_the_card_has_ended(good: StoredSignature, method: Method) -> None:
    seen = stored.verify(good)
    assert not seen.certificate.is_valid_at(datetime.now(UTC))
    assert (seen.certificate.card_no, seen.data, seen.at) == (HOLDER.card_no, TEXT.encode(), THEN)
    assert seen.algorithm == good.algorithm
    assert seen.revocation is not None
    assert seen.revocation.method == method


@pytest.mark.covers("CARD-07")
class TestText:
    def test_one_byte(self, good: StoredSignature) -> None:
        refused(lie(good, text=good.text[:-1] + b" "), WrongSignatureError)
        refused(lie(good, signature=good.signature[:-1] + bytes([good.signature[-1] ^ 1])), WrongSignatureError)

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("card_no", "2100000000002"),
            ("holder_name", "王操作"),
            ("certificate_no", "1A2B"),
            ("algorithm", "RSA-SHA512"),
            ("document_no", "202311210000000012026000000002"),
            ("document_no", ""),
        ],
    )
    def test_a_column(self, good: StoredSignature, column: str, value: str) -> None:
        found = refused(lie(good, **{column: value}), EvidenceAlteredError)
        assert found.params == {"column": column}

    def test_another_certificate_of_the_holder(self, by_list: StoredSignature, authorities: Authorities) -> None:
        other = card_of_then(authorities)
        refused(lie(by_list, chain=(other.certificate, *by_list.chain[1:])), WrongSignatureError)

    def test_no_certificate(self, by_list: StoredSignature) -> None:
        refused(lie(by_list, chain=(b"none", *by_list.chain[1:])), MalformedCertificateError)
        refused(lie(by_list, chain=()), ChainBrokenError)

    def test_a_certificate_that_is_not_for_signing(self, authorities: Authorities) -> None:
        good = evidence_of(card_of_then(authorities))
        card = authorities.card(valid_from=THEN - 200 * DAY, envelope=True)
        refused(lie(good, chain=(card.certificate, *good.chain[1:]), signature=card.sign(good.text)), WrongKeyUsageError)

    def test_sha1_only_where_it_is_accepted(self, authorities: Authorities, trusted: PortalSettings) -> None:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        card = card_of_then(authorities, KeyType.RSA_2048)
        old = lie(
            evidence_of(card),
            signature=card.key.private.sign(TEXT.encode(), padding.PKCS1v15(), hashes.SHA1()),
            algorithm=str(Algorithm.RSA_SHA1),
        )
        refused(old, AlgorithmNotAcceptedError)
        refused(lie(old, algorithm=str(Algorithm.RSA_SHA256)), WrongSignatureError)
        trusted.CARD_ACCEPT_SHA1 = True
        assert stored.verify(old).algorithm == Algorithm.RSA_SHA1


@pytest.mark.covers("CARD-07")
class TestChain:
    def test_before_and_after_the_certificates_time(self, good: StoredSignature) -> None:
        refused(lie(good, signed_at=THEN - 201 * DAY), NotYetValidError)
        refused(lie(good, signed_at=THEN + 166 * DAY), ExpiredError)

    @pytest.mark.parametrize("place", [1, 2])
    def test_a_link_of_the_same_name_and_another_key(
        self, good: StoredSignature, kind: KeyType, strangers: Authorities, place: int
    ) -> None:
        """Also where the forger has replaced all that is above."""
        stranger = chain_of(strangers.card(kind))
        forged = (*good.chain[:place], stranger[place].der, *good.chain[place + 1 :])
        refused(lie(good, chain=forged), ChainBrokenError)
        refused(lie(good, chain=(*good.chain[:place], *(one.der for one in stranger[place:]))), ChainBrokenError)

    def test_a_whole_chain_of_a_strangers(self, kind: KeyType, method: Method, strangers: Authorities) -> None:
        """All of it fits together; only nobody trusts it."""
        theirs = evidence_of(card_of_then(strangers, kind), method)
        refused(theirs, AnchorNotTrustedError)
        assert stored.verify(theirs, anchors=[certificates.load(theirs.chain[-1])])

    def test_too_short_too_long_in_disorder(self, by_list: StoredSignature) -> None:
        card, issuing_authority, root = by_list.chain
        for chain in ((card,), (card, root), (card, root, issuing_authority), (card, issuing_authority, issuing_authority, root)):
            refused(lie(by_list, chain=chain), ChainBrokenError)
        refused(lie(by_list, chain=(card, issuing_authority)), AnchorNotTrustedError)

    def test_no_certificate_above(self, by_list: StoredSignature) -> None:
        refused(lie(by_list, chain=(*by_list.chain[:-1], b"none")), MalformedCertificateError)

    @pytest.mark.parametrize("fault", ["expired", "later", "no authority", "no issuing"])
    def test_an_authority_that_was_none_then(self, authorities: Authorities, fault: str) -> None:
        authority = authorities.of(KeyType.P256)
        key = Key.generate(KeyType.P256)
        period = {"expired": (THEN - 900 * DAY, THEN - DAY), "later": (THEN + DAY, THEN + 900 * DAY)}.get(fault)
        usage = asn1_x509.KeyUsage({"digital_signature"})
        extensions = {
            "no authority": [],
            "no issuing": [
                issuing.extension("2.5.29.19", asn1_x509.BasicConstraints({"ca": True}), critical=True),
                issuing.extension("2.5.29.15", usage, critical=True),
            ],
        }.get(fault, issuing.authority_extensions(path_length=0))
        begin, end = period or (THEN - 900 * DAY, THEN + 900 * DAY)
        middle = issuing.sign_certificate(
            serial=77,
            subject=issuing.issuer_name(),
            public_key=key.public_info(),
            issuer=issuing.root_name(),
            issuer_key=authority.root_key,
            valid_from=begin,
            valid_to=end,
            extensions=extensions,
        )
        card = Card(Key.generate(KeyType.P256), b"", authority)
        card.certificate = issuing.sign_certificate(
            serial=78,
            subject=HOLDER.subject(),
            public_key=card.key.public_info(),
            issuer=issuing.issuer_name(),
            issuer_key=key,
            valid_from=THEN - 200 * DAY,
            valid_to=THEN + 200 * DAY,
            extensions=issuing.card_extensions(HOLDER, issuing.SIGNING_USES, ""),
        ).dump()
        good = evidence_of(card_of_then(authorities, KeyType.P256))
        seen = certificates.load(card.certificate)
        forged = lie(
            good,
            chain=(card.certificate, middle.dump(), good.chain[-1]),
            signature=card.sign(good.text),
            certificate_no=seen.serial_no,
        )
        refused(forged, AuthorityNotValidError)

    def test_the_anchor_has_been_replaced(
        self, good: StoredSignature, trusted: PortalSettings, strangers: Authorities, tmp_path: Path, kind: KeyType
    ) -> None:
        trusted.CARD_TRUST_ANCHORS = strangers.trust(tmp_path / "others", kind)
        refused(good, AnchorNotTrustedError)
        assert stored.verify(good, anchors=chains.load_trust(tmp_path / "anchors").anchors)
        trusted.CARD_TRUST_ANCHORS = tmp_path / "absent"
        refused(good, AnchorNotTrustedError)

    def test_a_trusted_card_is_no_anchor(self, by_list: StoredSignature, trusted: PortalSettings, tmp_path: Path) -> None:
        trusted.CARD_TRUST_ANCHORS = tmp_path / "absent"
        refused(by_list, AnchorNotTrustedError, anchors=[certificates.load(by_list.chain[0])])

    def test_the_issuing_authority_is_the_anchor_today(self, good: StoredSignature, trusted: PortalSettings, tmp_path: Path) -> None:
        trusted.CARD_TRUST_ANCHORS = tmp_path / "absent"
        assert stored.verify(good, anchors=[certificates.load(good.chain[1])])


@pytest.mark.covers("CARD-07")
class TestRevocation:
    def test_none_is_stored(self, good: StoredSignature, trusted: PortalSettings) -> None:
        refused(lie(good, revocation=None), RevocationAnswerMissingError)
        trusted.CARD_REVOCATION = []
        assert stored.verify(lie(good, revocation=None)).revocation is None
        # What is stored is looked at all the same.
        refused(lie_in_answer(good, der=b"none"), EvidenceAlteredError)

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("sha256", "0" * 64),
            ("method", "none"),
            ("this_update", THEN - 3 * DAY),
            ("next_update", THEN + 30 * DAY),
            ("next_update", None),
        ],
    )
    def test_a_column(self, good: StoredSignature, column: str, value: Any) -> None:
        assert refused(lie_in_answer(good, **{column: value}), EvidenceAlteredError).params == {"column": column}

    def test_the_other_method(self, good: StoredSignature, method: Method) -> None:
        other = Method.OCSP if method == Method.CRL else Method.CRL
        refused(lie_in_answer(good, method=str(other)), RevocationUnknownError)

    def test_no_byte_of_it(self, good: StoredSignature) -> None:
        assert good.revocation is not None
        der = good.revocation.der
        for place in (0, len(der) // 2, len(der) - 1):
            changed = der[:place] + bytes([der[place] ^ 1]) + der[place + 1 :]
            refused(lie_in_answer(good, der=changed), EvidenceAlteredError)
            refused(lie_in_answer(good, der=changed, sha256=digest(changed)), RevocationUnknownError)
        for junk in (b"", b"\x30\x00"):
            refused(lie_in_answer(good, der=junk, sha256=digest(junk)), RevocationUnknownError)

    def test_a_list_with_something_behind_it_or_as_text(self, by_list: StoredSignature) -> None:
        assert by_list.revocation is not None
        import base64

        pem = b"-----BEGIN X509 CRL-----\n" + base64.encodebytes(by_list.revocation.der) + b"-----END X509 CRL-----\n"
        for other in (by_list.revocation.der + b"\0", pem):
            refused(lie_in_answer(by_list, der=other, sha256=digest(other)), RevocationUnknownError)

    def test_somebody_elses(self, good: StoredSignature, kind: KeyType, method: Method, strangers: Authorities) -> None:
        """Of an authority of the same name."""
        theirs = evidence_of(card_of_then(strangers, kind), method)
        refused(lie(good, revocation=theirs.revocation), RevocationUnknownError)

    def test_about_another_certificate(self, authorities: Authorities, kind: KeyType) -> None:
        one, other = (evidence_of(card_of_then(authorities, kind), Method.OCSP) for _ in range(2))
        refused(lie(one, revocation=other.revocation), RevocationUnknownError)

    @pytest.mark.parametrize("days", [-30, 30])
    def test_of_another_time(self, authorities: Authorities, kind: KeyType, method: Method, days: int) -> None:
        card = card_of_then(authorities, kind)
        good, other = evidence_of(card, method), evidence_of(card, method, at=THEN + days * DAY)
        reason = RevocationListTooOldError if method == Method.CRL and days < 0 else RevocationUnknownError
        refused(lie(good, revocation=other.revocation), reason)

    def test_a_list_that_the_operator_lets_count_longer(self, by_list: StoredSignature, trusted: PortalSettings) -> None:
        later = lie(by_list, signed_at=THEN + 6 * DAY + timedelta(hours=1))
        refused(later, RevocationListTooOldError)
        trusted.CARD_CRL_GRACE_SECONDS = 7200
        assert stored.verify(later)

    def test_revoked_by_then_and_revoked_afterwards(self, authorities: Authorities, kind: KeyType, method: Method) -> None:
        card = card_of_then(authorities, kind)
        good = evidence_of(card, method)
        for revoked_at, holds in ((THEN + timedelta(minutes=2), True), (THEN - timedelta(minutes=2), False)):
            card.authority.revoke(card.serial, at=revoked_at)
            if method == Method.CRL:
                der = card.authority.write_crl(now=THEN)
            else:
                certificate, issuer, _root = chain_of(card)
                der = card.authority.answer_ocsp(revocation.ask_ocsp(certificate=certificate, issuer=issuer).der, now=THEN)
            told = lie(good, revocation=answer_row(der, method))
            if holds:
                assert stored.verify(told)
            else:
                refused(told, RevokedError)

    def test_who_forges_the_time_forges_no_answer_for_it(self, good: StoredSignature, method: Method) -> None:
        refused(lie(good, signed_at=THEN - 2 * DAY), RevocationUnknownError)
        refused(lie(good, signed_at=THEN + 30 * DAY), RevocationListTooOldError if method == Method.CRL else RevocationUnknownError)

    def test_within_the_answers_time_a_forged_time_is_not_found(self, by_list: StoredSignature) -> None:
        """The document says so: only the portal's word stands for the exact moment."""
        assert stored.verify(lie(by_list, signed_at=THEN + timedelta(hours=1)))


@pytest.mark.covers("CARD-07")
class TestDelegatedResponder:
    """Somebody answers for the issuer, entitled by a certificate that is in the answer."""

    @pytest.fixture
    def delegated(self, authorities: Authorities, kind: KeyType) -> Callable[..., StoredSignature]:
        def made(**changes: Any) -> StoredSignature:
            card = card_of_then(authorities, kind)
            return lie(evidence_of(card), revocation=answer_row(delegated_answer(card, **changes), Method.OCSP))

        return made

    def test_entitled(self, delegated: Callable[..., StoredSignature]) -> None:
        assert stored.verify(delegated()).revocation

    def test_not_entitled_over_not_the_issuers(
        self, delegated: Callable[..., StoredSignature], strangers: Authorities, kind: KeyType
    ) -> None:
        stranger = strangers.of(kind)
        for changes in ({"purpose": "client_auth"}, {"valid_to": THEN - SECOND}, {"valid_from": THEN + DAY}, {"by": stranger}):
            refused(delegated(**changes), RevocationUnknownError)
