"""Cards without hardware: what OpenSSL and OpenSC see, PINs, APDUs of the good and of the hostile, the reader."""

import base64
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.cards import cardfile, sm2
from simulators.cards.__main__ import make_card, revoke_card
from simulators.cards.authority import Authority
from simulators.cards.cardfile import BlockedError, CardFile, WrongPinError
from simulators.cards.keys import KeyType
from simulators.cards.piv import ALGORITHMS, ATR, PivCard
from tests.cards import DISTINGUISHING_ID, HOLDER, openssl, openssl_accepts
from tests.pcsc import READER, ROOT, Service, Slot, card_in_reader, needs_reader, running_service, wait_until

PIN = "88888888"
WRONG = "123456"
KINDS = tuple(KeyType)
DATA = "申报".encode() * 50


@pytest.fixture(autouse=True, scope="module")
def _quick_pins() -> Iterator[None]:
    """Tests make PINs by the dozen and prove nothing about PBKDF2; the file says how often it was iterated."""
    patch = pytest.MonkeyPatch()
    patch.setattr(cardfile, "ITERATIONS", 1000)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cards")


@pytest.fixture(scope="module")
def stock(home: Path) -> dict[KeyType, Path]:
    """A card of each kind, left as it is: tests copy it."""
    return {kind: make_card(out=home / kind.value, authorities=home / "authority", key_type=kind, holder=HOLDER).path for kind in KINDS}


@pytest.fixture
def card_of(stock: dict[KeyType, Path], tmp_path: Path) -> Callable[[KeyType], CardFile]:
    """A fresh copy of a card."""

    def copied(kind: KeyType) -> CardFile:
        path = tmp_path / f"{kind.value}.json"
        path.write_bytes(stock[kind].read_bytes())
        return CardFile.load(path)

    return copied


