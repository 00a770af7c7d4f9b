"""SM2 signatures over a digest (GB/T 32918.2), as a card makes them. Not constant in time: for test cards only."""

import secrets

from cryptography.hazmat.primitives import hashes
from gmalg.ellipticcurve import ECDLP

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7, 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)
DEFAULT_ID = b"1234567812345678"

_CURVE = ECDLP(P, A, B, G, N)


def sm3(data: bytes) -> bytes:
    """The 32 bytes of SM3 over `data`."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def digest_of(public_key: bytes, message: bytes, user_id: bytes = DEFAULT_ID) -> bytes:
    """e = SM3(Z‖M), which is what gets signed; `public_key` is x‖y, 64 bytes."""
    curve = b"".join(number.to_bytes(32, "big") for number in (A, B, *G))
    z = sm3((8 * len(user_id)).to_bytes(2, "big") + user_id + curve + public_key)
    return sm3(z + message)


def new_private_key() -> int:
    """A random private key, 1 ≤ d ≤ n − 2."""
    return secrets.randbelow(N - 2) + 1


def public_key_of(private_key: int) -> bytes:
    """x‖y, 64 bytes."""
    x, y = _CURVE.kG(private_key)
    return bytes(x.to_bytes(32, "big") + y.to_bytes(32, "big"))


def sign_digest(private_key: int, digest: bytes) -> tuple[int, int]:
    """(r, s) over e = `digest`."""
    e = int.from_bytes(digest, "big")
    inverse = pow(1 + private_key, -1, N)
    while True:
        k = secrets.randbelow(N - 1) + 1
        x, _y = _CURVE.kG(k)
        r = (e + x) % N
        s = inverse * (k - r * private_key) % N
        if r and s and (r + k) % N:
            return r, s


def verify_digest(public_key: bytes, digest: bytes, r: int, s: int) -> bool:
    """Whether (r, s) is a signature over e = `digest` of the key x‖y, 64 bytes."""
    if not (0 < r < N and 0 < s < N and (r + s) % N):
        return False
    key = (int.from_bytes(public_key[:32], "big"), int.from_bytes(public_key[32:], "big"))
    point = _CURVE.ec.add(_CURVE.kG(s), _CURVE.ec.mul((r + s) % N, key))
    return point != _CURVE.ec.INF and bool((int.from_bytes(digest, "big") + point[0]) % N == r)
