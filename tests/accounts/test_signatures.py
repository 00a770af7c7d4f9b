"""Who signed what with a card, and when that does not count: every refusal of its own kind, and nothing else for hostile input."""

import base64
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import core
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings as PortalSettings

from accounts.signatures import algorithms, cards, certificates, chains, revocation, sm2
from accounts.signatures.algorithms import Algorithm
from accounts.signatures.certificates import KeyKind, PublicKey
from accounts.signatures.refusals import (
    AuthorityNotValidError,
    ExpiredError,
    MalformedCertificateError,
    NotYetValidError,
    RevocationListTooOldError,
    RevocationUnknownError,
    RevokedError,
    SignatureRefusedError,
    UnknownIssuerError,
    UnsupportedKeyError,
    WrongKeyUsageError,
    WrongSignatureError,
)
from simulators.cards import certificates as issuing
from simulators.cards.authority import Authority
from simulators.cards.certificates import Holder
from simulators.cards.keys import Key, KeyType
from tests.cards import DISTINGUISHING_ID, HOLDER, Authorities, Card, openssl, openssl_accepts

TEXT = "申报 I2026000001 由 大连测试国际货运代理有限公司".encode()
KINDS = tuple(KeyType)
NAMES = {KeyType.SM2: Algorithm.SM2_SM3, KeyType.RSA_2048: Algorithm.RSA_SHA256, KeyType.P256: Algorithm.ECDSA_SHA256}
#: GB/T 32918.5 annex A.2: the signature over "message digest" on the recommended curve.
PUBLIC = bytes.fromhex(
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    """Authorities that nobody serves: revocation is not asked of them."""
    return Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture(scope="session")
def issued(authorities: Authorities) -> dict[KeyType, Card]:
    """A good card of each kind."""
    return {kind: authorities.card(kind) for kind in KINDS}


@pytest.fixture(scope="session")
def answered(issued: dict[KeyType, Card]) -> tuple[revocation.OcspQuestion, bytes]:
    """A question and its good answer."""
    card = issued[KeyType.SM2]
    issuer = certificates.load(card.authority.certificate.dump())
    question = revocation.ask_ocsp(certificate=certificates.load(card.certificate), issuer=issuer)
    return question, card.authority.answer_ocsp(question.der)


@pytest.fixture
def trusted(authorities: Authorities, tmp_path: Path, settings: PortalSettings) -> PortalSettings:
    """The portal trusts the test authorities and does not ask for revocation."""
    settings.CARD_TRUST_ANCHORS = authorities.trust(tmp_path / "anchors")
    settings.CARD_CRL_DIR = tmp_path / "crl"
    settings.CARD_REVOCATION = []
    return settings


def verify(card: Card, *, at: datetime | None = None, data: bytes = TEXT) -> cards.Verified:
    return cards.verify(certificate=card.as_text, data=data, signature=card.sign(data), at=at or datetime.now(UTC))


Change = tuple[str, int, int, bytes]
#: What is done to good bytes, whatever their number: see `changed`.
CHANGES: st.SearchStrategy[Change] = st.tuples(
    st.sampled_from(["flip", "cut", "insert", "drop", "other"]), st.integers(0, 10_000), st.integers(1, 255), st.binary(max_size=200)
)


def changed(good: bytes, change: Change) -> bytes:
    """Bytes changed, cut off, put in, left out, or quite other ones."""
    what, place, number, extra = change
    place %= len(good)
    match what:
        case "flip":
            return good[:place] + bytes([good[place] ^ number]) + good[place + 1 :]
        case "cut":
            return good[:place]
        case "insert":
            return good[:place] + extra[:8] + good[place:]
        case "drop":
            return good[:place] + good[place + number :]
    return extra


class TestSm2:
    """The one algorithm that `cryptography` does not have."""

    def test_the_standards_own_example(self) -> None:
        assert sm2.digest_of(PUBLIC, b"message digest").hex().upper() == "F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640"
        assert sm2.verify(PUBLIC, b"message digest", R, S)
        assert not sm2.verify(PUBLIC, b"message digests", R, S)

    def test_sm3_of_the_standard(self) -> None:
        assert sm2.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"

    @pytest.mark.parametrize(
        ("r", "s"),
        [(0, S), (R, 0), (sm2.N, S), (R, sm2.N), (R + sm2.N, S), (R, sm2.N - R), (-R, S), (R, -S), (2**300, S), (R, 2**4000), (1, 1)],
    )
    def test_numbers_out_of_range_are_no_signature(self, r: int, s: int) -> None:
        assert not sm2.verify(PUBLIC, b"message digest", r, s)

    def test_both_libraries_judge_alike(self, issued: dict[KeyType, Card]) -> None:
        """gmalg stands in where gmssl-pyx has no wheel."""
        card = issued[KeyType.SM2]
        point = card.key.public_point()
        for number in range(3):
            data = TEXT * number
            r, s = decode_dss_signature(card.sign(data))
            digest = sm2.digest_of(point, data)
            for judge in (sm2._by_gmssl, sm2._by_gmalg):
                assert judge(point, digest, r, s)
                assert not judge(point, digest, r, s ^ 2)
                assert not judge(point, sm2.sm3(digest), r, s)

    def test_without_gmssl_pyx(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sm2, "sm2_verify_sm3_digest", None)
        assert sm2.verify(PUBLIC, b"message digest", R, S)
        assert not sm2.verify(PUBLIC, b"message digest", S, R)

    def test_points_off_the_curve(self) -> None:
        assert sm2.is_on_curve(PUBLIC)
        assert not any(
            map(sm2.is_on_curve, (bytes(64), b"", PUBLIC[:-1], PUBLIC + b"\0", b"\xff" * 64, PUBLIC[:-1] + bytes([PUBLIC[-1] ^ 1])))
        )


class TestAlgorithms:
    """One signature over some bytes."""

    @pytest.mark.covers("CARD-08")
    @pytest.mark.parametrize("raw", [False, True], ids=["der", "r‖s"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_kind_of_card(self, issued: dict[KeyType, Card], kind: KeyType, raw: bool) -> None:
        card = issued[kind]
        key = certificates.load(card.certificate).key
        assert algorithms.verify(key=key, data=TEXT, signature=card.sign(TEXT, raw=raw)) == NAMES[kind]
        for data in (TEXT + b" ", b"", TEXT[1:]):
            with pytest.raises(WrongSignatureError):
                algorithms.verify(key=key, data=data, signature=card.sign(TEXT, raw=raw))

    @pytest.mark.parametrize("kind", KINDS)
    def test_openssl_accepts_what_we_make_and_we_what_it_makes(self, issued: dict[KeyType, Card], kind: KeyType, tmp_path: Path) -> None:
        card = issued[kind]
        key = certificates.load(card.certificate).key
        private, body = tmp_path / "private.der", tmp_path / "body"
        private.write_bytes(card.key.pkcs8())
        for number in (0, 1, 1000):
            data = TEXT * number
            assert openssl_accepts(card.certificate, data, card.sign(data), key_type=kind, home=tmp_path)
            body.write_bytes(data)
            options = ["-digest", "sm3", "-pkeyopt", DISTINGUISHING_ID] if kind == KeyType.SM2 else ["-digest", "sha256"]
            made = openssl("pkeyutl", "-sign", "-rawin", *options, "-keyform", "DER", "-inkey", private, "-in", body)
            assert made.returncode == 0, made.stderr
            assert algorithms.verify(key=key, data=data, signature=made.stdout) == NAMES[kind]
            assert not openssl_accepts(card.certificate, data + b"x", card.sign(data), key_type=kind, home=tmp_path)

    @pytest.mark.parametrize("kind", [KeyType.SM2, KeyType.P256])
    def test_numbers_that_are_none(self, issued: dict[KeyType, Card], kind: KeyType) -> None:
        card = issued[kind]
        key = certificates.load(card.certificate).key
        good = card.sign(TEXT)
        r, s = decode_dss_signature(good)
        order = sm2.N if kind == KeyType.SM2 else 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        pairs = [(0, s), (r, 0), (0, 0), (order, s), (r, order), (r + order, s), (order - r, s), (r, r)]
        signatures = [encode_dss_signature(*pair) for pair in pairs]
        signatures += [b"".join(number.to_bytes(33, "big")[-32:] for number in pair) for pair in pairs]
        signatures += [
            good[:-1],
            good + b"\0",
            good[1:],
            b"",
            b"0",
            b"\x30\x80",
            good * 2,
            bytes(64),
            b"\xff" * 64,
            b"\x30\x84\xff\xff\xff\xff",
        ]
        for signature in signatures:
            with pytest.raises(WrongSignatureError):
                algorithms.verify(key=key, data=TEXT, signature=signature)

    def test_sha1_only_where_told(self, issued: dict[KeyType, Card]) -> None:
        card = issued[KeyType.RSA_2048]
        key = certificates.load(card.certificate).key
        signature = card.key.private.sign(TEXT, padding.PKCS1v15(), hashes.SHA1())
        with pytest.raises(WrongSignatureError):
            algorithms.verify(key=key, data=TEXT, signature=signature)
        assert algorithms.verify(key=key, data=TEXT, signature=signature, accepts_sha1=True) == Algorithm.RSA_SHA1

    def test_a_der_signature_as_long_as_two_numbers(self) -> None:
        """r‖s is told by its length; a DER signature can have the same one."""
        public = PublicKey(KeyKind.SM2, PUBLIC)
        pairs = list(algorithms._pairs(encode_dss_signature(1 << 230, 1 << 228), 32))
        assert (1 << 230, 1 << 228) in pairs
        short = encode_dss_signature((1 << 231) - 1, (1 << 239) - 1)
        assert len(short) != 64 or len(list(algorithms._pairs(short, 32))) == 2
        with pytest.raises(WrongSignatureError):
            algorithms.verify(key=public, data=b"", signature=short)

    @settings(max_examples=150, deadline=None)
    @given(change=CHANGES, kind=st.sampled_from(KINDS))
    def test_no_mutation_of_a_signature_passes_or_breaks(self, issued: dict[KeyType, Card], change: Change, kind: KeyType) -> None:
        card = issued[kind]
        good = card.sign(TEXT)
        mutated = changed(good, change)
        key = certificates.load(card.certificate).key
        if mutated == good:
            return
        with pytest.raises(WrongSignatureError):
            algorithms.verify(key=key, data=TEXT, signature=mutated)


class TestCertificates:
    """What a certificate says."""

    @pytest.mark.covers("CARD-08")
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_facts_in_every_form(self, issued: dict[KeyType, Card], kind: KeyType) -> None:
        card = issued[kind]
        pem = openssl("x509", "-inform", "DER", stdin=card.certificate).stdout
        wrapped = base64.encodebytes(card.certificate).decode()
        for form in (card.certificate, card.as_text, wrapped, pem, pem.decode()):
            read = certificates.load(form)
            assert (read.holder_name, read.enterprise_name, read.organisation_code) == (
                HOLDER.name,
                HOLDER.enterprise_name,
                HOLDER.organisation_code,
            )
            assert (read.card_no, read.holder_id_no) == (HOLDER.card_no, HOLDER.id_no)
            assert read.serial_no == f"{card.serial:X}"
            assert read.der == card.certificate
            assert read.fingerprint == hashlib.sha256(card.certificate).hexdigest()
            assert read.valid_to - read.valid_from == timedelta(days=365)
            assert read.key.name == {KeyType.SM2: "SM2", KeyType.RSA_2048: "RSA-2048", KeyType.P256: "P-256"}[kind]
            assert HOLDER.id_no not in repr(read)

    @pytest.mark.covers("CARD-08")
    def test_thirty_days_before_the_end(self, authorities: Authorities) -> None:
        card = certificates.load(authorities.card(days=60).certificate)
        month = timedelta(days=30)
        assert not card.ends_within(month, at=card.valid_to - timedelta(days=31))
        assert card.ends_within(month, at=card.valid_to - timedelta(days=29))
        assert not card.ends_within(month, at=card.valid_to + timedelta(seconds=1))

    @pytest.mark.parametrize(
        "junk",
        [b"", "", "not base64!", b"\x30", b"\x30\x80\x00\x00", b"\x00" * 100, "中文", "QUJD", b"\x30" * 70000, "A" * 50000, b"\xff\xfe"],
    )
    def test_what_is_none(self, junk: bytes | str) -> None:
        with pytest.raises(MalformedCertificateError):
            certificates.load(junk)

    def test_a_point_off_the_curve(self, issued: dict[KeyType, Card]) -> None:
        for kind in (KeyType.SM2, KeyType.P256):
            card = issued[kind]
            point = card.key.public_point()
            for other in (bytes(64), point[:-1] + bytes([point[-1] ^ 1]), b"\xff" * 64):
                with pytest.raises(UnsupportedKeyError):
                    certificates.load(card.certificate.replace(point, other))

    @pytest.mark.parametrize("other", ["rsa1024", "secp256k1", "ed25519"])
    def test_keys_that_are_not_accepted(self, authorities: Authorities, other: str) -> None:
        from asn1crypto import keys
        from cryptography.hazmat.primitives.asymmetric import ed25519

        public: Any
        match other:
            case "rsa1024":
                public = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
            case "secp256k1":
                public = ec.generate_private_key(ec.SECP256K1()).public_key()
            case _:
                public = ed25519.Ed25519PrivateKey.generate().public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(UnsupportedKeyError):
            certificates.load(by_hand(authorities.of(KeyType.SM2), public_key=keys.PublicKeyInfo.load(der)).certificate)

    def test_private_extensions_that_are_no_text(self, authorities: Authorities) -> None:
        oid = f"{issuing.PRIVATE}.5.9"
        for value in (core.Integer(7), core.OctetString(b"03-2100000000001")):
            extra = [issuing.extension(oid, value)]
            with pytest.raises(MalformedCertificateError):
                certificates.load(by_hand(authorities.of(KeyType.SM2), extensions=extra).certificate)

    def test_the_same_extension_twice(self, authorities: Authorities) -> None:
        extra = [issuing.extension(f"{issuing.PRIVATE}.5.9", core.UTF8String(text)) for text in ("03-2100000000001", "03-2100000000002")]
        with pytest.raises(MalformedCertificateError):
            certificates.load(by_hand(authorities.of(KeyType.SM2), extensions=extra).certificate)

    @settings(max_examples=200, deadline=None)
    @given(change=CHANGES, kind=st.sampled_from(KINDS))
    def test_no_mutation_of_a_certificate_is_believed_or_breaks(
        self, issued: dict[KeyType, Card], authorities: Authorities, change: Change, kind: KeyType
    ) -> None:
        card = issued[kind]
        mutated = changed(card.certificate, change)
        if mutated == card.certificate:
            return
        authority = authorities.of(kind)
        trust = chains.TrustStore(tuple(certificates.load(one.dump()) for one in (authority.root, authority.certificate)))
        with pytest.raises(SignatureRefusedError):
            chains.build_chain(cards.load_card(mutated), trust=trust, at=datetime.now(UTC))


def by_hand(
    authority: Authority, *, holder: Holder = HOLDER, extensions: list[Any] | None = None, public_key: Any = None, **changes: Any
) -> Card:
    """A certificate that the authority would not issue."""
    key = Key.generate(authority.key.key_type)
    now = datetime.now(UTC)
    facts: dict[str, Any] = {
        "serial": issuing.new_serial(),
        "subject": holder.subject(),
        "public_key": public_key or key.public_info(),
        "issuer": authority.certificate.subject,
        "issuer_key": authority.key,
        "valid_from": now - timedelta(days=1),
        "valid_to": now + timedelta(days=365),
        "extensions": issuing.card_extensions(holder, issuing.SIGNING_USES, authority.url) if extensions is None else extensions,
    }
    return Card(key, issuing.sign_certificate(**(facts | changes)).dump(), authority)


@pytest.mark.django_db
class TestCards:
    """The whole examination; each refusal of its own kind, with a text that says what to do."""

    @pytest.mark.covers("CARD-02", "CARD-08")
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_good_signature(self, issued: dict[KeyType, Card], trusted: PortalSettings, kind: KeyType) -> None:
        verified = verify(issued[kind])
        assert verified.certificate.card_no == HOLDER.card_no
        assert verified.algorithm == NAMES[kind]
        assert [link.holder_name for link in verified.chain] == [HOLDER.name, "中国电子业务证书管理中心", "卡模拟器测试根证书"]
        assert verified.revocation is None

    @pytest.mark.parametrize("kind", KINDS)
    def test_openssl_verifies_each_link_of_the_chain(
        self, issued: dict[KeyType, Card], trusted: PortalSettings, kind: KeyType, tmp_path: Path
    ) -> None:
        """One link at a time: `openssl verify` gives the id of SM2 signers to the first certificate only."""
        chain = verify(issued[kind]).chain
        files = []
        for number, link in enumerate(chain):
            files.append(tmp_path / f"{number}.pem")
            files[-1].write_bytes(openssl("x509", "-inform", "DER", stdin=link.der).stdout)
        extra = ["-vfyopt", DISTINGUISHING_ID] if kind == KeyType.SM2 else []
        for file, issuer in pairwise(files):
            done = openssl("verify", *extra, "-x509_strict", "-partial_chain", "-trusted", issuer, file)
            assert done.returncode == 0, done.stderr

    def test_expired(self, authorities: Authorities, trusted: PortalSettings) -> None:
        card = authorities.card(valid_from=datetime.now(UTC) - timedelta(days=400), days=365)
        with pytest.raises(ExpiredError, match="制卡中心办理证书更新"):
            verify(card)
        assert verify(card, at=datetime.now(UTC) - timedelta(days=100)).certificate.card_no == HOLDER.card_no

    def test_not_yet_valid(self, authorities: Authorities, trusted: PortalSettings) -> None:
        with pytest.raises(NotYetValidError, match="生效"):
            verify(authorities.card(valid_from=datetime.now(UTC) + timedelta(days=2)))

    def test_unknown_issuer_of_the_same_name(self, authorities: Authorities, trusted: PortalSettings, tmp_path: Path) -> None:
        """The names are public; only the key makes the authority."""
        stranger = Authorities(tmp_path / "stranger")
        with pytest.raises(UnknownIssuerError, match="认可的机构"):
            verify(stranger.card())

    def test_nobody_is_trusted(self, issued: dict[KeyType, Card], trusted: PortalSettings, tmp_path: Path) -> None:
        for directory in (tmp_path / "absent", tmp_path / "empty"):
            trusted.CARD_TRUST_ANCHORS = directory
            with pytest.raises(UnknownIssuerError):
                verify(issued[KeyType.SM2])
            (tmp_path / "empty").mkdir(exist_ok=True)

    def test_an_intermediate_is_no_anchor(self, authorities: Authorities, issued: dict[KeyType, Card], trusted: PortalSettings) -> None:
        (trusted.CARD_TRUST_ANCHORS / "sm2.pem").unlink()
        with pytest.raises(UnknownIssuerError):
            verify(issued[KeyType.SM2])
        home = authorities.of(KeyType.SM2).home
        (trusted.CARD_TRUST_ANCHORS / "issuing.pem").write_bytes((home / "ca.pem").read_bytes())
        assert len(verify(issued[KeyType.SM2]).chain) == 2

    def test_a_file_that_is_no_certificate_is_left_out(self, issued: dict[KeyType, Card], trusted: PortalSettings) -> None:
        (trusted.CARD_TRUST_ANCHORS / "notes.pem").write_text("not a certificate")
        (trusted.CARD_TRUST_ANCHORS / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        assert verify(issued[KeyType.SM2]).certificate.card_no == HOLDER.card_no

    def test_a_card_that_issues_cards(self, authorities: Authorities, trusted: PortalSettings) -> None:
        """A holder signs a certificate with his card's key: his certificate is no authority's, wherever it lies."""
        card = authorities.card()
        child = by_hand(
            card.authority,
            issuer=HOLDER.subject(),
            issuer_key=card.key,
            holder=Holder("冒名者", HOLDER.id_no, HOLDER.enterprise_name, HOLDER.organisation_code, "2100000000009"),
        )
        (trusted.CARD_TRUST_ANCHORS / "intermediate" / "card.der").write_bytes(card.certificate)
        with pytest.raises(AuthorityNotValidError):
            verify(child)

    def test_an_authority_whose_time_is_over(self, authorities: Authorities, trusted: PortalSettings) -> None:
        authority = authorities.of(KeyType.P256)
        now = datetime.now(UTC)
        key = Key.generate(KeyType.P256)
        old = issuing.sign_certificate(
            serial=7,
            subject=issuing.issuer_name(),
            public_key=key.public_info(),
            issuer=issuing.root_name(),
            issuer_key=authority.root_key,
            valid_from=now - timedelta(days=800),
            valid_to=now - timedelta(days=100),
            extensions=issuing.authority_extensions(path_length=0),
        )
        (trusted.CARD_TRUST_ANCHORS / "intermediate" / "old.der").write_bytes(old.dump())
        card = by_hand(authority, issuer_key=key, valid_from=now - timedelta(days=500))
        with pytest.raises(AuthorityNotValidError, match="签发机构"):
            verify(card)
        assert len(verify(card, at=now - timedelta(days=200)).chain) == 3

    def test_an_authority_below_one_that_allows_none(self, authorities: Authorities, trusted: PortalSettings) -> None:
        """Path length 0: who may issue cards only must not make authorities."""
        authority = authorities.of(KeyType.P256)
        key = Key.generate(KeyType.P256)
        below = issuing.sign_certificate(
            serial=8,
            subject=issuing.root_name(),
            public_key=key.public_info(),
            issuer=issuing.issuer_name(),
            issuer_key=authority.key,
            valid_from=datetime.now(UTC) - timedelta(days=800),
            valid_to=datetime.now(UTC) + timedelta(days=100),
            extensions=issuing.authority_extensions(path_length=0),
        )
        (trusted.CARD_TRUST_ANCHORS / "intermediate" / "below.der").write_bytes(below.dump())
        with pytest.raises(AuthorityNotValidError):
            verify(by_hand(authority, issuer=issuing.root_name(), issuer_key=key))

    def test_a_critical_extension_that_nobody_understands(self, authorities: Authorities, trusted: PortalSettings) -> None:
        extra = [*issuing.card_extensions(HOLDER, issuing.SIGNING_USES, ""), issuing.extension("1.2.3.4", core.Null(), critical=True)]
        with pytest.raises(WrongKeyUsageError):
            verify(by_hand(authorities.of(KeyType.SM2), extensions=extra))

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_envelope_certificate_does_not_sign(self, authorities: Authorities, trusted: PortalSettings, kind: KeyType) -> None:
        with pytest.raises(WrongKeyUsageError, match="签名证书"):
            verify(authorities.card(kind, envelope=True))

    def test_a_certificate_without_a_card_number(self, authorities: Authorities, trusted: PortalSettings) -> None:
        for card_no in ("", "21", "21000000000011", "2100 00000001", "二100000000001"):
            holder = Holder(HOLDER.name, HOLDER.id_no, HOLDER.enterprise_name, HOLDER.organisation_code, card_no)
            with pytest.raises(MalformedCertificateError):
                verify(by_hand(authorities.of(KeyType.SM2), holder=holder))
        with pytest.raises(MalformedCertificateError):
            verify(by_hand(authorities.of(KeyType.SM2), extensions=[]))

    def test_the_enterprise_may_stand_in_the_subject_only(self, authorities: Authorities, trusted: PortalSettings) -> None:
        extra = [issuing.extension(f"{issuing.PRIVATE}.5.9", core.UTF8String("03-2100000000001"))]
        card = verify(by_hand(authorities.of(KeyType.SM2), extensions=extra)).certificate
        assert (card.enterprise_name, card.organisation_code) == (HOLDER.enterprise_name, "")

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_certificate_of_another_key(
        self, authorities: Authorities, issued: dict[KeyType, Card], trusted: PortalSettings, kind: KeyType
    ) -> None:
        """Also of another kind of key."""
        for other in (authorities.card(kind), *(card for name, card in issued.items() if name != kind)):
            with pytest.raises(WrongSignatureError, match="刷新页面后重新签名"):
                cards.verify(certificate=other.as_text, data=TEXT, signature=issued[kind].sign(TEXT), at=datetime.now(UTC))

    def test_a_signature_over_other_data(self, issued: dict[KeyType, Card], trusted: PortalSettings) -> None:
        card = issued[KeyType.SM2]
        with pytest.raises(WrongSignatureError):
            cards.verify(certificate=card.as_text, data=TEXT + b"!", signature=card.sign(TEXT), at=datetime.now(UTC))


class TestLists:
    """CRLs and OCSP answers, by their bytes."""

    @pytest.fixture
    def fresh(self, tmp_path: Path) -> Authorities:
        return Authorities(tmp_path / "fresh")

    @staticmethod
    def _by_list(card: Card, crl: bytes, **changes: Any) -> revocation.Answer:
        now = datetime.now(UTC)
        facts: dict[str, Any] = {"at": now, "now": now, "grace": timedelta(hours=1), "source": "test"}
        issuer = certificates.load(card.authority.certificate.dump())
        return revocation.by_list(
            revocation.load_list(crl), certificate=certificates.load(card.certificate), issuer=issuer, **(facts | changes)
        )

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_list_names_the_revoked(self, fresh: Authorities, kind: KeyType) -> None:
        card, other = fresh.card(kind), fresh.card(kind)
        assert self._by_list(card, card.authority.write_crl()).method == "crl"
        moment = datetime.now(UTC).replace(microsecond=0)
        card.authority.revoke(card.serial, at=moment)
        crl = (card.authority.home / "ca.crl").read_bytes()
        with pytest.raises(RevokedError, match="吊销或挂失"):
            self._by_list(card, crl)
        assert self._by_list(other, crl).der == crl
        # What was signed before stays good.
        assert self._by_list(card, crl, at=moment - timedelta(seconds=1)).this_update

    def test_a_list_may_be_so_old_and_no_older(self, fresh: Authorities) -> None:
        card = fresh.card()
        crl = card.authority.write_crl(now=datetime.now(UTC) - timedelta(days=8), days=7)
        assert self._by_list(card, crl, grace=timedelta(days=2))
        with pytest.raises(RevocationListTooOldError, match="吊销列表已过期"):
            self._by_list(card, crl)

    def test_an_old_list_is_proof_enough_that_a_card_is_revoked(self, fresh: Authorities) -> None:
        card = fresh.card()
        card.authority.revoke(card.serial, at=datetime.now(UTC) - timedelta(days=9))
        with pytest.raises(RevokedError):
            self._by_list(card, card.authority.write_crl(now=datetime.now(UTC) - timedelta(days=8), days=7))

    def test_a_list_of_the_future_or_of_somebody_else(self, fresh: Authorities, tmp_path: Path) -> None:
        card = fresh.card()
        with pytest.raises(RevocationUnknownError):
            self._by_list(card, card.authority.write_crl(now=datetime.now(UTC) + timedelta(days=1)))
        stranger = Authorities(tmp_path / "stranger").of(KeyType.SM2)
        with pytest.raises(RevocationUnknownError):
            self._by_list(card, stranger.write_crl())

    @pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"-----BEGIN X509 CRL-----\n", b"<html>"])
    def test_what_is_no_list(self, junk: bytes) -> None:
        with pytest.raises(RevocationUnknownError):
            revocation.load_list(junk)

    @settings(max_examples=150, deadline=None)
    @given(change=CHANGES)
    def test_no_mutation_of_a_list_is_believed_or_breaks(self, issued: dict[KeyType, Card], change: Change) -> None:
        card = issued[KeyType.SM2]
        good = (card.authority.home / "ca.crl").read_bytes()
        mutated = changed(good, change)
        if mutated != good:
            with pytest.raises(RevocationUnknownError):
                self._by_list(card, mutated)

    @staticmethod
    def _by_ocsp(card: Card, answer: bytes | None = None, **changes: Any) -> revocation.Answer:
        now = datetime.now(UTC)
        certificate, issuer = certificates.load(card.certificate), certificates.load(card.authority.certificate.dump())
        question = revocation.ask_ocsp(certificate=certificate, issuer=issuer)
        der = card.authority.answer_ocsp(question.der) if answer is None else answer
        facts: dict[str, Any] = {"at": now, "now": now, "source": "test", "question": question}
        return revocation.by_ocsp(der, certificate=certificate, issuer=issuer, **(facts | changes))

    @pytest.mark.parametrize("kind", KINDS)
    def test_ocsp_says_good_and_revoked(self, fresh: Authorities, kind: KeyType) -> None:
        card = fresh.card(kind)
        assert self._by_ocsp(card).method == "ocsp"
        moment = datetime.now(UTC).replace(microsecond=0)
        card.authority.revoke(card.serial, at=moment)
        with pytest.raises(RevokedError):
            self._by_ocsp(card)
        assert self._by_ocsp(card, at=moment - timedelta(seconds=1))

    def test_an_answer_to_another_question_does_not_count(self, fresh: Authorities) -> None:
        card, other = fresh.card(), fresh.card()
        issuer = certificates.load(card.authority.certificate.dump())
        for asked in (card, other):
            question = revocation.ask_ocsp(certificate=certificates.load(asked.certificate), issuer=issuer)
            with pytest.raises(RevocationUnknownError):
                self._by_ocsp(card, card.authority.answer_ocsp(question.der))

    def test_an_old_answer_and_one_by_a_stranger_do_not_count(self, fresh: Authorities, tmp_path: Path) -> None:
        card = fresh.card()
        with pytest.raises(RevocationUnknownError):
            self._by_ocsp(card, now=datetime.now(UTC) + timedelta(hours=2))
        stranger = Authorities(tmp_path / "stranger").card()
        stranger_answers = Card(card.key, card.certificate, stranger.authority)
        with pytest.raises(RevocationUnknownError):
            self._by_ocsp(stranger_answers)

    def test_a_certificate_that_was_never_issued_is_unknown(self, fresh: Authorities) -> None:
        with pytest.raises(RevocationUnknownError):
            self._by_ocsp(by_hand(fresh.of(KeyType.SM2)))

    def test_openssl_reads_our_ocsp_answer(self, fresh: Authorities, tmp_path: Path) -> None:
        card = fresh.card(KeyType.RSA_2048)
        issuer = certificates.load(card.authority.certificate.dump())
        question = revocation.ask_ocsp(certificate=certificates.load(card.certificate), issuer=issuer)
        (tmp_path / "card.pem").write_bytes(openssl("x509", "-inform", "DER", stdin=card.certificate).stdout)
        (tmp_path / "answer").write_bytes(card.authority.answer_ocsp(question.der))
        home = card.authority.home
        words = ["-issuer", home / "ca.pem", "-cert", tmp_path / "card.pem", "-respin", tmp_path / "answer", "-no_nonce"]
        done = openssl("ocsp", *words, "-CAfile", home / "root.pem", "-verify_other", home / "ca.pem")
        assert b"card.pem: good" in done.stdout, done.stderr
        assert b"Response verify OK" in done.stderr

    @settings(max_examples=150, deadline=None)
    @given(change=CHANGES)
    def test_no_mutation_of_an_ocsp_answer_is_believed_or_breaks(
        self, issued: dict[KeyType, Card], answered: tuple[revocation.OcspQuestion, bytes], change: Change
    ) -> None:
        question, good = answered
        mutated = changed(good, change)
        if mutated != good:
            with pytest.raises(RevocationUnknownError):
                self._by_ocsp(issued[KeyType.SM2], mutated, question=question)


@pytest.mark.django_db
class TestCommand:
    """`manage.py verify_signature`: who signed what with which algorithm, 0 or 1."""

    @pytest.fixture
    def files(self, issued: dict[KeyType, Card], tmp_path: Path) -> Iterator[Path]:
        for kind, card in issued.items():
            (tmp_path / f"{kind.value}.der").write_bytes(card.certificate)
        (tmp_path / "text").write_bytes(TEXT)
        return tmp_path

    @staticmethod
    def _call(files: Path, card: Card, *words: str, data: str = "text") -> None:
        signature = base64.b64encode(card.sign(TEXT, raw=True)).decode()
        name = files / f"{card.key.key_type.value}.der"
        call_command("verify_signature", "--certificate", str(name), "--data", str(files / data), "--signature", signature, *words)

    @pytest.mark.covers("CARD-07", "CARD-08")
    @pytest.mark.parametrize("kind", KINDS)
    def test_it_says_who_signed_what(
        self, files: Path, issued: dict[KeyType, Card], trusted: PortalSettings, kind: KeyType, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._call(files, issued[kind])
        said = capsys.readouterr().out
        assert f"signature: good, {NAMES[kind]}" in said
        assert f"signed by: {HOLDER.name}, {HOLDER.enterprise_name}, {HOLDER.organisation_code}" in said
        assert f"card: {HOLDER.card_no}, certificate {issued[kind].serial:X}" in said
        assert hashlib.sha256(TEXT).hexdigest() in said
        assert "中国电子业务证书管理中心" in said
        assert HOLDER.id_no not in said

    def test_without_the_chain(
        self, files: Path, issued: dict[KeyType, Card], settings: PortalSettings, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings.CARD_TRUST_ANCHORS = files / "nobody"
        with pytest.raises(CommandError, match="unknown_issuer"):
            self._call(files, issued[KeyType.SM2])
        self._call(files, issued[KeyType.SM2], "--no-chain")
        assert "chain: not looked at" in capsys.readouterr().out

    def test_bad_input(self, files: Path, issued: dict[KeyType, Card], trusted: PortalSettings) -> None:
        card = issued[KeyType.SM2]
        (files / "other").write_bytes(b"other")
        for data, text in (("other", "wrong_signature"), ("absent", "No such file")):
            with pytest.raises(CommandError, match=text) as failed:
                self._call(files, card, data=data)
            assert failed.value.returncode == 1
        with pytest.raises(CommandError, match="no base64"):
            call_command("verify_signature", "--certificate", str(files / "sm2.der"), "--data", str(files / "text"), "--signature", "!!")
        with pytest.raises(CommandError, match="malformed_certificate"):
            call_command("verify_signature", "--certificate", str(files / "text"), "--data", str(files / "text"), "--signature", "AAAA")


def test_every_refusal_has_a_reason_of_its_own() -> None:
    def below(kind: type[SignatureRefusedError]) -> Iterator[type[SignatureRefusedError]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    reasons = [kind.reason for kind in below(SignatureRefusedError)]
    assert len(reasons) == len(set(reasons)) >= 12