class TestAuthority:
    """What it issues is what domain.md describes, for OpenSSL too."""

    @pytest.mark.covers("CARD-08")
    @pytest.mark.parametrize("kind", KINDS)
    def test_openssl_reads_the_certificate(self, card_of: Callable[[KeyType], CardFile], kind: KeyType) -> None:
        card = card_of(kind)
        text = openssl(
            "x509", "-inform", "DER", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus_space", stdin=card.certificate
        ).stdout.decode()
        assert "Issuer: C=CN, ST=北京, L=北京, O=中国电子口岸, OU=证书管理中心, CN=中国电子业务证书管理中心" in text
        assert f"Subject: C=CN, OU={HOLDER.enterprise_name}, CN={HOLDER.name}" in text
        signed_by = {KeyType.SM2: "SM2-with-SM3", KeyType.RSA_2048: "sha256WithRSAEncryption", KeyType.P256: "ecdsa-with-SHA256"}
        assert f"Signature Algorithm: {signed_by[kind]}" in text
        assert "Digital Signature, Non Repudiation" in text
        assert f"/{kind.value}/crl" in text
        assert f"OCSP - URI:http://127.0.0.1:18990/{kind.value}/ocsp" in text
        envelope = openssl("x509", "-inform", "DER", "-noout", "-text", stdin=card.envelope_certificate).stdout.decode()
        assert "Key Encipherment, Data Encipherment, Key Agreement" in envelope

    def test_identifiers_and_private_extensions(self, card_of: Callable[[KeyType], CardFile]) -> None:
        parsed = openssl("asn1parse", "-inform", "DER", stdin=card_of(KeyType.SM2).certificate).stdout.decode()
        # OpenSSL prints the name of an algorithm, and the numbers of what has none.
        assert parsed.count(":SM2-with-SM3") == 2
        assert ":sm2\n" in parsed
        lines = [line.strip() for line in parsed.splitlines()]
        seen = {}
        for line, value in pairwise(lines):
            if ":1.3.6.1.4.1.5315.100." in line:
                seen[line.rsplit("5315.100.", 1)[1]] = bytes.fromhex(value.rsplit("[HEX DUMP]:", 1)[1])
        texts = {arc: (content[0], content[2:].decode()) for arc, content in seen.items()}
        utf8 = 0x0C
        assert texts == {
            "5.1": (utf8, HOLDER.enterprise_name),
            "5.8": (utf8, HOLDER.id_no),
            "5.9": (utf8, "03-2100000000001"),
            "5.11": (utf8, HOLDER.organisation_code),
            "5.3": (utf8, "01"),
            "5.12": (utf8, "00"),
            "2.1": (utf8, "12"),
            "2.4": (utf8, "14"),
        }

    @pytest.mark.parametrize("kind", KINDS)
    def test_openssl_verifies_both_certificates(
        self, home: Path, card_of: Callable[[KeyType], CardFile], kind: KeyType, tmp_path: Path
    ) -> None:
        authority, card = home / "authority" / kind.value, card_of(kind)
        extra = ["-vfyopt", DISTINGUISHING_ID] if kind == KeyType.SM2 else []
        for der in (card.certificate, card.envelope_certificate):
            (tmp_path / "card.pem").write_bytes(openssl("x509", "-inform", "DER", stdin=der).stdout)
            for file, issuer in ((tmp_path / "card.pem", "ca.pem"), (authority / "ca.pem", "root.pem")):
                done = openssl("verify", *extra, "-x509_strict", "-partial_chain", "-trusted", authority / issuer, file)
                assert done.returncode == 0, done.stderr
        stranger = Authority.create(tmp_path / "stranger", kind)
        done = openssl("verify", *extra, "-partial_chain", "-trusted", stranger.home / "ca.pem", tmp_path / "card.pem")
        assert done.returncode != 0

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_list_names_what_is_revoked(self, kind: KeyType, tmp_path: Path) -> None:
        card = make_card(out=tmp_path, authorities=tmp_path / "authority", key_type=kind, holder=HOLDER)
        home = tmp_path / "authority" / kind.value
        serial = openssl("x509", "-inform", "DER", "-noout", "-serial", stdin=card.certificate).stdout.decode().strip().split("=")[1]
        before = openssl("crl", "-inform", "DER", "-noout", "-text", "-in", home / "ca.crl").stdout.decode()
        assert "No Revoked Certificates" in before
        revoke_card(card=card, authorities=tmp_path / "authority")
        after = openssl("crl", "-inform", "DER", "-noout", "-text", "-in", home / "ca.crl").stdout.decode()
        assert f"Serial Number: {serial}" in after
        assert "Key Compromise" in after
        if kind == KeyType.SM2:
            return  # `openssl crl` and `verify -crl_check` know no signer's id: see the next test
        done = openssl("crl", "-inform", "DER", "-noout", "-in", home / "ca.crl", "-CAfile", home / "ca.pem")
        assert b"verify OK" in done.stderr
        (tmp_path / "card.pem").write_bytes(openssl("x509", "-inform", "DER", stdin=card.certificate).stdout)
        (tmp_path / "crl.pem").write_bytes(openssl("crl", "-inform", "DER", "-in", home / "ca.crl").stdout)
        words = ["-CAfile", home / "root.pem", "-untrusted", home / "ca.pem", "-crl_check", "-CRLfile", tmp_path / "crl.pem"]
        done = openssl("verify", *words, tmp_path / "card.pem")
        assert b"certificate revoked" in done.stderr

    def test_the_signature_of_an_sm2_list(self, home: Path, stock: dict[KeyType, Path], tmp_path: Path) -> None:
        """OpenSSL 3 gives a CRL no signer's id; with its own tools the body is taken out and verified."""
        authority = home / "authority" / "sm2"
        lines = openssl("asn1parse", "-inform", "DER", "-in", authority / "ca.crl").stdout.decode().splitlines()
        at = {"body": lines[1].split(":")[0].strip(), "signature": lines[-1].split(":")[0].strip()}
        for name, offset in at.items():
            openssl("asn1parse", "-inform", "DER", "-in", authority / "ca.crl", "-strparse", offset, "-noout", "-out", tmp_path / name)
        certificate = openssl("x509", "-in", authority / "ca.pem", "-outform", "DER").stdout
        body, signature = (tmp_path / "body").read_bytes(), (tmp_path / "signature").read_bytes()
        assert openssl_accepts(certificate, body, signature, key_type=KeyType.SM2, home=tmp_path)

    def test_keys_are_their_owners_and_the_directory_says_what_it_is(self, home: Path, stock: dict[KeyType, Path]) -> None:
        for kind in KINDS:
            for name in ("root.key", "ca.key"):
                assert stat.S_IMODE((home / "authority" / kind.value / name).stat().st_mode) == 0o600
            assert "TEST AUTHORITY" in (home / "authority" / kind.value / "README.txt").read_text()
            done = openssl("pkey", "-in", home / "authority" / kind.value / "ca.key", "-noout", "-check")
            assert b"Key is valid" in done.stdout + done.stderr


