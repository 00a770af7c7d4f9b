"""SM2 verification (GB/T 32918.2): gmssl-pyx where the machine has it, else gmalg in Python (docs/adr/0080).

Nothing here is secret, so time may depend on what is verified. Numbers and points are checked before a library sees them.
"""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

try:
    from gmssl_pyx import sm2_verify_sm3_digest
except ImportError:  # no wheel for this processor
    sm2_verify_sm3_digest = None

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
G = (0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7, 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0)
#: What signers use who have no id of their own; the cards do, and so does X.509.
DEFAULT_ID = b"1234567812345678"
_CURVE = b"".join(number.to_bytes(32, "big") for number in (A, B, *G))


def sm3(data: bytes) -> bytes:
    """The 32 bytes of SM3 over `data`."""
    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def digest_of(public_key: bytes, message: bytes, user_id: bytes = DEFAULT_ID) -> bytes:
    """e = SM3(Z‖M), which is what gets signed; `public_key` is x‖y, 64 bytes."""
    z = sm3((8 * len(user_id)).to_bytes(2, "big") + user_id + _CURVE + public_key)
    return sm3(z + message)


def is_on_curve(public_key: bytes) -> bool:
    """Whether x‖y, 64 bytes, is a point of the curve."""
    if len(public_key) != 64:
        return False
    x, y = int.from_bytes(public_key[:32], "big"), int.from_bytes(public_key[32:], "big")
    return x < P and y < P and (y * y - (x * x * x + A * x + B)) % P == 0


def verify(public_key: bytes, message: bytes, r: int, s: int) -> bool:
    """Whether (r, s) is a signature over `message` with the default id. `public_key` is x‖y of a point of the curve."""
    if not (0 < r < N and 0 < s < N and (r + s) % N):
        return False
    digest = digest_of(public_key, message)
    return _by_gmalg(public_key, digest, r, s) if sm2_verify_sm3_digest is None else _by_gmssl(public_key, digest, r, s)


def _by_gmssl(public_key: bytes, digest: bytes, r: int, s: int) -> bool:
    return bool(sm2_verify_sm3_digest(public_key, digest, encode_dss_signature(r, s)))


def _by_gmalg(public_key: bytes, digest: bytes, r: int, s: int) -> bool:
    from gmalg.ellipticcurve import ECDLP

    group = ECDLP(P, A, B, G, N)
    key = (int.from_bytes(public_key[:32], "big"), int.from_bytes(public_key[32:], "big"))
    point = group.ec.add(group.kG(s), group.ec.mul((r + s) % N, key))
    return point != group.ec.INF and bool((int.from_bytes(digest, "big") + point[0]) % N == r)
