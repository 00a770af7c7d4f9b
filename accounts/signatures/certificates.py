"""What a certificate says (domain.md §2), read once and whole: whoever has a `Certificate` needs not expect a parsing error any more."""

import base64
import binascii
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from accounts.signatures import sm2
from accounts.signatures.refusals import MalformedCertificateError, UnsupportedKeyError

#: Cards' certificates have some two thousand bytes.
LARGEST = 16 * 1024
#: Arc of the private extensions.
PRIVATE_ARC = "1.3.6.1.4.1.5315.100."
ENTERPRISE_NAME, HOLDER_ID_NO, CARD_NO, ORGANISATION_CODE = (PRIVATE_ARC + arc for arc in ("5.1", "5.8", "5.9", "5.11"))
CARD_NO_PREFIX = "03-"
#: UTF8String, PrintableString, IA5String.
_TEXT_TAGS = (0x0C, 0x13, 0x16)
#: SubjectPublicKeyInfo of an SM2 key up to the point's coordinates.
_SM2_INFO = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
_RSA_BITS = range(2048, 8193)
_NOT_READABLE = (ValueError, TypeError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm)


class KeyKind(StrEnum):
    """What the public key is."""

    SM2 = "SM2"
    RSA = "RSA"
    EC = "EC"


@dataclass(frozen=True)
class PublicKey:
    """A public key that has been checked: x‖y of an SM2 point on its curve, or what `cryptography` made of the others."""

    kind: KeyKind
    material: Any = field(repr=False)

    @property
    def name(self) -> str:
        """SM2, RSA-2048, P-256: as people write it."""
        match self.kind:
            case KeyKind.RSA:
                return f"RSA-{self.material.key_size}"
            case KeyKind.EC:
                return f"P-{self.material.key_size}"
        return "SM2"


