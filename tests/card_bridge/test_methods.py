"""Every method of the wire format, with a card of each kind of key; what is signed is verified by OpenSSL's own code."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from card_bridge import VERSION, crypto, sm2
from card_bridge.backends.software import SoftwareBackend
from card_bridge.certificate import Certificate, load
from card_bridge.methods import PREFIXES
from tests.card_bridge.conftest import CARD_NUMBERS, ENTERPRISE, PIN, Running
from tests.card_bridge.page import Page

TEXT = "申报：车次 辽B12345，重 12000 千克\n"


@pytest.fixture
def card(any_card: Path) -> dict[str, str]:
    """The card file's contents."""
    return json.loads(any_card.read_text())


@pytest.fixture
def page(run: Callable[..., Running], any_card: Path) -> Page:
    """A page at a bridge with a card of each kind in turn."""
    return run(SoftwareBackend(any_card)).page()


@pytest.fixture
def certificate(card: dict[str, str]) -> Certificate:
    return load(base64.b64decode(card["certificate"]))


def is_signature(certificate: Certificate, digest: bytes, signature: bytes) -> bool:
    """By other code than the bridge's where there is any."""
    if certificate.key.kind is crypto.KeyKind.SM2:
        return len(signature) == 64 and sm2.verify(certificate.key.point, digest, *crypto.split_raw(signature))
    key = x509.load_der_x509_certificate(certificate.der).public_key()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(crypto.hash_of(digest)))
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    return True


def digest_of(certificate: Certificate, data: bytes) -> bytes:
    if certificate.key.kind is crypto.KeyKind.SM2:
        return sm2.digest(certificate.key.point, data)
    return hashlib.sha256(data).digest()


@pytest.mark.covers("CARD-01", "CARD-08")
@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_the_card_says(page: Page, card: dict[str, str], certificate: Certificate, prefix: str) -> None:
    serial = x509.load_der_x509_certificate(certificate.der).serial_number
    number = page.data(f"{prefix}SpcGetCertNo")[0]
    assert int(number, 16) == serial
    assert re.fullmatch("(?:[0-9a-f]{2})+", number)
    assert page.data(f"{prefix}SpcInitEnvEx") == []
    assert page.data(f"{prefix}SpcGetCardID") == [card["card_no"]]
    assert page.data(f"{prefix}SpcGetUName") == ["李操作"]
    assert page.data(f"{prefix}SpcGetEntID") == ["202600012"]
    assert page.data(f"{prefix}SpcGetEntName") == [ENTERPRISE]
    assert page.data(f"{prefix}SpcGetEntMode") == ["01"]
    assert page.data(f"{prefix}SpcGetCardUserInfo") == [f"李操作||{ENTERPRISE}||202600012||{card['card_no']}"]
    assert page.data(f"{prefix}SpcGetSignCertAsPEM") == [card["certificate"]]
    assert page.data(f"{prefix}SpcGetEnvCertAsPEM") == [card["envelope_certificate"]]
    times = page.data(f"{prefix}SpcGetValidTimeFromCert")
    assert times == [{"szStartTime": f"{certificate.starts_at:%Y%m%d%H%M%S}", "szEndTime": f"{certificate.ends_at:%Y%m%d%H%M%S}"}]
    assert page.data(f"{prefix}SpcClearEnv") == []


@pytest.mark.covers("CARD-01")
def test_all_that_the_card_says(page: Page, card: dict[str, str], certificate: Certificate) -> None:
    (text,) = page.data("security_getGetCardUserInfoAll")
    fields = text.split("||")
    assert fields[0] == certificate.number
    assert fields[5] == card["card_no"]
    assert page.data("security_getGetCardUserInfoAll", userpin=PIN) == [text]
    assert page.data("security_getGetCardUserInfoAll", userpin=None) == [text]
    assert page.code("security_getGetCardUserInfoAll", userpin="00000000") == "Err:Bridge40101"


@pytest.mark.covers("CARD-01", "CARD-08")
@pytest.mark.parametrize(("method", "argument"), [("SpcSignDataAsPEM", "inData"), ("SpcSignRandom", "random")])
def test_signing(page: Page, certificate: Certificate, method: str, argument: str) -> None:
    signature, number = page.data(f"cus-sec_{method}", **{argument: TEXT}, passwd=PIN)
    assert number == certificate.number
    assert is_signature(certificate, digest_of(certificate, TEXT.encode()), base64.b64decode(signature))
    assert page.data("cus-sec_SpcVerifySignData", inData=TEXT, signData=signature) == []
    assert page.code("cus-sec_SpcVerifySignData", inData=TEXT + " ", signData=signature) == "Err:Bridge42201"


@pytest.mark.parametrize("encode", [bytes.hex, lambda digest: base64.b64encode(digest).decode()], ids=["hex", "base64"])
def test_signing_a_digest(page: Page, certificate: Certificate, encode: Callable[[bytes], str]) -> None:
    digest = digest_of(certificate, TEXT.encode())
    signature, _ = page.data("cus-sec_SpcSignDataNoHashAsPEM", inData=encode(digest), passwd=PIN)
    assert page.data("cus-sec_SpcVerifySignData", inData=TEXT, signData=signature) == []
    assert is_signature(certificate, digest, base64.b64decode(signature))