class TestCardFile:
    """PIN, tries, the command that makes it."""

    def test_the_format(self, stock: dict[KeyType, Path]) -> None:
        for kind, path in stock.items():
            content = json.loads(path.read_text())
            assert content["format"] == "lnsw-software-card/1"
            assert content["key_type"] == kind.value
            assert content["card_no"] == HOLDER.card_no
            assert set(content["key"]) == {"salt", "nonce", "iterations", "ciphertext"}
            assert base64.b64decode(content["certificate"])[:1] == b"\x30"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_who_reads_the_format_by_its_description_gets_the_key(self, stock: dict[KeyType, Path]) -> None:
        """As the bridge does, with nothing of the simulator."""
        import hashlib

        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        content = json.loads(stock[KeyType.SM2].read_text())
        sealed = {name: value if name == "iterations" else base64.b64decode(value) for name, value in content["key"].items()}
        secret = hashlib.pbkdf2_hmac("sha256", PIN.encode(), sealed["salt"], sealed["iterations"])
        pkcs8 = AESGCM(secret).decrypt(sealed["nonce"], sealed["ciphertext"], None)
        public = openssl("pkey", "-inform", "DER", "-pubout", stdin=pkcs8).stdout
        assert public == openssl("x509", "-inform", "DER", "-pubkey", "-noout", stdin=base64.b64decode(content["certificate"])).stdout

    @pytest.mark.parametrize("kind", KINDS)
    def test_wrong_pins_are_counted_in_the_file(self, card_of: Callable[[KeyType], CardFile], kind: KeyType) -> None:
        card = card_of(kind)
        with pytest.raises(WrongPinError) as wrong:
            card.open(WRONG)
        assert wrong.value.tries_left == 5
        assert CardFile.load(card.path).tries_left == 5
        card.open(PIN)
        assert CardFile.load(card.path).tries_left == 6
        for left in range(5, -1, -1):
            with pytest.raises(WrongPinError) as wrong:
                CardFile.load(card.path).open(WRONG)
            assert wrong.value.tries_left == left
        with pytest.raises(BlockedError):
            card.open(PIN)

    def test_another_pin(self, card_of: Callable[[KeyType], CardFile]) -> None:
        card = card_of(KeyType.SM2)
        with pytest.raises(WrongPinError):
            card.change_pin(WRONG, "654321")
        for pin in ("12345", "123456789", "abcdef", "１２３４５６", ""):
            with pytest.raises(ValueError, match="6 to 8 digits"):
                card.change_pin(PIN, pin)
        card.change_pin(PIN, "654321")
        with pytest.raises(WrongPinError):
            CardFile.load(card.path).open(PIN)
        assert CardFile.load(card.path).open("654321").signing.key_type == KeyType.SM2

    def test_the_command(self, tmp_path: Path) -> None:
        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run([sys.executable, "-m", "simulators.cards", *words], cwd=ROOT, capture_output=True, text=True, check=False)

        out = str(tmp_path / "cards")
        made = run("make", "--out", out, "--key-type", "p256", "--card-no", "2100000000007", "--holder", "王管理")
        assert made.returncode == 0, made.stderr
        path = Path(made.stdout.strip())
        assert path == tmp_path / "cards" / "2100000000007.json"
        first = path.read_bytes()
        assert run("make", "--out", out, "--card-no", "2100000000007", "--keep").returncode == 0
        assert path.read_bytes() == first
        for words in (("--pin", "12"), ("--card-no", "1"), ("--credit-code", "1")):
            refused = run("make", "--out", out, *words)
            assert refused.returncode == 1
            assert "Traceback" not in refused.stderr
        assert run("revoke", str(path), "--authority", f"{out}/authority").returncode == 0
        assert 'revoked_at": "2' in (tmp_path / "cards" / "authority" / "p256" / "issued.json").read_text()
        (tmp_path / "none.json").write_text("{}")
        assert "is no software card" in run("run", str(tmp_path / "none.json")).stderr

    def test_expired_and_future_cards(self, tmp_path: Path) -> None:
        now = datetime.now(UTC)
        for begin, days, accepted in ((now - timedelta(days=50), 30, False), (now + timedelta(days=5), 30, False), (now, 30, True)):
            card = make_card(
                out=tmp_path,
                authorities=tmp_path / "a",
                key_type=KeyType.P256,
                holder=HOLDER,
                valid_from=begin - timedelta(minutes=1),
                days=days,
            )
            (tmp_path / "card.pem").write_bytes(openssl("x509", "-inform", "DER", stdin=card.certificate).stdout)
            done = openssl("verify", "-partial_chain", "-trusted", tmp_path / "a" / "p256" / "ca.pem", tmp_path / "card.pem")
            assert (done.returncode == 0) == accepted


