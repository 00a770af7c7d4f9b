"""From a card's certificate up to an anchor. Anchors and authorities between are files of the operator; cards bring none.

    CARD_TRUST_ANCHORS/*.pem|crt|cer|der                trusted as they are: roots, or an issuing authority whose root is not to be had
    CARD_TRUST_ANCHORS/intermediate/*.…                 must themselves lead to an anchor

An authority whose certificate is withdrawn is taken out of the directory; only cards' certificates are looked up for revocation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import structlog
from cryptography import x509

from accounts.signatures import algorithms, certificates
from accounts.signatures.certificates import PRIVATE_ARC, Certificate
from accounts.signatures.refusals import (
    AuthorityNotValidError,
    ExpiredError,
    NotYetValidError,
    SignatureRefusedError,
    UnknownIssuerError,
    WrongKeyUsageError,
)

log = structlog.get_logger(__name__)

ENDINGS = (".pem", ".crt", ".cer", ".der")
INTERMEDIATE = "intermediate"
#: Certificates between a card's and its anchor.
LONGEST = 4
#: Critical extensions that are looked at here, or say nothing that would forbid the use.
_UNDERSTOOD = frozenset(
    oid.dotted_string
    for oid in (
        x509.ExtensionOID.BASIC_CONSTRAINTS,
        x509.ExtensionOID.KEY_USAGE,
        x509.ExtensionOID.EXTENDED_KEY_USAGE,
        x509.ExtensionOID.CERTIFICATE_POLICIES,
        x509.ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        x509.ExtensionOID.CRL_DISTRIBUTION_POINTS,
    )
)


@dataclass(frozen=True)
class TrustStore:
    """Whom the operator trusts."""

    anchors: tuple[Certificate, ...] = ()
    intermediates: tuple[Certificate, ...] = ()


def load_trust(directory: Path) -> TrustStore:
    """The files in `directory`; read again only when one of them has changed. A file that is no certificate is logged and left out."""
    return _load_trust(directory, _state(directory), _state(directory / INTERMEDIATE))


def build_chain(certificate: Certificate, *, trust: TrustStore, at: datetime) -> tuple[Certificate, ...]:
    """The certificate, who issued it, … up to an anchor, all of them valid at `at`.

    Raises ExpiredError, NotYetValidError, UnknownIssuerError, and AuthorityNotValidError where only the authority's period or
    entitlement is in the way.
    """
    if at > certificate.valid_to:
        raise ExpiredError(certificate.valid_to)
    if at < certificate.valid_from:
        raise NotYetValidError(certificate.valid_from)
    refused: list[SignatureRefusedError] = []
    chain = _climb((certificate,), trust, at, refused)
    if chain is None:
        raise next(iter(refused), UnknownIssuerError())
    return chain


def check_signing_use(certificate: Certificate) -> None:
    """Raises WrongKeyUsageError unless the certificate is an end user's, for signatures, and demands nothing that is not understood."""
    usage = certificate.extension(x509.KeyUsage)
    constraints = certificate.extension(x509.BasicConstraints)
    if (constraints is not None and constraints.ca) or (usage is not None and not (usage.digital_signature or usage.content_commitment)):
        raise WrongKeyUsageError
    if not _is_understood(certificate):
        raise WrongKeyUsageError


def _climb(
    chain: tuple[Certificate, ...], trust: TrustStore, at: datetime, refused: list[SignatureRefusedError]
) -> tuple[Certificate, ...] | None:
    """The chain continued to an anchor; None where there is no way. Why a signer that is known was passed over goes into `refused`."""
    subject = chain[-1]
    for issuer, is_anchor in _candidates(subject, trust):
        if issuer in chain or not _signed(subject.der, issuer.der):
            continue
        if not (issuer.is_valid_at(at) and _may_issue(issuer, below=len(chain) - 1)):
            refused.append(AuthorityNotValidError())
            continue
        if is_anchor:
            return (*chain, issuer)
        if len(chain) <= LONGEST and (whole := _climb((*chain, issuer), trust, at, refused)) is not None:
            return whole
    return None


def _candidates(subject: Certificate, trust: TrustStore) -> Iterator[tuple[Certificate, bool]]:
    key_id = subject.extension(x509.AuthorityKeyIdentifier)
    for issuers, is_anchor in ((trust.anchors, True), (trust.intermediates, False)):
        for issuer in issuers:
            if issuer.parsed.subject != subject.parsed.issuer:
                continue
            its_id = issuer.extension(x509.SubjectKeyIdentifier)
            # Authorities renew their keys under the same name.
            if key_id is None or key_id.key_identifier is None or its_id is None or its_id.digest == key_id.key_identifier:
                yield issuer, is_anchor


def _may_issue(authority: Certificate, *, below: int) -> bool:
    """Whether it may sign certificates with `below` authorities between it and the card."""
    constraints = authority.extension(x509.BasicConstraints)
    usage = authority.extension(x509.KeyUsage)
    return (
        constraints is not None
        and constraints.ca
        and (constraints.path_length is None or constraints.path_length >= below)
        and (usage is None or usage.key_cert_sign)
        and _is_understood(authority)
    )


def _is_understood(certificate: Certificate) -> bool:
    return all(
        not extension.critical or extension.oid.dotted_string in _UNDERSTOOD or extension.oid.dotted_string.startswith(PRIVATE_ARC)
        for extension in certificate.extensions
    )


@lru_cache(maxsize=4096)
def _signed(subject: bytes, issuer: bytes) -> bool:
    """Whether one certificate is signed by the other's key. Cards come back; their certificates need not be verified each time."""
    parsed = certificates.load(subject).parsed
    return algorithms.is_signed_by(
        key=certificates.load(issuer).key,
        algorithm_oid=parsed.signature_algorithm_oid.dotted_string,
        data=parsed.tbs_certificate_bytes,
        signature=parsed.signature,
    )


def _state(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the certificate files of a directory."""
    if not directory.is_dir():
        return ()
    found = sorted(path for path in directory.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in found)


@lru_cache(maxsize=8)
def _load_trust(directory: Path, anchors: tuple[tuple[str, int, int], ...], between: tuple[tuple[str, int, int], ...]) -> TrustStore:
    return TrustStore(
        anchors=tuple(_read(directory, [name for name, _size, _time in anchors])),
        intermediates=tuple(_read(directory / INTERMEDIATE, [name for name, _size, _time in between])),
    )


def _read(directory: Path, names: list[str]) -> Iterator[Certificate]:
    for name in names:
        try:
            yield from certificates.load_all((directory / name).read_bytes())
        except (SignatureRefusedError, OSError):
            log.warning("trust_anchor_not_readable", file=str(directory / name))