def test_digests_of_other_lengths(page: Page, certificate: Certificate) -> None:
    for digest in (hashlib.sha1(b"x").digest(), hashlib.sha384(b"x").digest(), hashlib.sha512(b"x").digest()):
        if certificate.key.kind is crypto.KeyKind.RSA2048:
            signature, _ = page.data("cus-sec_SpcSignDataNoHashAsPEM", inData=digest.hex(), passwd=PIN)
            assert is_signature(certificate, digest, base64.b64decode(signature))
        else:
            assert page.code("cus-sec_SpcSignDataNoHashAsPEM", inData=digest.hex(), passwd=PIN) == "Err:Base50000"
    assert page.code("cus-sec_SpcSignDataNoHashAsPEM", inData="AAAA", passwd=PIN) == "Err:Base50000"


def test_a_signature_as_r_and_s_or_as_der(page: Page, certificate: Certificate) -> None:
    raw = base64.b64decode(page.data("cus-sec_SpcSignDataAsPEM", inData=TEXT, passwd=PIN)[0])
    if certificate.key.kind is crypto.KeyKind.RSA2048:
        # It has one form only.
        wrong = base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
        assert page.code("cus-sec_SpcVerifySignData", inData=TEXT, signData=wrong) == "Err:Bridge42201"
        return
    r, s = crypto.split_raw(raw) if len(raw) == 64 else crypto.split_der(raw)
    for form in (r.to_bytes(32, "big") + s.to_bytes(32, "big"), crypto.join_der(r, s)):
        assert page.data("cus-sec_SpcVerifySignData", inData=TEXT, signData=base64.b64encode(form).decode()) == []
    for wrong in (b"", b"\x30\x00", crypto.join_der(r, s) + b"\x00", bytes(64), b"\xff" * 64, crypto.join_der(s, r)):
        code = page.code("cus-sec_SpcVerifySignData", inData=TEXT, signData=base64.b64encode(wrong or b"x").decode())
        assert code == "Err:Bridge42201"


def test_verifying_with_a_given_certificate(page: Page, run: Callable[..., Running], card: dict[str, str], tmp_path: Path) -> None:
    (signature, _) = page.data("cus-sec_SpcSignDataAsPEM", inData=TEXT, passwd=PIN)
    elsewhere = run(SoftwareBackend(tmp_path / "no-card.json")).page()
    lines = "\n".join(card["certificate"][at : at + 64] for at in range(0, len(card["certificate"]), 64))
    pem = f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
    for text in (card["certificate"], pem):
        assert elsewhere.data("cus-sec_SpcVerifySignData", inData=TEXT, signData=signature, certDataPEM=text) == []
        assert elsewhere.data("cus-sec_SpcGetValidTimeFromCert", cert=text)
    assert elsewhere.code("cus-sec_SpcVerifySignData", inData=TEXT, signData=signature) == "Err:Custom51590"
    for wrong in ("中文", "AAAA", "MIIB", 5, ["x"], card["certificate"][:-8]):
        assert elsewhere.code("cus-sec_SpcVerifySignData", inData=TEXT, signData=signature, certDataPEM=wrong) == "Err:Base50000"
        assert elsewhere.code("cus-sec_SpcGetValidTimeFromCert", cert=wrong) == "Err:Base50000"


@pytest.mark.parametrize("method", ["cus-sec_SpcVerifyPIN", "cus-sec_SpcVerifyPINAll", "security_SpcVerifyPIN"])
def test_the_pin(page: Page, method: str) -> None:
    assert page.data(method, passwd=PIN) == []
    assert page.call(method, passwd="00000000")["Error"] == ["卡密码错误，还可以再试 5 次。", "Err:Bridge40101"]
    assert page.call(method, passwd="00000000")["Error"] == ["卡密码错误，还可以再试 4 次。", "Err:Bridge40101"]
    assert page.data(method, passwd=PIN) == []
    assert page.call(method, passwd="00000000")["Error"][0] == "卡密码错误，还可以再试 5 次。"


def test_changing_the_pin(page: Page) -> None:
    assert page.code("cus-sec_SpcChangePIN", oldPin="00000000", newPin="654321") == "Err:Bridge40101"
    assert page.data("cus-sec_SpcChangePIN", oldPin=PIN, newPin="654321") == []
    assert page.code("cus-sec_SpcVerifyPIN", passwd=PIN) == "Err:Bridge40101"
    assert page.data("cus-sec_SpcSignDataAsPEM", inData=TEXT, passwd="654321")


def test_a_digest_of_the_old_control(page: Page) -> None:
    expected = base64.b64encode(hashlib.sha1(TEXT.encode()).digest()).decode()
    assert page.data("cus-sec_SpcSHA1DigestAsPEM", szInfo=TEXT) == [expected]


def test_the_version_says_that_it_is_a_software_card(page: Page) -> None:
    (version,) = page.data("ver")
    assert version.startswith(VERSION)
    assert "软件演示卡" in version


def test_every_card_has_its_number(card_files: dict[object, Path]) -> None:
    for kind, path in card_files.items():
        assert load(base64.b64decode(json.loads(path.read_text())["certificate"])).card_number == CARD_NUMBERS[kind]