SELECT = bytes.fromhex("00A4040009A0000003080000100000")
STATUS = bytes.fromhex("00200080")


def verify_apdu(pin: str) -> bytes:
    return bytes.fromhex("0020008008") + pin.encode().ljust(8, b"\xff")


def get_data(tag: str) -> bytes:
    value = bytes.fromhex(tag)
    return bytes.fromhex("00CB3FFF") + bytes([len(value) + 2, 0x5C, len(value)]) + value + b"\x00"


def exchange(card: PivCard, apdu: bytes) -> bytes:
    """One command with all that follows of its answer: the data, then the status word."""
    answer = card.answer(apdu)
    data = answer[:-2]
    while answer[-2] == 0x61:
        answer = card.answer(bytes.fromhex("00C00000") + answer[-1:])
        data += answer[:-2]
    return data + answer[-2:]


def sign_apdus(kind: KeyType, block: bytes, slot: int = 0x9C) -> list[bytes]:
    """GENERAL AUTHENTICATE in pieces of at most 255 bytes."""
    size = len(block).to_bytes(2, "big")
    inner = b"\x82\x00\x81\x82" + size + block
    template = b"\x7c\x82" + len(inner).to_bytes(2, "big") + inner
    parts = [template[at : at + 255] for at in range(0, len(template), 255)]
    head = bytes([0x87, ALGORITHMS[kind], slot])
    return [b"\x10" + head + bytes([len(part)]) + part for part in parts[:-1]] + [
        b"\x00" + head + bytes([len(parts[-1])]) + parts[-1] + b"\x00"
    ]


def block_for(kind: KeyType, card: CardFile, data: bytes) -> bytes:
    """What a host hands a card to sign `data`."""
    import hashlib

    match kind:
        case KeyType.SM2:
            return sm2.digest_of(card.open(PIN).signing.public_point(), data)
        case KeyType.P256:
            return hashlib.sha256(data).digest()
    info = bytes.fromhex("3031300D060960864801650304020105000420") + hashlib.sha256(data).digest()
    return b"\x00\x01" + b"\xff" * (256 - 3 - len(info)) + b"\x00" + info


