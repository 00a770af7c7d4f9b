"""What a card's certificate says of its holder (`domain.md` §2: the authority's private extensions)."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from card_bridge import tlv
from card_bridge.crypto import PublicKey, public_key
from card_bridge.errors import BadArgumentsError

_PRIVATE = "1.3.6.1.4.1.5315.100."
_ENTERPRISE, _MODE, _ID_NUMBER, _CARD, _ORGANISATION = (_PRIVATE + end for end in ("5.1", "5.3", "5.8", "5.9", "5.11"))
_CARD_PREFIX = "03-"
_TIME = "%Y%m%d%H%M%S"


@dataclass(frozen=True)
class Certificate:
    """A certificate taken apart. What it does not say is empty. Times are the certificate's own (UTC)."""

    der: bytes
    key: PublicKey
    number: str
    holder: str
    enterprise: str
    enterprise_mode: str
    organisation_code: str
    id_number: str
    card_number: str
    starts_at: datetime
    ends_at: datetime

    @property
    def base64(self) -> str:
        """The DER in base64 without header lines."""
        return base64.b64encode(self.der).decode("ascii")

    def period(self) -> dict[str, str]:
        """Begin and end as SpcGetValidTimeFromCert gives them."""
        return {"szStartTime": self.starts_at.strftime(_TIME), "szEndTime": self.ends_at.strftime(_TIME)}


def load(der: bytes) -> Certificate:
    """Take a certificate apart. Raises ValueError when it is none, or its key is of a kind that no card here has."""
    try:
        return _load(der)
    except (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, IndexError) as error:
        raise ValueError("a certificate that cannot be used") from error


def _load(der: bytes) -> Certificate:
    tbs = _tbs(der)
    number = _serial(tbs)
    # The library's parser knows SM2 certificates but for their key, which is read here.
    parsed = x509.load_der_x509_certificate(der)
    private = _private_values(parsed)
    card = private.get(_CARD, "")
    return Certificate(
        der=der,
        key=public_key(_spki(tbs)),
        number=number,
        holder=_first(parsed.subject, NameOID.COMMON_NAME),
        enterprise=private.get(_ENTERPRISE) or _first(parsed.subject, NameOID.ORGANIZATIONAL_UNIT_NAME),
        enterprise_mode=private.get(_MODE, ""),
        organisation_code=private.get(_ORGANISATION, ""),
        id_number=private.get(_ID_NUMBER, ""),
        card_number=card.removeprefix(_CARD_PREFIX),
        starts_at=parsed.not_valid_before_utc,
        ends_at=parsed.not_valid_after_utc,
    )


def load_from_page(text: object) -> Certificate:
    """A certificate as a page hands it over: base64 DER, with or without the PEM lines. Raises BadArgumentsError."""
    if not isinstance(text, str):
        raise BadArgumentsError("证书应为 base64 文本。")
    lines = [line.strip() for line in text.strip().splitlines() if not line.startswith("-----")]
    try:
        return load(base64.b64decode("".join(lines), validate=True))
    except (ValueError, binascii.Error) as error:
        raise BadArgumentsError("证书无法识别：应为 X.509 证书的 base64 文本（SM2、RSA-2048 或 P-256）。") from error


def _private_values(parsed: x509.Certificate) -> dict[str, str]:
    found: dict[str, str] = {}
    for extension in parsed.extensions:
        oid = extension.oid.dotted_string
        if oid.startswith(_PRIVATE) and isinstance(extension.value, x509.UnrecognizedExtension):
            _, text, _ = tlv.read(extension.value.value)
            found[oid] = text.decode("utf-8")
    return found


def _first(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = name.get_attributes_for_oid(oid)
    return str(values[0].value) if values else ""


def _tbs(der: bytes) -> bytes:
    """The TBSCertificate of a certificate."""
    _, contents, _ = tlv.read(der)
    _, _, end = tlv.read(contents)
    return contents[:end]


def _fields(tbs: bytes) -> list[tuple[int, bytes, bytes]]:
    """Tag, contents and whole bytes of each field of a TBSCertificate, from the serial number on."""
    _, contents, _ = tlv.read(tbs)
    found, at = [], 0
    while at < len(contents):
        tag, value, end = tlv.read(contents, at)
        found.append((tag, value, contents[at:end]))
        at = end
    return found[1:] if found and found[0][0] == 0xA0 else found


def _serial(tbs: bytes) -> str:
    # As the official control writes it: the bytes of the number, leading zero digits kept, without a byte that only carries the sign.
    number = _fields(tbs)[0][1]
    if tlv.integer(number) == 0:
        raise ValueError("a serial number that is none")
    return (number[1:] if len(number) > 1 and number[0] == 0 else number).hex()


def _spki(tbs: bytes) -> bytes:
    return _fields(tbs)[5][2]
