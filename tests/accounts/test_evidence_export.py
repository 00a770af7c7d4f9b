"""Exported evidence: its files, and OpenSSL alone judging them by the commands of docs/protocol/evidence.md."""

import base64
import hashlib
import json
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from accounts.models import User
from accounts.services import evidence
from accounts.signatures import algorithms, certificates
from accounts.signatures.revocation import Method
from simulators.cards.keys import KeyType
from tests.accounts.signing import TEXT, THEN, Signing, card_of_then, delegated_answer
from tests.cards import Authorities, openssl

pytestmark = pytest.mark.django_db
KINDS = tuple(KeyType)
METHODS = tuple(Method)


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture
def sign(operator: User, authorities: Authorities) -> Signing:
    return Signing(operator, authorities)


def write(content: dict[str, bytes], directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (directory / name).write_bytes(data)
    return directory


def run(commands: str, directory: Path) -> subprocess.CompletedProcess[bytes]:
    """As somebody pastes them into a shell; the first that fails ends it."""
    return subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=directory, capture_output=True, check=False)


@pytest.mark.covers("CARD-07", "CARD-08")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_files(sign: Signing, authorities: Authorities, kind: KeyType, method: Method) -> None:
    card = card_of_then(authorities, kind)
    kept = sign(card, method=method)
    content = evidence.files(kept)
    signature = "signature.bin" if kind == KeyType.RSA_2048 else "signature.der"
    assert set(content) == {
        "text.txt",
        "signature.b64",
        signature,
        "certificate.pem",
        "chain-1.pem",
        "chain-2.pem",
        "anchor.pem",
        f"revocation.{method}",
        "README.txt",
        "manifest.json",
    }
    assert content["text.txt"] == TEXT.encode()
    assert base64.b64decode(content["signature.b64"]) == kept.signature
    assert certificates.load(content["certificate.pem"]).der == card.certificate
    assert content["anchor.pem"] == content["chain-2.pem"]
    assert certificates.load(content["chain-1.pem"]).der == card.authority.certificate.dump()
    manifest = json.loads(content["manifest.json"])
    assert manifest["sha256"] == {name: hashlib.sha256(data).hexdigest() for name, data in content.items() if name != "manifest.json"}
    facts = ("algorithm", "card_no", "holder_name", "document_no", "certificate_no")
    assert [manifest[name] for name in facts] == [getattr(kept, name) for name in facts]
    assert (manifest["signed_at"], manifest["signed_at_epoch"]) == (THEN.isoformat(), int(THEN.timestamp()))


def test_a_signature_in_der_stays_as_it_is(sign: Signing, authorities: Authorities) -> None:
    kept = sign(card_of_then(authorities), raw=False)
    assert evidence.files(kept)["signature.der"] == kept.signature


def test_of_two_meanings_the_right_one(authorities: Authorities) -> None:
    """A DER signature as long as r‖s, which happens to be rare."""
    card = authorities.card(KeyType.P256)
    key = certificates.load(card.certificate).key
    data = b"text"
    raw = card.sign(data, raw=True)
    assert algorithms.for_openssl(key=key, data=data, signature=raw)[:1] == b"\x30"
    assert algorithms.for_openssl(key=key, data=data, signature=b"neither") == b"neither"


def test_broken_evidence_is_exported_as_it_is(sign: Signing, authorities: Authorities) -> None:
    kept = sign(card_of_then(authorities))
    kept.chain = [b"no certificate", *kept.chain[1:]]
    kept.revocation.method = "../../etc/passwd"
    content = evidence.files(kept)
    assert base64.b64decode(b"".join(content["certificate.pem"].splitlines()[1:-1])) == b"no certificate"
    assert content["signature.der"] == kept.signature
    assert "revocation.der" in content
    assert not any("/" in name for name in content)


DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "protocol" / "evidence.md").read_text(encoding="utf-8")
NAMES = {KeyType.SM2: "SM2", KeyType.RSA_2048: "RSA", KeyType.P256: "P-256"}