class TestPiv:
    """The card by itself: APDUs in, APDUs out."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_objects(self, card_of: Callable[[KeyType], CardFile], kind: KeyType) -> None:
        file = card_of(kind)
        card = PivCard(file)
        assert card.answer(get_data("5FC10A")) == b"\x69\x85", "nothing is selected yet"
        assert exchange(card, SELECT)[-2:] == b"\x90\x00"
        assert exchange(card, bytes.fromhex("00A404000BA00000030800001000010000"))[-2:] == b"\x90\x00"
        for tag, der in (("5FC10A", file.certificate), ("5FC105", file.certificate), ("5FC10B", file.envelope_certificate)):
            assert der in exchange(card, get_data(tag))
        for tag in ("5FC102", "5FC107", "7E"):
            assert exchange(card, get_data(tag))[-2:] == b"\x90\x00"
        assert exchange(card, get_data("5FC103")) == b"\x6a\x82"
        assert exchange(card, bytes.fromhex("00A4040005A00000000100")) == b"\x6a\x82"
        # With extended length the whole comes at once.
        whole = card.answer(bytes.fromhex("00CB3FFF0000055C035FC10A0000"))
        assert whole[-2:] == b"\x90\x00"
        assert file.certificate in whole

    @pytest.mark.parametrize("kind", KINDS)
    def test_signatures_that_openssl_accepts(self, card_of: Callable[[KeyType], CardFile], kind: KeyType, tmp_path: Path) -> None:
        file = card_of(kind)
        card = PivCard(file)
        block = block_for(kind, file, DATA)

        def sign(slot: int = 0x9C) -> bytes:
            *firsts, last = sign_apdus(kind, block, slot)
            assert all(card.answer(part) == b"\x90\x00" for part in firsts)
            return exchange(card, last)

        card.answer(SELECT)
        assert sign() == b"\x69\x82", "no PIN yet"
        assert card.answer(verify_apdu(PIN)) == b"\x90\x00"
        answer = sign()
        assert answer[-2:] == b"\x90\x00"
        length = len(answer) - 2
        signature = answer[length - 256 : length] if kind == KeyType.RSA_2048 else answer[4:length]
        assert openssl_accepts(file.certificate, DATA, signature, key_type=kind, home=tmp_path)
        assert sign() == b"\x69\x82", "9C wants the PIN before every signature"
        assert sign(0x9A)[-2:] == b"\x90\x00", "9A wants it once"
        assert sign(0x9D)[-2:] == b"\x90\x00"
        assert sign(0x9B) == b"\x6a\x86"
        card.reset()
        card.answer(SELECT)
        assert sign(0x9A) == b"\x69\x82", "reset forgets the PIN"

    def test_tries_and_blocking(self, card_of: Callable[[KeyType], CardFile]) -> None:
        file = card_of(KeyType.SM2)
        card = PivCard(file)
        card.answer(SELECT)
        assert card.answer(STATUS) == b"\x63\xc6"
        assert card.answer(verify_apdu(WRONG)) == b"\x63\xc5"
        assert card.answer(verify_apdu(PIN)) == b"\x90\x00"
        assert card.answer(STATUS) == b"\x90\x00"
        for left in (b"\x63\xc5", b"\x63\xc4", b"\x63\xc3", b"\x63\xc2", b"\x63\xc1", b"\x69\x83"):
            assert card.answer(verify_apdu(WRONG)) == left
            # Pulling the card out and putting it in gives no try back.
            card = PivCard(CardFile.load(file.path))
            card.answer(SELECT)
        for apdu in (verify_apdu(PIN), STATUS, bytes.fromhex("0024008010") + PIN.encode() + b"654321\xff\xff"):
            assert card.answer(apdu) == b"\x69\x83"

    def test_a_wrong_pin_takes_the_right_ones_leave_back(self, card_of: Callable[[KeyType], CardFile]) -> None:
        card = PivCard(card_of(KeyType.P256))
        card.answer(SELECT)
        card.answer(verify_apdu(PIN))
        card.answer(verify_apdu(WRONG))
        assert exchange(card, sign_apdus(KeyType.P256, bytes(32), 0x9A)[-1]) == b"\x69\x82"

    def test_change_reference_data(self, card_of: Callable[[KeyType], CardFile]) -> None:
        card = PivCard(card_of(KeyType.P256))
        card.answer(SELECT)
        change = bytes.fromhex("0024008010")
        assert card.answer(change + WRONG.encode() + b"\xff\xff" + b"654321\xff\xff") == b"\x63\xc5"
        assert card.answer(change + PIN.encode() + b"12\xff\xff\xff\xff\xff\xff") == b"\x6a\x80"
        assert card.answer(change + PIN.encode() + b"654321\xff\xff") == b"\x90\x00"
        assert card.answer(verify_apdu(PIN)) == b"\x63\xc5"
        assert card.answer(verify_apdu("654321")) == b"\x90\x00"
        assert card.answer(bytes.fromhex("0024008110") + b"1" * 16) == b"\x6a\x88"

    def test_chains_that_break_off(self, card_of: Callable[[KeyType], CardFile]) -> None:
        card = PivCard(card_of(KeyType.RSA_2048))
        card.answer(SELECT)
        card.answer(verify_apdu(PIN))
        first, _last = sign_apdus(KeyType.RSA_2048, bytes(256))
        assert card.answer(first) == b"\x90\x00"
        assert card.answer(get_data("7E")) == b"\x68\x83"
        assert exchange(card, get_data("7E"))[-2:] == b"\x90\x00"
        while (answer := card.answer(first)) == b"\x90\x00":
            pass
        assert answer == b"\x67\x00", "a chain does not grow for ever"

    @settings(max_examples=300, deadline=None)
    @given(
        apdus=st.lists(
            st.one_of(st.binary(max_size=300), st.sampled_from([SELECT, STATUS, get_data("5FC10A"), *sign_apdus(KeyType.P256, b"")])),
            max_size=6,
        )
    )
    def test_whatever_comes_gets_a_status_word(self, stock: dict[KeyType, Path], apdus: list[bytes]) -> None:
        card = PivCard(CardFile.load(stock[KeyType.P256]))
        card.card = _Untouched(card.card.path, card.card.content)
        for apdu in apdus:
            assert len(card.answer(apdu)) >= 2


class _Untouched(CardFile):
    """A card that no PIN opens and that keeps its tries: hostile APDUs must not wear the others' card out."""

    def open(self, pin: str) -> cardfile.Keys:
        raise WrongPinError(self.tries_left)


