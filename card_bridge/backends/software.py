"""A card in a file, for demonstrations and tests: made by `python -m simulators.cards`. It proves nothing about who uses it."""

import base64
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import load_der_private_key

from card_bridge import sm2, tlv
from card_bridge.crypto import KeyKind, PublicKey, hash_of, join_der
from card_bridge.errors import CardBlockedError, CardFailedError, NoCardError, WrongPinError

FORMAT = "lnsw-software-card/1"
ITERATIONS = 600_000
#: A file that asks for more would keep the program busy for minutes.
_MOST_ITERATIONS = 10_000_000
_LARGEST = 256 * 1024
_SALT, _NONCE, _SECRET = 16, 12, 32
#: What the PIN opens: the signing key, and the envelope key where the file has one.
_KEYS = ("key", "envelope_key")


class SoftwareBackend:
    """The card file; no file is no card. Read anew for each call, so that another card is put in by replacing the file."""

    remark = "软件演示卡"

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def card(self) -> Iterator["SoftwareCard"]:
        """The card that the file is now."""
        yield SoftwareCard(self._path)


class SoftwareCard:
    """A card file. Raises what `backends.Card` says."""

    def __init__(self, path: Path) -> None:
        """Raises NoCardError when there is no file, CardFailedError when it is none of ours."""
        self._path = path
        self._contents = _read(path)

    def signing_certificate(self) -> bytes:
        """The certificate of the signing key (DER)."""
        return self._bytes(self._contents, "certificate")

    def envelope_certificate(self) -> bytes:
        """The certificate of the envelope key (DER)."""
        return self._bytes(self._contents, "envelope_certificate")

    def verify_pin(self, pin: str) -> None:
        """Whether the PIN opens the key."""
        self._keys(pin)

    def change_pin(self, old: str, new: str) -> None:
        """The keys under another PIN."""
        keys = self._keys(old, _KEYS)
        salt = os.urandom(_SALT)
        secret = _derived(new, salt, ITERATIONS)
        sealed = {name: self._sealed(key, salt, secret) for name, key in keys.items()}
        self._write({**self._contents, **sealed})

    @staticmethod
    def _sealed(key: bytes, salt: bytes, secret: bytes) -> dict[str, Any]:
        nonce = os.urandom(_NONCE)
        ciphertext = AESGCM(secret).encrypt(nonce, key, None)
        return {"salt": _text(salt), "iterations": ITERATIONS, "nonce": _text(nonce), "ciphertext": _text(ciphertext)}

    def sign(self, key: PublicKey, digest: bytes, pin: str) -> bytes:
        """The signature over the digest."""
        private = self._keys(pin)["key"]
        try:
            return _signature(key.kind, private, digest)
        except (ValueError, TypeError, AttributeError) as error:
            raise CardFailedError("软件卡文件中的密钥无法使用，请重新生成软件卡。") from error

    def _keys(self, pin: str, names: Sequence[str] = _KEYS[:1]) -> dict[str, bytes]:
        """Keys (PKCS#8 DER) by their names in the file. A try is taken before they are looked at: pulling the plug gives none back."""
        left, most = self._tries()
        if left == 0:
            raise CardBlockedError
        self._write({**self._contents, "tries_left": left - 1})
        try:
            keys = {name: self._opened(name, pin) for name in names if name in self._contents}
        except InvalidTag:
            if left == 1:
                raise CardBlockedError from None
            raise WrongPinError(left - 1) from None
        if "key" not in keys:
            raise _broken()
        self._write({**self._contents, "tries_left": most})
        return keys

    def _opened(self, name: str, pin: str) -> bytes:
        sealed = self._contents[name]
        if not isinstance(sealed, dict):
            raise _broken()
        iterations = sealed.get("iterations")
        if not isinstance(iterations, int) or not 1 <= iterations <= _MOST_ITERATIONS:
            raise _broken()
        salt, nonce, ciphertext = (self._bytes(sealed, part) for part in ("salt", "nonce", "ciphertext"))
        try:
            return AESGCM(_derived(pin, salt, iterations)).decrypt(nonce, ciphertext, None)
        except ValueError:
            raise _broken() from None

    def _tries(self) -> tuple[int, int]:
        left, most = self._contents.get("tries_left"), self._contents.get("max_tries")
        if not isinstance(left, int) or not isinstance(most, int) or not 0 <= left <= most:
            raise _broken()
        return left, most

    @staticmethod
    def _bytes(mapping: dict[str, Any], name: str) -> bytes:
        try:
            return base64.b64decode(mapping[name], validate=True)
        except (KeyError, TypeError, ValueError):
            raise _broken() from None

    def _write(self, contents: dict[str, Any]) -> None:
        try:
            _replace(self._path, json.dumps(contents, ensure_ascii=False, indent=1))
        except OSError as error:
            raise CardFailedError("软件卡文件不能写入，无法记录密码剩余次数，请检查文件权限。") from error
        self._contents = contents


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NoCardError("没有插入软件卡：卡文件不存在。") from None
    except OSError:
        raise CardFailedError("软件卡文件不能读取，请检查文件权限。") from None
    try:
        contents = json.loads(data) if len(data) <= _LARGEST else None
    except (ValueError, RecursionError):
        contents = None
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise _broken()
    return contents


def _replace(path: Path, text: str) -> None:
    """The file appears whole or stays as it was. Behind a link it is the file that the link leads to."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _derived(pin: str, salt: bytes, iterations: int) -> bytes:
    return PBKDF2HMAC(hashes.SHA256(), _SECRET, salt, iterations).derive(pin.encode("utf-8"))


def _signature(kind: KeyKind, private: bytes, digest: bytes) -> bytes:
    if kind is KeyKind.SM2:
        return join_der(*sm2.sign(_sm2_private(private), digest))
    key = load_der_private_key(private, None)
    if kind is KeyKind.RSA2048 and isinstance(key, rsa.RSAPrivateKey):
        return key.sign(digest, padding.PKCS1v15(), utils.Prehashed(hash_of(digest)))
    if kind is KeyKind.P256 and isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    raise ValueError("the key is not of the certificate's kind")


def _sm2_private(pkcs8: bytes) -> int:
    """The number in PrivateKeyInfo → ECPrivateKey (RFC 5208, RFC 5915); the general loader knows no SM2 curve. Raises ValueError."""
    _, info, _ = tlv.read(pkcs8)
    _, _, (_, octets), *_ = tlv.elements(info)
    _, ec_key, _ = tlv.read(octets)
    _, (_, number), *_ = tlv.elements(ec_key)
    private = int.from_bytes(number, "big")
    if not 0 < private < sm2.N - 1:
        raise ValueError("no private key of the curve")
    return private


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _broken() -> CardFailedError:
    return CardFailedError("软件卡文件无法识别，请用 python -m simulators.cards 重新生成。")
