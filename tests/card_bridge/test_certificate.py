"""Certificates taken apart: what they say, and that spoilt ones are refused in one way."""

import base64
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from card_bridge import crypto, sm2, tlv
from card_bridge.certificate import load
from tests.card_bridge.page import Page

SM2_KEY = bytes.fromhex(
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)


def test_the_standards_own_example() -> None:
    # GB/T 32918.5 annex A.2.
    digest = sm2.digest(SM2_KEY, b"message digest")
    assert digest.hex().upper() == "F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640"
    r = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
    s = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
    assert sm2.verify(SM2_KEY, digest, r, s)
    for wrong in ((r, s + 1), (r + sm2.N, s), (0, s), (r, 0), (r, sm2.N - r), (s, r)):
        assert not sm2.verify(SM2_KEY, digest, *wrong)
    assert not sm2.verify(SM2_KEY, sm2.digest(SM2_KEY, b"message digesu"), r, s)
    assert sm2.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"


@pytest.mark.parametrize(
    "key", [b"", SM2_KEY[1:], b"\x02" + SM2_KEY[1:33], SM2_KEY[:-1] + b"\x00", b"\x04" + bytes(64), b"\x04" + b"\xff" * 64]
)
def test_what_is_no_point_of_the_curve(key: bytes) -> None:
    with pytest.raises(ValueError):
        sm2.digest(key, b"")


def certificate(key, *, ou: str | None = None, **extensions: str) -> bytes:
    """A certificate of a key, signed by itself."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "李操作")]
    names += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ou)] if ou else []
    name, begins = x509.Name(names), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 0xF00D, begins, begins + timedelta(days=365))
    for arc, text in extensions.items():
        oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.5315.100.{arc[1:].replace('_', '.')}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, tlv.write(0x0C, text.encode())), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def test_what_it_says() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    found = load(certificate(key, _5_1="企业", _5_3="01", _5_8="2102", _5_9="03-2100000000001", _5_11="202600012"))
    assert (found.holder, found.enterprise, found.enterprise_mode, found.id_number) == ("李操作", "企业", "01", "2102")
    assert (found.card_number, found.organisation_code, found.number) == ("2100000000001", "202600012", "f00d")
    assert found.period() == {"szStartTime": "20260102030405", "szEndTime": "20270102030405"}


def test_what_it_does_not_say_is_empty() -> None:
    found = load(certificate(ec.generate_private_key(ec.SECP256R1()), ou="部门"))
    assert found.enterprise == "部门"
    assert found.card_number == found.organisation_code == found.id_number == found.enterprise_mode == ""


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 1024)],
    ids=["P-384", "Ed25519", "RSA-1024"],
)
def test_keys_of_other_kinds(key) -> None:
    with pytest.raises(ValueError):
        load(certificate(key))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(bytes.fromhex("640503"), bytes.fromhex("640501"), id="the-same-extension-twice"),
        pytest.param(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), id="version-10"),
    ],
)
def test_certificates_that_the_library_refuses_in_its_own_ways(old: bytes, new: bytes) -> None:
    whole = certificate(ec.generate_private_key(ec.SECP256R1()), _5_1="企业", _5_3="01")
    assert whole.count(old) == 1
    with pytest.raises(ValueError):
        load(whole.replace(old, new))


def test_spoilt_certificates_are_refused_and_nothing_else_happens(card_files: dict[object, Path]) -> None:
    chance = random.Random(20261121)
    for path in card_files.values():
        whole = base64.b64decode(json.loads(path.read_text())["certificate"])
        for _ in range(150):
            spoilt = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
            for data in (bytes(spoilt), bytes(spoilt[: chance.randrange(len(spoilt))])):
                try:
                    load(data)
                except ValueError:
                    continue


def test_spoilt_elements_are_refused_and_nothing_else_happens() -> None:
    chance = random.Random(20261121)
    for _ in range(5000):
        data = chance.randbytes(chance.randrange(12))
        try:
            list(tlv.elements(data))
            crypto.split_der(data)
        except tlv.TlvError:
            continue


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65536])
def test_elements_as_written(length: int) -> None:
    assert list(tlv.elements(tlv.write(0x7F21, bytes(length)) + tlv.write(0x82, b""))) == [(0x7F21, bytes(length)), (0x82, b"")]


def test_openssl_signs_what_is_verified_here() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    found = load(certificate(key))
    signature = key.sign(b"abc", ec.ECDSA(hashes.SHA256()))
    assert found.key.verifies(b"abc", signature)
    assert not found.key.verifies(b"abd", signature)


def test_a_separator_in_a_name_moves_no_field(page: Page, sm2_card: Path) -> None:
    # Pages cut the text at "||" and take the sixth part for the card number (domain.md §2).
    odd = certificate(ec.generate_private_key(ec.SECP256R1()), _5_1="甲||乙|", _5_9="03-2100000000009")
    there = json.loads(sm2_card.read_text())
    sm2_card.write_text(json.dumps({**there, "certificate": base64.b64encode(odd).decode()}))
    assert page.data("security_getGetCardUserInfoAll")[0].split("||")[5] == "2100000000009"


def test_a_card_without_a_card_number(page: Page, sm2_card: Path) -> None:
    bare = certificate(ec.generate_private_key(ec.SECP256R1()))
    there = json.loads(sm2_card.read_text())
    sm2_card.write_text(json.dumps({**there, "certificate": base64.b64encode(bare).decode()}))
    for method in ("cus-sec_SpcGetCardID", "security_getGetCardUserInfoAll", "cus-sec_SpcGetCardUserInfo"):
        assert page.code(method) == "Err:Custom51590"
    assert page.data("cus-sec_SpcGetEntName") == [""]
