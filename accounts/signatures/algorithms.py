"""One signature over some bytes: SM2-with-SM3, RSA PKCS#1 v1.5, ECDSA; r‖s and DER from any card with an elliptic curve."""

from collections.abc import Iterator
from enum import StrEnum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from accounts.signatures import sm2
from accounts.signatures.certificates import KeyKind, PublicKey
from accounts.signatures.refusals import WrongSignatureError


class Algorithm(StrEnum):
    """How a signature was made; the names that OpenSSL and the records use."""

    SM2_SM3 = "SM2-with-SM3"
    RSA_SHA256 = "RSA-SHA256"
    RSA_SHA384 = "RSA-SHA384"
    RSA_SHA512 = "RSA-SHA512"
    RSA_SHA1 = "RSA-SHA1"
    ECDSA_SHA256 = "ECDSA-SHA256"
    ECDSA_SHA384 = "ECDSA-SHA384"
    ECDSA_SHA512 = "ECDSA-SHA512"


_HASHES: dict[Algorithm, hashes.HashAlgorithm] = {
    Algorithm.RSA_SHA256: hashes.SHA256(),
    Algorithm.RSA_SHA384: hashes.SHA384(),
    Algorithm.RSA_SHA512: hashes.SHA512(),
    Algorithm.RSA_SHA1: hashes.SHA1(),  # noqa: S303 - old RSA cards; only where the operator says so
    Algorithm.ECDSA_SHA256: hashes.SHA256(),
    Algorithm.ECDSA_SHA384: hashes.SHA384(),
    Algorithm.ECDSA_SHA512: hashes.SHA512(),
}
#: Signature algorithms of certificates, CRLs and OCSP answers. SHA-1 is not among them.
_OF_OID: dict[str, tuple[KeyKind, Algorithm]] = {
    "1.2.156.10197.1.501": (KeyKind.SM2, Algorithm.SM2_SM3),
    "1.2.840.113549.1.1.11": (KeyKind.RSA, Algorithm.RSA_SHA256),
    "1.2.840.113549.1.1.12": (KeyKind.RSA, Algorithm.RSA_SHA384),
    "1.2.840.113549.1.1.13": (KeyKind.RSA, Algorithm.RSA_SHA512),
    "1.2.840.10045.4.3.2": (KeyKind.EC, Algorithm.ECDSA_SHA256),
    "1.2.840.10045.4.3.3": (KeyKind.EC, Algorithm.ECDSA_SHA384),
    "1.2.840.10045.4.3.4": (KeyKind.EC, Algorithm.ECDSA_SHA512),
}


def verify(*, key: PublicKey, data: bytes, signature: bytes, accepts_sha1: bool = False) -> Algorithm:
    """By which algorithm `signature` is one of `key` over `data`. Raises WrongSignatureError.

    SHA-1 counts only with `accepts_sha1`: for RSA cards whose middleware knows nothing else.
    """
    for algorithm in _of_key(key, accepts_sha1):
        if _matches(key, algorithm, data, signature):
            return algorithm
    raise WrongSignatureError


def for_openssl(*, key: PublicKey, data: bytes, signature: bytes) -> bytes:
    """The signature as OpenSSL takes it: DER for elliptic curves, whichever of its forms the card gave; RSA's as it is.

    Of two meanings that the bytes can have, the one that is a signature over `data`; the first where none is.
    """
    if key.kind == KeyKind.RSA:
        return signature
    width = 32 if key.kind == KeyKind.SM2 else key.material.key_size // 8
    forms = [encode_dss_signature(r, s) for r, s in _pairs(signature, width)]
    right = (form for form in forms if any(_matches(key, algorithm, data, form) for algorithm in _of_key(key, accepts_sha1=False)))
    return next(right, forms[0] if forms else signature)


def is_signed_by(*, key: PublicKey, algorithm_oid: str, data: bytes, signature: bytes) -> bool:
    """Whether an X.509 structure with the body `data` is signed by `key`, with the algorithm that it names."""
    kind, algorithm = _OF_OID.get(algorithm_oid, (None, None))
    return algorithm is not None and kind == key.kind and _matches(key, algorithm, data, signature)


def _of_key(key: PublicKey, accepts_sha1: bool) -> tuple[Algorithm, ...]:
    match key.kind:
        case KeyKind.SM2:
            return (Algorithm.SM2_SM3,)
        case KeyKind.RSA:
            return (Algorithm.RSA_SHA256, Algorithm.RSA_SHA1) if accepts_sha1 else (Algorithm.RSA_SHA256,)
        case KeyKind.EC:
            return (Algorithm.ECDSA_SHA256 if key.material.key_size == 256 else Algorithm.ECDSA_SHA384,)


def _matches(key: PublicKey, algorithm: Algorithm, data: bytes, signature: bytes) -> bool:
    if key.kind == KeyKind.SM2:
        return any(sm2.verify(key.material, data, r, s) for r, s in _pairs(signature, 32))
    try:
        if key.kind == KeyKind.RSA:
            key.material.verify(signature, data, padding.PKCS1v15(), _HASHES[algorithm])
            return True
        return any(_is_ecdsa(key, algorithm, data, r, s) for r, s in _pairs(signature, key.material.key_size // 8))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False


def _is_ecdsa(key: PublicKey, algorithm: Algorithm, data: bytes, r: int, s: int) -> bool:
    try:
        key.material.verify(encode_dss_signature(r, s), data, ec.ECDSA(_HASHES[algorithm]))
    except InvalidSignature:
        return False
    return True


def _pairs(signature: bytes, width: int) -> Iterator[tuple[int, int]]:
    """What (r, s) the bytes can mean: r‖s by their length, and DER. A DER signature of just that length is rare, and possible."""
    if len(signature) == 2 * width:
        yield int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
    if len(signature) <= 2 * width + 16:
        try:
            yield decode_dss_signature(signature)
        except ValueError:
            return
