"""What a CRL (RFC 5280 §5) or an OCSP answer (RFC 6960) says of a certificate. No network, no database: bytes in, answer out."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from accounts.signatures import algorithms, certificates
from accounts.signatures.certificates import Certificate
from accounts.signatures.refusals import (
    RevocationListTooOldError,
    RevocationUnknownError,
    RevokedError,
    SignatureRefusedError,
)

#: Clocks differ by this much.
SKEW = timedelta(minutes=5)
_NOT_READABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


class Method(StrEnum):
    """How it was asked."""

    CRL = "crl"
    OCSP = "ocsp"


@dataclass(frozen=True)
class Answer:
    """The certificate was not revoked, says this answer: what it takes to show that again."""

    method: Method
    #: Address or file it came from.
    source: str
    #: The signed bytes: the whole CRL or OCSP answer.
    der: bytes = field(repr=False)
    this_update: datetime
    next_update: datetime | None


@dataclass(frozen=True)
class RevocationList:
    """A CRL that could be read; nothing is said yet about who signed it."""

    der: bytes = field(repr=False)
    parsed: x509.CertificateRevocationList = field(repr=False, compare=False)
    this_update: datetime
    next_update: datetime | None
    #: Whether an authority (by its certificate) signed this list: worked out once, a list serves thousands of questions.
    _signers: dict[bytes, bool] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def revoked(self) -> dict[int, datetime]:
        """Serial number → since when; read once, where the library would go through the whole list for each question."""
        return {entry.serial_number: entry.revocation_date_utc for entry in self.parsed}

    def speaks_of(self, certificate: Certificate, issuer: Certificate) -> bool:
        """Whether `issuer` signed it, may sign such lists, and it would name `certificate` if that were revoked."""
        usage = issuer.extension(x509.KeyUsage)
        return (
            self.parsed.issuer == issuer.parsed.subject
            and (usage is None or bool(usage.crl_sign))
            and _covers(self.parsed, certificate)
            and self._is_signed_by(issuer)
        )

    def _is_signed_by(self, issuer: Certificate) -> bool:
        if issuer.der not in self._signers:
            self._signers[issuer.der] = algorithms.is_signed_by(
                key=issuer.key,
                algorithm_oid=self.parsed.signature_algorithm_oid.dotted_string,
                data=self.parsed.tbs_certlist_bytes,
                signature=self.parsed.signature,
            )
        return self._signers[issuer.der]

    def is_current(self, *, now: datetime, grace: timedelta) -> bool:
        """Whether it may still be used: until its next update, and `grace` longer. One that names no next update is good for `grace`."""
        return self.this_update <= now + SKEW and now <= (self.next_update or self.this_update) + grace


def load_list(der: bytes) -> RevocationList:
    """Read a CRL in DER or PEM. Raises RevocationUnknownError."""
    try:
        parsed = x509.load_pem_x509_crl(der) if der.startswith(b"-----") else x509.load_der_x509_crl(der)
        whole = parsed.public_bytes(serialization.Encoding.DER)
        return RevocationList(der=whole, parsed=parsed, this_update=parsed.last_update_utc, next_update=parsed.next_update_utc)
    except _NOT_READABLE as error:
        raise RevocationUnknownError from error


def by_list(
    crl: RevocationList, *, certificate: Certificate, issuer: Certificate, at: datetime, now: datetime, grace: timedelta, source: str
) -> Answer:
    """That `certificate` was not revoked at `at`, as the CRL says it.

    Raises RevokedError, RevocationListTooOldError, and RevocationUnknownError where the list is not the issuer's.
    """
    try:
        if not crl.speaks_of(certificate, issuer):
            raise RevocationUnknownError
        revoked_at = crl.revoked.get(certificate.parsed.serial_number)
    except _NOT_READABLE as error:
        raise RevocationUnknownError from error
    # An old list that names the certificate is proof enough.
    if revoked_at is not None and revoked_at <= at:
        raise RevokedError(revoked_at)
    if crl.this_update > now + SKEW:
        raise RevocationUnknownError
    if not crl.is_current(now=now, grace=grace):
        raise RevocationListTooOldError(crl.next_update or crl.this_update + grace)
    return Answer(Method.CRL, source, crl.der, crl.this_update, crl.next_update)


@dataclass(frozen=True)
class OcspQuestion:
    """A request, and what the answer must repeat."""

    der: bytes
    nonce: bytes


def ask_ocsp(*, certificate: Certificate, issuer: Certificate) -> OcspQuestion:
    """The OCSP request for one certificate, with a nonce."""
    nonce = secrets.token_bytes(32)
    # SHA-1 names the issuer here and protects nothing; it is what every responder understands.
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate.parsed, issuer.parsed, hashes.SHA1())  # noqa: S303
    request = builder.add_extension(x509.OCSPNonce(nonce), critical=False).build()
    return OcspQuestion(request.public_bytes(serialization.Encoding.DER), nonce)


def by_ocsp(
    der: bytes, *, question: OcspQuestion, certificate: Certificate, issuer: Certificate, at: datetime, now: datetime, source: str
) -> Answer:
    """That `certificate` was not revoked at `at`, as the OCSP answer `der` says it.

    Raises RevokedError, and RevocationUnknownError for whatever is no good answer to the question.
    """
    try:
        if not _has_nonce(ocsp.load_der_ocsp_response(der), question.nonce):
            raise RevocationUnknownError
    except _NOT_READABLE as error:
        raise RevocationUnknownError from error
    return _by_ocsp(der, question=question, issuer=issuer, at=at, now=now, source=source)


def by_stored_ocsp(der: bytes, *, certificate: Certificate, issuer: Certificate, at: datetime, now: datetime, source: str) -> Answer:
    """The same of an answer that was kept, whose question is gone: all but the nonce, which only kept old answers from being played back.

    Raises what `by_ocsp` does.
    """
    # Whoever asks again about this certificate names it in the same way.
    question = ask_ocsp(certificate=certificate, issuer=issuer)
    return _by_ocsp(der, question=question, issuer=issuer, at=at, now=now, source=source)


def _by_ocsp(der: bytes, *, question: OcspQuestion, issuer: Certificate, at: datetime, now: datetime, source: str) -> Answer:
    try:
        response = ocsp.load_der_ocsp_response(der)
        if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise RevocationUnknownError
        asked = ocsp.load_der_ocsp_request(question.der)
        single = next((one for one in response.responses if _is_about(one, asked)), None)
        if single is None or not _is_answered_by(response, issuer, now):
            raise RevocationUnknownError
        if single.certificate_status == ocsp.OCSPCertStatus.REVOKED:
            revoked_at = single.revocation_time_utc
            if revoked_at is None or revoked_at <= at:
                raise RevokedError(revoked_at or now)
        elif single.certificate_status != ocsp.OCSPCertStatus.GOOD:
            raise RevocationUnknownError
        this_update, next_update = single.this_update_utc, single.next_update_utc
        # Without a next update there is always newer information (RFC 6960 §4.2.2.1): good for this moment only.
        if this_update > now + SKEW or now > (next_update or this_update) + SKEW:
            raise RevocationUnknownError
        return Answer(Method.OCSP, source, der, this_update, next_update)
    except _NOT_READABLE as error:
        raise RevocationUnknownError from error


def _is_about(single: Any, asked: ocsp.OCSPRequest) -> bool:
    return bool(
        single.serial_number == asked.serial_number
        and isinstance(single.hash_algorithm, type(asked.hash_algorithm))
        and single.issuer_name_hash == asked.issuer_name_hash
        and single.issuer_key_hash == asked.issuer_key_hash
    )


def _has_nonce(response: ocsp.OCSPResponse, nonce: bytes) -> bool:
    """Responders may leave the nonce out; one that repeats another answers somebody else."""
    try:
        return bool(response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce)
    except x509.ExtensionNotFound:
        return True


def _is_answered_by(response: ocsp.OCSPResponse, issuer: Certificate, now: datetime) -> bool:
    """Whether the issuer signed the answer, or one whom it entitled to by a certificate (RFC 6960 §4.2.2.2)."""
    signers = [issuer]
    for parsed in response.certificates:
        try:
            delegate = certificates.load(parsed.public_bytes(serialization.Encoding.DER))
        except SignatureRefusedError:
            continue
        uses = delegate.extension(x509.ExtendedKeyUsage)
        if (
            delegate.parsed.issuer == issuer.parsed.subject
            and uses is not None
            and x509.ExtendedKeyUsageOID.OCSP_SIGNING in uses
            and delegate.is_valid_at(now)
            and algorithms.is_signed_by(
                key=issuer.key,
                algorithm_oid=delegate.parsed.signature_algorithm_oid.dotted_string,
                data=delegate.parsed.tbs_certificate_bytes,
                signature=delegate.parsed.signature,
            )
        ):
            signers.append(delegate)
    return any(
        algorithms.is_signed_by(
            key=signer.key,
            algorithm_oid=response.signature_algorithm_oid.dotted_string,
            data=response.tbs_response_bytes,
            signature=response.signature,
        )
        for signer in signers
    )


def list_addresses(certificate: Certificate) -> tuple[str, ...]:
    """Where the certificate says that its CRL is."""
    points = certificate.extension(x509.CRLDistributionPoints)
    return tuple(address for point in points or () for address in _http(point.full_name))


def ocsp_addresses(certificate: Certificate) -> tuple[str, ...]:
    """Where the certificate says that OCSP is answered."""
    access = certificate.extension(x509.AuthorityInformationAccess)
    return tuple(
        address
        for entry in access or ()
        if entry.access_method == x509.AuthorityInformationAccessOID.OCSP
        for address in _http([entry.access_location])
    )


def _http(names: Iterable[x509.GeneralName] | None) -> list[str]:
    return [
        name.value
        for name in names or ()
        if isinstance(name, x509.UniformResourceIdentifier) and name.value.startswith(("http://", "https://"))
    ]


def _covers(crl: x509.CertificateRevocationList, certificate: Certificate) -> bool:
    """Whether the list covers the certificate: no delta, not another part of the issuer's certificates, nothing critical not understood."""
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            return False
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl or value.only_contains_ca_certs or value.only_contains_attribute_certs or value.only_some_reasons:
                return False
            if value.relative_name or (value.full_name and not set(_http(value.full_name)) & set(list_addresses(certificate))):
                return False
        elif extension.critical:
            return False
    return True
