"""The three kinds of key a card can have: what is handed to the card, what a page gets, whether a signature is right."""

from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from card_bridge import sm2, tlv
from card_bridge.errors import BadArgumentsError, CardFailedError

_EC_PUBLIC_KEY = bytes.fromhex("2a8648ce3d0201")
_SM2_CURVE = bytes.fromhex("2a811ccf5501822d")  # 1.2.156.10197.1.301
_HASH_BY_LENGTH: dict[int, hashes.HashAlgorithm] = {20: hashes.SHA1(), 32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}  # noqa: S303
#: DigestInfo up to the digest itself (RFC 8017 §9.2).
_DIGEST_INFO = {
    20: bytes.fromhex("3021300906052b0e03021a05000414"),
    32: bytes.fromhex("3031300d060960864801650304020105000420"),
    48: bytes.fromhex("3041300d060960864801650304020205000430"),
    64: bytes.fromhex("3051300d060960864801650304020305000440"),
}
_COORDINATE = 32


class KeyKind(Enum):
    """What a card's signing key is."""

    SM2 = "sm2"
    RSA2048 = "rsa2048"
    P256 = "p256"


@dataclass(frozen=True)
class PublicKey:
    """The public key of a certificate. `point`: the 65 bytes of an SM2 key, empty for the others."""

    kind: KeyKind
    spki: bytes
    point: bytes = b""

    def digest(self, data: bytes) -> bytes:
        """What the card signs for these data: SM3(Z‖M) for SM2, SHA-256 for the others."""
        return sm2.digest(self.point, data) if self.kind is KeyKind.SM2 else sha256(data).digest()

    def check_digest(self, digest: bytes) -> None:
        """Raises BadArgumentsError when a key of this kind cannot sign a digest of this length."""
        lengths = sorted(_DIGEST_INFO) if self.kind is KeyKind.RSA2048 else [32]
        if len(digest) not in lengths:
            raise BadArgumentsError(f"摘要长度为 {len(digest)} 字节，此卡只能签 {'、'.join(map(str, lengths))} 字节的摘要。")

    def for_page(self, signature: bytes) -> bytes:
        """A card's signature as pages get it: r‖s (64 bytes) from an SM2 card, as it is (PKCS#1, DER) from the others.

        Raises CardFailedError when it is no signature at all.
        """
        if self.kind is KeyKind.RSA2048:
            if len(signature) != 256:
                raise CardFailedError("卡返回的签名长度不对，请重新插卡后再试。")
            return signature
        r, s = self._two_numbers(signature)
        if max(r, s).bit_length() > _COORDINATE * 8:
            raise CardFailedError("卡返回的签名无法识别，请重新插卡后再试。")
        if self.kind is KeyKind.SM2:
            return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")
        return signature

    def _two_numbers(self, der: bytes) -> tuple[int, int]:
        try:
            return split_der(der)
        except tlv.TlvError as error:
            raise CardFailedError("卡返回的签名无法识别，请重新插卡后再试。") from error

    def verifies(self, data: bytes, signature: bytes) -> bool:
        """Whether the signature over the data is this key's; an elliptic one may come as r‖s or as DER."""
        digest = self.digest(data)
        if self.kind is KeyKind.RSA2048:
            return self._rsa_verifies(digest, signature)
        try:
            r, s = split_raw(signature) if len(signature) == 2 * _COORDINATE else split_der(signature)
        except tlv.TlvError:
            return False
        if self.kind is KeyKind.SM2:
            return sm2.verify(self.point, digest, r, s)
        key = load_der_public_key(self.spki)
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101
        try:
            key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        except InvalidSignature:
            return False
        return True

    def _rsa_verifies(self, digest: bytes, signature: bytes) -> bool:
        key = load_der_public_key(self.spki)
        assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101
        try:
            key.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def public_key(spki: bytes) -> PublicKey:
    """The key of a SubjectPublicKeyInfo (DER). Raises ValueError for a kind that no card here has, or for what is none."""
    _, contents, _ = tlv.read(spki)
    (_, algorithm), (_, bits) = list(tlv.elements(contents))[:2]
    identifiers = list(tlv.elements(algorithm))
    if [value for _, value in identifiers] == [_EC_PUBLIC_KEY, _SM2_CURVE]:
        point = bits[1:]
        sm2.digest(point, b"")  # refuses what is no point of the curve
        return PublicKey(KeyKind.SM2, spki, point)
    try:
        key = load_der_public_key(spki)
    except UnsupportedAlgorithm as error:
        raise ValueError("a key of another kind") from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048:
        return PublicKey(KeyKind.RSA2048, spki)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return PublicKey(KeyKind.P256, spki)
    raise ValueError("a key of another kind")


def split_der(signature: bytes) -> tuple[int, int]:
    """r and s of SEQUENCE(r, s), nothing before or behind. Raises TlvError."""
    tag, contents, end = tlv.read(signature)
    numbers = list(tlv.elements(contents))
    if tag != 0x30 or end != len(signature) or [number_tag for number_tag, _ in numbers] != [0x02, 0x02]:
        raise tlv.TlvError("not SEQUENCE(r, s)")
    return tlv.integer(numbers[0][1]), tlv.integer(numbers[1][1])


def split_raw(signature: bytes) -> tuple[int, int]:
    """r and s of r‖s."""
    return int.from_bytes(signature[:_COORDINATE], "big"), int.from_bytes(signature[_COORDINATE:], "big")


def join_der(r: int, s: int) -> bytes:
    """SEQUENCE(r, s), as cards answer."""
    return tlv.write(0x30, tlv.write_integer(r) + tlv.write_integer(s))


def padded_block(digest: bytes, size: int = 256) -> bytes:
    """EMSA-PKCS1-v1_5 (RFC 8017 §9.2): what an RSA card raises to its private exponent."""
    info = _DIGEST_INFO[len(digest)] + digest
    return b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info


def hash_of(digest: bytes) -> hashes.HashAlgorithm:
    """The hash that has digests of this length."""
    return _HASH_BY_LENGTH[len(digest)]