@dataclass(frozen=True)
class Certificate:
    """A certificate. The four facts of a card are empty where it does not say them, as an authority's does not."""

    der: bytes = field(repr=False)
    #: Certificate number, hex, as the card bridge gives it.
    serial_no: str
    holder_name: str
    #: Never into a log.
    holder_id_no: str = field(repr=False)
    enterprise_name: str
    organisation_code: str
    card_no: str
    valid_from: datetime
    valid_to: datetime
    subject: str
    issuer: str
    key: PublicKey
    parsed: x509.Certificate = field(repr=False, compare=False)
    extensions: x509.Extensions = field(repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the whole, hex."""
        return self.parsed.fingerprint(hashes.SHA256()).hex()

    def is_valid_at(self, at: datetime) -> bool:
        """Whether its period includes `at`."""
        return self.valid_from <= at <= self.valid_to

    def ends_within(self, period: timedelta, *, at: datetime) -> bool:
        """Whether it is good at `at` and ends before `period` has passed: time to warn (CARD-08)."""
        return self.is_valid_at(at) and self.valid_to - at < period

    def private_text(self, oid: str) -> str:
        """The text of a private extension; empty where there is none, or it holds something else."""
        try:
            return _private(self.extensions, oid)
        except (MalformedCertificateError, ValueError):
            return ""

    def extension(self, kind: type[Any]) -> Any:
        """The value of an extension, None where there is none."""
        try:
            return self.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None


def load(data: bytes | str) -> Certificate:
    """Read DER, base64 of DER (as the card bridge gives it) or PEM.

    Raises MalformedCertificateError and UnsupportedKeyError.
    """
    der = _der(data)
    try:
        parsed = x509.load_der_x509_certificate(der)
        extensions = parsed.extensions
        return Certificate(
            der=der,
            serial_no=f"{parsed.serial_number:X}",
            holder_name=_attribute(parsed.subject, x509.NameOID.COMMON_NAME),
            holder_id_no=_private(extensions, HOLDER_ID_NO),
            enterprise_name=_private(extensions, ENTERPRISE_NAME) or _attribute(parsed.subject, x509.NameOID.ORGANIZATIONAL_UNIT_NAME),
            organisation_code=_private(extensions, ORGANISATION_CODE),
            card_no=_private(extensions, CARD_NO).removeprefix(CARD_NO_PREFIX),
            valid_from=parsed.not_valid_before_utc,
            valid_to=parsed.not_valid_after_utc,
            subject=parsed.subject.rfc4514_string(),
            issuer=parsed.issuer.rfc4514_string(),
            key=_key(parsed),
            parsed=parsed,
            extensions=extensions,
        )
    except _NOT_READABLE as error:
        raise MalformedCertificateError from error


def load_all(data: bytes) -> list[Certificate]:
    """Every certificate of a file: several in PEM, or one. Raises what `load` does."""
    if b"-----BEGIN" not in data:
        return [load(data)]
    try:
        return [load(parsed.public_bytes(serialization.Encoding.DER)) for parsed in x509.load_pem_x509_certificates(data)]
    except ValueError as error:
        raise MalformedCertificateError from error


def _der(data: bytes | str) -> bytes:
    raw = data.encode("ascii", errors="replace") if isinstance(data, str) else bytes(data)
    if len(raw) > 2 * LARGEST:
        raise MalformedCertificateError
    if raw[:1] != b"\x30":
        lines = [line.strip() for line in raw.splitlines() if b"-----" not in line]
        try:
            raw = base64.b64decode(b"".join(lines), validate=True)
        except (binascii.Error, ValueError) as error:
            raise MalformedCertificateError from error
    if not 0 < len(raw) <= LARGEST:
        raise MalformedCertificateError
    return raw


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""


def _private(extensions: x509.Extensions, oid: str) -> str:
    """The text of a private extension, a DER string. Raises MalformedCertificateError where it is something else."""
    try:
        value = extensions.get_extension_for_oid(x509.ObjectIdentifier(oid)).value
    except x509.ExtensionNotFound:
        return ""
    if not isinstance(value, x509.UnrecognizedExtension):
        raise MalformedCertificateError
    tag, content, end = element(value.value, 0)
    if tag not in _TEXT_TAGS or end != len(value.value):
        raise MalformedCertificateError
    return content.decode("utf-8").strip()


def _key(parsed: x509.Certificate) -> PublicKey:
    info = _public_key_info(parsed.tbs_certificate_bytes)
    if info.startswith(_SM2_INFO):
        point = info[len(_SM2_INFO) :]
        if not sm2.is_on_curve(point):
            raise UnsupportedKeyError
        return PublicKey(KeyKind.SM2, point)
    try:
        key = parsed.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnsupportedKeyError from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        return PublicKey(KeyKind.RSA, key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return PublicKey(KeyKind.EC, key)
    raise UnsupportedKeyError


def _public_key_info(body: bytes) -> bytes:
    """SubjectPublicKeyInfo of a TBSCertificate that `cryptography` could read: it hands out only keys that it knows."""
    _tag, content, _end = element(body, 0)
    position = 0
    if content[0] == 0xA0:
        _tag, _version, position = element(content, 0)
    for _field in ("serial", "signature", "issuer", "validity", "subject"):
        _tag, _value, position = element(content, position)
    _tag, _value, end = element(content, position)
    return content[position:end]


def element(data: bytes, position: int) -> tuple[int, bytes, int]:
    """(tag, content, position after it) of one DER element with a tag of one byte. Raises ValueError where it is cut off or no DER."""
    head = data[position : position + 2]
    if len(head) != 2 or head[0] & 0x1F == 0x1F:
        raise ValueError("no DER element")
    length, start = head[1], position + 2
    if length & 0x80:
        width = length & 0x7F
        if not 1 <= width <= 4:
            raise ValueError("no DER length")
        length, start = int.from_bytes(data[start : start + width], "big"), start + width
    if start + length > len(data):
        raise ValueError("cut off")
    return head[0], data[start : start + length], start + length
