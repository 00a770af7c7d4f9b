"""The test authority in a directory: root, issuing authority, what it issued and revoked, its CRL and its OCSP answers.

root.pem, ca.pem              certificates
root.key, ca.key              PKCS#8, readable by their owner only
issued.json                   serial → card number, and when revoked
ca.crl                        the CRL, made anew by every revocation
README.txt                    says that it is a test
"""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from asn1crypto import core, crl, ocsp, pem, x509

from simulators.cards import certificates
from simulators.cards.certificates import Holder
from simulators.cards.keys import Key, KeyType

DEFAULT_URL = "http://127.0.0.1:18990"
YEARS_OF_ROOT, YEARS_OF_CA = 30, 20
CRL_DAYS = 7
README = """This directory is a TEST AUTHORITY made by `python -m simulators.cards`.
The issuing authority carries the name of 中国电子业务证书管理中心; it is not that authority, and only its key tells.
Never put root.pem or ca.pem among the trust anchors of a portal that anybody relies on.

本目录为卡模拟器生成的测试证书机构，仅供演示和测试，所签发证书不具法律效力。
"""


@dataclass
class Authority:
    """Root and issuing authority of one key type."""

    home: Path
    url: str
    root: x509.Certificate
    root_key: Key
    certificate: x509.Certificate
    key: Key

    @classmethod
    def create(cls, home: Path, key_type: KeyType, *, url: str = DEFAULT_URL, now: datetime | None = None) -> Self:
        """A new authority in `home`, with a CRL that revokes nothing. It is valid since 20 years: expired cards can be made."""
        now = now or datetime.now(UTC)
        begin = now - timedelta(days=365 * 20)
        root_key, key = Key.generate(key_type), Key.generate(key_type)
        root = certificates.sign_certificate(
            serial=certificates.new_serial(),
            subject=certificates.root_name(),
            public_key=root_key.public_info(),
            issuer=certificates.root_name(),
            issuer_key=root_key,
            valid_from=begin,
            valid_to=now + timedelta(days=365 * YEARS_OF_ROOT),
            extensions=certificates.authority_extensions(path_length=1),
        )
        certificate = certificates.sign_certificate(
            serial=certificates.new_serial(),
            subject=certificates.issuer_name(),
            public_key=key.public_info(),
            issuer=certificates.root_name(),
            issuer_key=root_key,
            valid_from=begin,
            valid_to=now + timedelta(days=365 * YEARS_OF_CA),
            extensions=certificates.authority_extensions(path_length=0),
        )
        home.mkdir(parents=True, exist_ok=True)
        for name, private in (("root.key", root_key), ("ca.key", key)):
            path = home / name
            path.touch(mode=0o600)
            path.write_bytes(pem.armor("PRIVATE KEY", private.pkcs8()))
        for name, made in (("root.pem", root), ("ca.pem", certificate)):
            (home / name).write_bytes(pem.armor("CERTIFICATE", made.dump()))
        (home / "README.txt").write_text(README, encoding="utf-8")
        authority = cls(home, url, root, root_key, certificate, key)
        authority._write_issued({"url": url, "certificates": {}})
        authority.write_crl(now=now)
        return authority

    @classmethod
    def load(cls, home: Path) -> Self:
        """The authority that is in `home`."""
        root_key, key = (Key.from_pkcs8(_unarmored(home / name)) for name in ("root.key", "ca.key"))
        root, certificate = (x509.Certificate.load(_unarmored(home / name)) for name in ("root.pem", "ca.pem"))
        issued = json.loads((home / "issued.json").read_text(encoding="utf-8"))
        return cls(home, issued["url"], root, root_key, certificate, key)

    @classmethod
    def in_directory(cls, home: Path, key_type: KeyType, *, url: str = DEFAULT_URL) -> Self:
        """The authority that is in `home`; a new one where there is none."""
        return cls.load(home) if (home / "issued.json").exists() else cls.create(home, key_type, url=url)

    def issue(self, *, holder: Holder, key: Key, uses: set[str], valid_from: datetime, valid_to: datetime) -> x509.Certificate:
        """A card's certificate; noted in issued.json."""
        serial = certificates.new_serial()
        made = certificates.sign_certificate(
            serial=serial,
            subject=holder.subject(),
            public_key=key.public_info(),
            issuer=self.certificate.subject,
            issuer_key=self.key,
            valid_from=valid_from,
            valid_to=valid_to,
            extensions=certificates.card_extensions(holder, uses, self.url),
        )
        issued = self._issued()
        issued["certificates"][f"{serial:X}"] = {"card_no": holder.card_no, "revoked_at": None}
        self._write_issued(issued)
        return made

    def revoke(self, serial: int, *, at: datetime | None = None) -> None:
        """Revoke one certificate and write the CRL anew. Raises KeyError for a serial that was not issued here."""
        at = at or datetime.now(UTC)
        issued = self._issued()
        issued["certificates"][f"{serial:X}"]["revoked_at"] = at.astimezone(UTC).isoformat(timespec="seconds")
        self._write_issued(issued)
        self.write_crl()

    def write_crl(self, *, now: datetime | None = None, days: float = CRL_DAYS) -> bytes:
        """Make the CRL, keep it in ca.crl, and give its DER."""
        now = (now or datetime.now(UTC)).replace(microsecond=0)
        algorithm = self.key.signature_algorithm()
        body: dict[str, Any] = {
            "version": "v2",
            "signature": algorithm,
            "issuer": self.certificate.subject,
            "this_update": x509.Time(name="utc_time", value=core.UTCTime(now)),
            "next_update": x509.Time(name="utc_time", value=core.UTCTime(now + timedelta(days=days))),
            "crl_extensions": [
                _crl_extension("2.5.29.35", x509.AuthorityKeyIdentifier({"key_identifier": certificates.key_id(self.key.public_info())})),
                _crl_extension("2.5.29.20", core.Integer(int(now.timestamp()))),
            ],
        }
        revoked = [
            {
                "user_certificate": int(serial, 16),
                "revocation_date": x509.Time(name="utc_time", value=core.UTCTime(datetime.fromisoformat(entry["revoked_at"]))),
                "crl_entry_extensions": [_entry_extension("2.5.29.21", crl.CRLReason("key_compromise"))],
            }
            for serial, entry in self._issued()["certificates"].items()
            if entry["revoked_at"]
        ]
        if revoked:
            body["revoked_certificates"] = revoked
        listed = crl.TbsCertList(body)
        signed = crl.CertificateList(
            {"tbs_cert_list": listed, "signature_algorithm": algorithm, "signature": self.key.sign(listed.dump())}
        ).dump()
        _write(self.home / "ca.crl", signed)
        return bytes(signed)

    def answer_ocsp(self, request: bytes, *, now: datetime | None = None, minutes: float = 60.0) -> bytes:
        """The OCSP answer (RFC 6960) to a request in DER, signed by the issuing authority itself; for what it never issued: unknown."""
        now = (now or datetime.now(UTC)).replace(microsecond=0)
        asked = ocsp.OCSPRequest.load(request, strict=True)["tbs_request"]
        issued = self._issued()["certificates"]
        responses = []
        for single in asked["request_list"]:
            certificate_id = single["req_cert"]
            responses.append(
                {
                    "cert_id": certificate_id,
                    "cert_status": self._status(certificate_id, issued),
                    "this_update": core.GeneralizedTime(now),
                    "next_update": core.GeneralizedTime(now + timedelta(minutes=minutes)),
                }
            )
        body: dict[str, Any] = {
            "responder_id": ocsp.ResponderId(name="by_key", value=certificates.key_id(self.key.public_info())),
            "produced_at": core.GeneralizedTime(now),
            "responses": responses,
        }
        nonce = asked.native.get("request_extensions") and next(
            (extension for extension in asked["request_extensions"] if extension["extn_id"].native == "nonce"), None
        )
        if nonce:
            body["response_extensions"] = [{"extn_id": "nonce", "critical": False, "extn_value": nonce["extn_value"].copy()}]
        data = ocsp.ResponseData(body)
        basic = ocsp.BasicOCSPResponse(
            {
                "tbs_response_data": data,
                "signature_algorithm": self.key.signature_algorithm(),
                "signature": core.OctetBitString(self.key.sign(data.dump())),
            }
        )
        return bytes(
            ocsp.OCSPResponse(
                {"response_status": "successful", "response_bytes": {"response_type": "basic_ocsp_response", "response": basic}}
            ).dump()
        )

    def _status(self, certificate_id: ocsp.CertId, issued: dict[str, Any]) -> ocsp.CertStatus:
        digest = certificate_id["hash_algorithm"]["algorithm"].native
        ours = hashlib.new(digest, bytes(self.certificate["tbs_certificate"]["subject_public_key_info"]["public_key"])).digest()
        entry = issued.get(f"{certificate_id['serial_number'].native:X}")
        if entry is None or certificate_id["issuer_key_hash"].native != ours:
            return ocsp.CertStatus(name="unknown", value=core.Null())
        if not entry["revoked_at"]:
            return ocsp.CertStatus(name="good", value=core.Null())
        when = core.GeneralizedTime(datetime.fromisoformat(entry["revoked_at"]))
        return ocsp.CertStatus(name="revoked", value={"revocation_time": when, "revocation_reason": "key_compromise"})

    def _issued(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads((self.home / "issued.json").read_text(encoding="utf-8"))
        return known

    def _write_issued(self, issued: dict[str, Any]) -> None:
        _write(self.home / "issued.json", json.dumps(issued, indent=1, ensure_ascii=False).encode())


def _crl_extension(oid: str, value: core.Asn1Value) -> crl.TBSCertListExtension:
    return crl.TBSCertListExtension({"extn_id": oid, "critical": False, "extn_value": core.ParsableOctetString(value.dump())})


def _entry_extension(oid: str, value: core.Asn1Value) -> crl.CRLEntryExtension:
    return crl.CRLEntryExtension({"extn_id": oid, "critical": False, "extn_value": core.ParsableOctetString(value.dump())})


def _unarmored(path: Path) -> bytes:
    _kind, _headers, der = pem.unarmor(path.read_bytes())
    return bytes(der)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: whoever reads meanwhile gets the old file."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    beside.write_bytes(content)
    beside.replace(path)