def commands(title: str) -> str:
    """What stands below a heading of the document."""
    found = re.search(rf"^### {re.escape(title)}\n.*?^```sh\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def steps(kind: KeyType, method: Method) -> list[str]:
    """The commands for one kind of key: signature, chain, revocation."""
    family = "SM2" if kind == KeyType.SM2 else "RSA and P-256"
    return [commands(f"{NAMES[kind]}: signature"), commands(f"{family}: chain"), commands(f"{family}: {method.upper()}")]


@pytest.mark.covers("CARD-07", "CARD-08")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
class TestOpenSslAlone:
    """The document's own commands, in an exported directory."""

    @pytest.fixture
    def exported(self, sign: Signing, authorities: Authorities, kind: KeyType, method: Method, tmp_path: Path) -> Path:
        return write(evidence.files(sign(card_of_then(authorities, kind), method=method)), tmp_path / "exported")

    def test_good_evidence(self, exported: Path, kind: KeyType, method: Method) -> None:
        done = run("".join(steps(kind, method)), exported)
        assert done.returncode == 0, done.stderr.decode()

    def test_the_readme_has_the_same_commands(self, exported: Path, kind: KeyType, method: Method) -> None:
        text = (exported / "README.txt").read_text(encoding="utf-8")
        assert [step for step in steps(kind, method) if step not in text] == []

    @pytest.mark.parametrize("name", ["text.txt", "signature"])
    def test_one_changed_byte(self, exported: Path, kind: KeyType, method: Method, name: str) -> None:
        path = next(exported.glob(f"{name}*" if name == "text.txt" else "signature.[db]*[rn]"))
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert run(steps(kind, method)[0], exported).returncode != 0
        path.write_bytes(good)
        assert run(steps(kind, method)[0], exported).returncode == 0

    def test_another_time(self, exported: Path, kind: KeyType, method: Method) -> None:
        manifest = exported / "manifest.json"
        good = manifest.read_text()
        for moment in (THEN - timedelta(days=300), THEN + timedelta(days=300)):
            manifest.write_text(good.replace(str(int(THEN.timestamp())), str(int(moment.timestamp()))))
            assert run(steps(kind, method)[1], exported).returncode != 0

    def test_another_authority(self, exported: Path, kind: KeyType, method: Method, tmp_path: Path) -> None:
        """Of the same names; only the keys tell."""
        stranger = Authorities(tmp_path / "stranger").of(kind)
        for name, certificate in (("chain-1.pem", "ca.pem"), ("chain-2.pem", "root.pem")):
            good = (exported / name).read_bytes()
            (exported / name).write_bytes((stranger.home / certificate).read_bytes())
            assert run(steps(kind, method)[1], exported).returncode != 0
            if name == "chain-1.pem":
                assert run("AT=1700555415\n" + steps(kind, method)[2], exported).returncode != 0
            (exported / name).write_bytes(good)

    def test_a_revoked_card(self, exported: Path, authorities: Authorities, kind: KeyType, method: Method) -> None:
        """What the authority says of a card that was revoked by then; and that with a byte changed."""
        at = f"AT={int(THEN.timestamp())}\n"
        revocation = exported / f"revocation.{method}"
        assert run(at + steps(kind, method)[2], exported).returncode == 0
        good = revocation.read_bytes()
        revocation.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        assert run(at + steps(kind, method)[2], exported).returncode != 0
        authority = authorities.of(kind)
        authority.revoke(certificates.load((exported / "certificate.pem").read_bytes()).parsed.serial_number, at=THEN - timedelta(hours=1))
        if method == Method.CRL:
            revocation.write_bytes(authority.write_crl(now=THEN - timedelta(minutes=5)))
        else:
            request = exported / "request"
            openssl("ocsp", "-issuer", exported / "chain-1.pem", "-cert", exported / "certificate.pem", "-reqout", request)
            revocation.write_bytes(authority.answer_ocsp(request.read_bytes(), now=THEN))
        assert run(at + steps(kind, method)[2], exported).returncode != 0


@pytest.mark.covers("CARD-07")
def test_an_sm2_answer_by_a_delegated_responder(sign: Signing, authorities: Authorities, tmp_path: Path) -> None:
    """The document's way where the issuer's own key does not fit: the responder's certificate is taken out of the answer."""
    card = card_of_then(authorities)
    exported = write(evidence.files(sign(card, method=Method.OCSP)), tmp_path / "exported")
    at = f"AT={int(THEN.timestamp())}\n"
    by_responder = commands("SM2: OCSP by a delegated responder")
    for purpose, holds in (("ocsp_signing", True), ("client_auth", False)):
        (exported / "revocation.ocsp").write_bytes(delegated_answer(card, purpose=purpose))
        assert run(at + commands("SM2: OCSP"), exported).returncode != 0
        assert (run(by_responder, exported).returncode == 0) == holds
    stranger = Authorities(tmp_path / "stranger").of(KeyType.SM2)
    (exported / "revocation.ocsp").write_bytes(delegated_answer(card, by=stranger))
    assert run(at + commands("SM2: OCSP"), exported).returncode != 0
    assert run(by_responder, exported).returncode != 0
