"""SM2 on a digest (GB/T 32918.2), with the curve arithmetic of gmalg: its own SM2 class takes messages only, a card takes the digest.

Pure Python, so that it runs wherever Python does; signing is for software cards alone (not constant in time): a real card signs itself.
"""

import secrets

from cryptography.hazmat.primitives import hashes
from gmalg.ellipticcurve import ECDLP

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
USER_ID = b"1234567812345678"
_CURVE = ECDLP(P, A, B, G, N)


def sm3(data: bytes) -> bytes:
    """The SM3 digest, 32 bytes."""
    hasher = hashes.Hash(hashes.SM3())
    hasher.update(data)
    return hasher.finalize()


def digest(public_key: bytes, message: bytes, user_id: bytes = USER_ID) -> bytes:
    """SM3(Z‖M), what an SM2 signature is made over. `public_key`: the point, 65 bytes with 04 in front. Raises ValueError."""
    x, y = _point(public_key)
    curve = b"".join(number.to_bytes(32, "big") for number in (A, B, *G, x, y))
    z = sm3((len(user_id) * 8).to_bytes(2, "big") + user_id + curve)
    return sm3(z + message)


def verify(public_key: bytes, digest: bytes, r: int, s: int) -> bool:
    """Whether (r, s) is a signature over this digest. Raises ValueError for a public key that is none."""
    point = _point(public_key)
    t = (r + s) % N
    if not (0 < r < N and 0 < s < N) or t == 0:
        return False
    x = int(_CURVE.ec.add(_CURVE.kG(s), _CURVE.ec.mul(t, point))[0])
    return (int.from_bytes(digest, "big") + x) % N == r


def sign(private_key: int, digest: bytes) -> tuple[int, int]:
    """A signature (r, s) over this digest."""
    e = int.from_bytes(digest, "big")
    while True:
        k = secrets.randbelow(N - 1) + 1
        x, _ = _CURVE.kG(k)
        r = (e + x) % N
        s = pow(1 + private_key, -1, N) * (k - r * private_key) % N
        if r != 0 and r + k != N and s != 0:
            return r, s


def _point(public_key: bytes) -> tuple[int, int]:
    if len(public_key) != 65 or public_key[0] != 4:
        raise ValueError("not an uncompressed point")
    point = int.from_bytes(public_key[1:33], "big"), int.from_bytes(public_key[33:], "big")
    if max(point) >= P or not _CURVE.ec.isvalid(point):
        raise ValueError("not a point of the curve")
    return point