@pytest.fixture
def service() -> Iterator[Service]:
    with running_service() as running:
        yield running


@pytest.fixture
def slot_of(service: Service, card_of: Callable[[KeyType], CardFile], tmp_path: Path) -> Iterator[Callable[[KeyType], Slot]]:
    """Put a copy of a card into the reader."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda kind: stack.enter_context(card_in_reader(service, tmp_path, card_of(kind).path))


def is_there() -> bool:
    """Whether OpenSC sees a card in the first reader; its own --wait misses one that is there already."""
    listed = subprocess.run(["opensc-tool", "--list-readers"], capture_output=True, timeout=60, check=False).stdout.decode()
    return any("  Yes  " in line and READER in line for line in listed.splitlines())


def opensc(tool: str, *words: str) -> str:
    """Run one of OpenSC's tools at the first reader, once a card is in it; gives what it printed."""
    wait_until(is_there, "no card is seen")
    done = subprocess.run([tool, "--reader", READER, *words], capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def certificate_by_opensc(number: str) -> bytes:
    said = opensc("pkcs15-tool", "--read-certificate", number)
    return openssl("x509", "-outform", "DER", stdin=said[said.find("-----BEGIN") :].encode()).stdout


@needs_reader
class TestReader:
    """Behind pcscd and vsmartcard-vpcd, as OpenSC sees it."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_opensc_sees_the_same(self, slot_of: Callable[[KeyType], Slot], card_of: Callable[[KeyType], CardFile], kind: KeyType) -> None:
        file = card_of(kind)
        slot_of(kind)
        assert opensc("opensc-tool", "--atr").splitlines()[0].strip() == ATR.hex(":")
        assert "Personal Identity Verification Card" in opensc("opensc-tool", "--name")
        assert "Personal Identity Verification Card" in opensc("piv-tool", "--name")
        dump = opensc("pkcs15-tool", "--dump")
        contents = "".join(dump.split()).lower()
        assert contents.count(file.certificate.hex()) == 2
        assert contents.count(file.envelope_certificate.hex()) == 1
        if kind == KeyType.SM2:
            return  # OpenSC shows the object, but cannot read a certificate whose curve it does not know
        assert HOLDER.name in dump
        assert certificate_by_opensc("02") == file.certificate
        assert certificate_by_opensc("01") == file.certificate
        assert certificate_by_opensc("03") == file.envelope_certificate

    def test_opensc_signs_and_openssl_verifies(
        self, slot_of: Callable[[KeyType], Slot], card_of: Callable[[KeyType], CardFile], tmp_path: Path
    ) -> None:
        file = card_of(KeyType.RSA_2048)
        slot_of(KeyType.RSA_2048)
        digest, signature = tmp_path / "digest", tmp_path / "signature"
        digest.write_bytes(openssl("dgst", "-sha256", "-binary", stdin=DATA).stdout)
        words = ["--sign", "--key", "02", "--pkcs1", "--sha-256", "--input", str(digest), "--output", str(signature), "--pin"]
        said = opensc("pkcs15-crypt", *words, WRONG)
        assert not signature.exists(), said
        said = opensc("pkcs15-crypt", *words, PIN)
        assert openssl_accepts(file.certificate, DATA, signature.read_bytes(), key_type=KeyType.RSA_2048, home=tmp_path), said

    @pytest.mark.parametrize("kind", [KeyType.SM2, KeyType.P256])
    def test_apdus_through_the_reader(
        self, slot_of: Callable[[KeyType], Slot], card_of: Callable[[KeyType], CardFile], kind: KeyType, tmp_path: Path
    ) -> None:
        """OpenSC knows no SM2, and no P-256 on a card without a maker; the commands go through it all the same."""
        file = card_of(kind)
        slot_of(kind)
        commands = [SELECT, verify_apdu(PIN), sign_apdus(kind, block_for(kind, file, DATA))[-1]]
        said = opensc("opensc-tool", *(word for apdu in commands for word in ("-s", apdu.hex())))
        answer = said.rsplit("Received (SW1=0x90, SW2=0x00):", 1)[1]
        data = bytes.fromhex("".join(line[:48].replace(" ", "") for line in answer.strip().splitlines()))
        assert openssl_accepts(file.certificate, DATA, data[4:], key_type=kind, home=tmp_path), said

    def test_pulled_out_put_in_and_swapped(self, slot_of: Callable[[KeyType], Slot], card_of: Callable[[KeyType], CardFile]) -> None:
        slot = slot_of(KeyType.P256)
        other = card_of(KeyType.RSA_2048)

        wait_until(is_there, "the card is not seen")
        assert slot.process is not None
        slot.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: not is_there(), "the card is still seen")
        assert slot.status() == "ok - apart"
        slot.process.send_signal(signal.SIGUSR2)
        wait_until(is_there, "the card is not seen again")
        assert slot.order("remove") == "ok"
        wait_until(lambda: not is_there(), "the card is still seen")
        assert slot.order(f"insert {other.path}") == "ok"
        wait_until(is_there, "the other card is not seen")
        assert certificate_by_opensc("02") == other.certificate
        assert slot.order("insert /absent.json").startswith("error")
        assert slot.order("what?").startswith("error unknown order")

    def test_pulled_out_in_the_middle_of_a_signature(self, slot_of: Callable[[KeyType], Slot]) -> None:
        slot = slot_of(KeyType.P256)
        assert ATR.hex(":") in opensc("opensc-tool", "--atr")
        assert slot.order("remove-at 87") == "ok"
        commands = [SELECT, verify_apdu(PIN), sign_apdus(KeyType.P256, bytes(32))[-1]]
        said = opensc("opensc-tool", *(word for apdu in commands for word in ("-s", apdu.hex())))
        assert "APDU transmit failed" in said
        assert slot.status() == "ok - apart"
        slot.order("insert")
        assert ATR.hex(":") in opensc("opensc-tool", "--atr")

    def test_the_reader_goes_and_comes_back(self, slot_of: Callable[[KeyType], Slot], service: Service) -> None:
        slot = slot_of(KeyType.P256)
        service.restart()
        wait_until(lambda: slot.status().endswith("connected"), "the card does not come back")
        assert ATR.hex(":") in opensc("opensc-tool", "--atr")

    def test_it_ends_when_told_and_logs_no_pin(self, slot_of: Callable[[KeyType], Slot]) -> None:
        slot = slot_of(KeyType.P256)
        opensc("opensc-tool", "-s", SELECT.hex(), "-s", verify_apdu(PIN).hex())
        begun = time.monotonic()
        assert slot.stop() == 0
        assert time.monotonic() - begun < 5
        assert not slot.control.exists()
        log = slot.log()
        assert "00 20 00 80 → 9000" in log
        assert PIN not in log
        assert PIN.encode().hex(" ") not in log
