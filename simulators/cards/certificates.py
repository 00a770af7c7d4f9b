"""Certificates as domain.md §2 describes those of 中国电子口岸, signed by whoever holds an authority's key."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import core, keys, x509

from simulators.cards.keys import Key

#: Arc of the private extensions.
PRIVATE = "1.3.6.1.4.1.5315.100"
ISSUER = {
    "country_name": "CN",
    "state_or_province_name": "北京",
    "locality_name": "北京",
    "organization_name": "中国电子口岸",
    "organizational_unit_name": "证书管理中心",
    "common_name": "中国电子业务证书管理中心",
}
ROOT = {"country_name": "CN", "organization_name": "测试用，不具法律效力", "common_name": "卡模拟器测试根证书"}
SIGNING_USES = {"digital_signature", "non_repudiation"}
ENVELOPE_USES = {"key_encipherment", "data_encipherment", "key_agreement"}


@dataclass(frozen=True)
class Holder:
    """Whose card it is: what goes into subject and private extensions."""

    name: str
    id_no: str
    enterprise_name: str
    organisation_code: str
    card_no: str

    def subject(self) -> x509.Name:
        """C=CN, OU=enterprise, CN=holder."""
        return x509.Name.build(
            {"country_name": "CN", "organizational_unit_name": self.enterprise_name, "common_name": self.name}, use_printable=False
        )

    def private_extensions(self) -> list[x509.Extension]:
        """The meaning of the last four is not published; the values are those that are seen."""
        values = {
            "5.1": self.enterprise_name,
            "5.8": self.id_no,
            "5.9": f"03-{self.card_no}",
            "5.11": self.organisation_code,
            "5.3": "01",
            "5.12": "00",
            "2.1": "12",
            "2.4": "14",
        }
        return [extension(f"{PRIVATE}.{arc}", core.UTF8String(value)) for arc, value in values.items()]


def issuer_name() -> x509.Name:
    """The issuing authority's name, which is the real one's: only the key tells the test authority from it."""
    return x509.Name.build(ISSUER, use_printable=False)


def root_name() -> x509.Name:
    """The root says what it is."""
    return x509.Name.build(ROOT, use_printable=False)


def extension(oid: str, value: core.Asn1Value, *, critical: bool = False) -> x509.Extension:
    """One extension."""
    return x509.Extension({"extn_id": oid, "critical": critical, "extn_value": core.ParsableOctetString(value.dump())})


def new_serial() -> int:
    """Eight random bytes, positive: the certificate number of a card is this in hex."""
    return secrets.randbits(62) | 1 << 62


def key_id(info: keys.PublicKeyInfo) -> bytes:
    """SHA-1 of the key's bits (RFC 5280 §4.2.1.2), which only tells keys apart."""
    return bytes(info.sha1)


def sign_certificate(
    *,
    serial: int,
    subject: x509.Name,
    public_key: keys.PublicKeyInfo,
    issuer: x509.Name,
    issuer_key: Key,
    valid_from: datetime,
    valid_to: datetime,
    extensions: list[x509.Extension],
) -> x509.Certificate:
    """A certificate, version 3, with the two key identifiers before `extensions`."""
    algorithm = issuer_key.signature_algorithm()
    identifiers = [
        extension("2.5.29.14", core.OctetString(key_id(public_key))),
        extension("2.5.29.35", x509.AuthorityKeyIdentifier({"key_identifier": key_id(issuer_key.public_info())})),
    ]
    body = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": serial,
            "signature": algorithm,
            "issuer": issuer,
            "validity": {"not_before": _time(valid_from), "not_after": _time(valid_to)},
            "subject": subject,
            "subject_public_key_info": public_key,
            "extensions": [*identifiers, *extensions],
        }
    )
    return x509.Certificate({"tbs_certificate": body, "signature_algorithm": algorithm, "signature_value": issuer_key.sign(body.dump())})


def authority_extensions(*, path_length: int) -> list[x509.Extension]:
    """What makes a certificate one of an authority."""
    constraints = x509.BasicConstraints({"ca": True, "path_len_constraint": path_length})
    return [
        extension("2.5.29.19", constraints, critical=True),
        extension("2.5.29.15", x509.KeyUsage({"key_cert_sign", "crl_sign"}), critical=True),
    ]


def card_extensions(holder: Holder, uses: set[str], url: str) -> list[x509.Extension]:
    """What a card's certificate says beside its subject; CRL and OCSP are asked for under `url`."""
    points = x509.CRLDistributionPoints([{"distribution_point": x509.DistributionPointName(name="full_name", value=[_uri(f"{url}/crl")])}])
    access = x509.AuthorityInfoAccessSyntax(
        [
            {"access_method": "ocsp", "access_location": _uri(f"{url}/ocsp")},
            {"access_method": "ca_issuers", "access_location": _uri(f"{url}/ca")},
        ]
    )
    return [
        extension("2.5.29.15", x509.KeyUsage(uses), critical=True),
        extension("2.5.29.31", points),
        extension("1.3.6.1.5.5.7.1.1", access),
        *holder.private_extensions(),
    ]


def _uri(address: str) -> x509.GeneralName:
    return x509.GeneralName(name="uniform_resource_identifier", value=address)


def _time(moment: datetime) -> x509.Time:
    """UTCTime until 2049, as RFC 5280 wants it."""
    moment = moment.replace(microsecond=0)
    if moment.year < 2050:
        return x509.Time(name="utc_time", value=core.UTCTime(moment))
    return x509.Time(name="general_time", value=core.GeneralizedTime(moment))
