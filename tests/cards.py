"""Cards for tests: an authority for each key type, cards issued by it in any period, signatures as cards make them, OpenSSL's opinion."""

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asn1crypto import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from simulators.cards import web
from simulators.cards.authority import Authority
from simulators.cards.certificates import ENVELOPE_USES, SIGNING_USES, Holder
from simulators.cards.keys import Key, KeyType

DISTINGUISHING_ID = "distid:1234567812345678"
HOLDER = Holder(
    name="李操作",
    id_no="210202199001010016",
    enterprise_name="大连测试国际货运代理有限公司",
    organisation_code="202600012",
    card_no="2100000000001",
)


@dataclass
class Card:
    """A card: its signing key and certificate."""

    key: Key
    certificate: bytes
    authority: Authority

    @property
    def serial(self) -> int:
        return int(x509.Certificate.load(self.certificate).serial_number)

    @property
    def as_text(self) -> str:
        """As the bridge gives it."""
        return base64.b64encode(self.certificate).decode()

    def sign(self, data: bytes, *, raw: bool = False) -> bytes:
        """A signature over `data`; with `raw` r‖s, where the key is of an elliptic curve."""
        signature = self.key.sign(data)
        if not raw or self.key.key_type == KeyType.RSA_2048:
            return signature
        return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


@dataclass
class Authorities:
    """The test authorities under one directory, made when first asked for."""

    home: Path
    url: str = "http://127.0.0.1:9"
    _made: dict[KeyType, Authority] = field(default_factory=dict)

    def of(self, key_type: KeyType) -> Authority:
        """The authority for cards of this key type."""
        if key_type not in self._made:
            self._made[key_type] = Authority.create(self.home / key_type.value, key_type, url=f"{self.url}/{key_type.value}")
        return self._made[key_type]

    def card(
        self,
        key_type: KeyType = KeyType.SM2,
        *,
        holder: Holder = HOLDER,
        valid_from: datetime | None = None,
        days: float = 365,
        envelope: bool = False,
    ) -> Card:
        """A card of the authority for its key type."""
        begin = valid_from or datetime.now(UTC) - timedelta(hours=1)
        key = Key.generate(key_type)
        certificate = self.of(key_type).issue(
            holder=holder,
            key=key,
            uses=ENVELOPE_USES if envelope else SIGNING_USES,
            valid_from=begin,
            valid_to=begin + timedelta(days=days),
        )
        return Card(key, certificate.dump(), self.of(key_type))

    def trust(self, directory: Path, *key_types: KeyType) -> Path:
        """Fill a directory of anchors with the roots, and its `intermediate` with the issuing authorities; gives it back."""
        (directory / "intermediate").mkdir(parents=True, exist_ok=True)
        for key_type in key_types or tuple(KeyType):
            authority = self.of(key_type)
            (directory / f"{key_type.value}.pem").write_bytes((authority.home / "root.pem").read_bytes())
            (directory / "intermediate" / f"{key_type.value}.pem").write_bytes((authority.home / "ca.pem").read_bytes())
        return directory

    @contextmanager
    def serving(self) -> Iterator[str]:
        """CRL and OCSP over HTTP while it lasts; authorities made afterwards carry its address."""
        homes = {kind.value: self.home / kind.value for kind in KeyType}
        server = web.server(homes, host="127.0.0.1", port=0)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self.url
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def openssl(*words: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run OpenSSL; gives what it said."""
    return subprocess.run(["openssl", *map(str, words)], input=stdin, capture_output=True, check=False)


def public_key_pem(certificate: bytes) -> bytes:
    """The certificate's public key, as OpenSSL extracts it."""
    return openssl("x509", "-inform", "DER", "-pubkey", "-noout", stdin=certificate).stdout


def openssl_accepts(certificate: bytes, data: bytes, signature: bytes, *, key_type: KeyType, home: Path) -> bool:
    """OpenSSL's opinion of a signature (DER for elliptic curves)."""
    key, body, signed = home / "key.pem", home / "data", home / "signature"
    key.write_bytes(public_key_pem(certificate))
    body.write_bytes(data)
    signed.write_bytes(signature)
    if key_type == KeyType.SM2:
        options = ["-digest", "sm3", "-pkeyopt", DISTINGUISHING_ID]
        done = openssl("pkeyutl", "-verify", "-rawin", *options, "-pubin", "-inkey", key, "-in", body, "-sigfile", signed)
    else:
        done = openssl("dgst", "-sha256", "-verify", key, "-signature", signed, body)
    return done.returncode == 0
