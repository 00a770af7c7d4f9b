"""Software card files: `lnsw-software-card/1`, JSON, the keys encrypted with the PIN, the tries counted in the file itself.

A software card protects nothing from who can copy the file; it is there so that a newcomer needs no hardware.
"""

import base64
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from simulators.cards.keys import Key, KeyType

FORMAT = "lnsw-software-card/1"
ITERATIONS = 600_000
MAX_TRIES = 6
#: As PIV has it, and as the official cards do: 6 to 8 digits.
PIN_LENGTHS = range(6, 9)


class WrongPinError(Exception):
    """The PIN is wrong; so many tries are left."""

    def __init__(self, tries_left: int) -> None:
        super().__init__(f"wrong PIN, {tries_left} tries left")
        self.tries_left = tries_left


class BlockedError(Exception):
    """No try is left: the card is of no more use."""


@dataclass
class Keys:
    """What the PIN opens."""

    signing: Key
    envelope: Key


@dataclass
class CardFile:
    """A software card on disk."""

    path: Path
    content: dict[str, Any]

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        card_no: str,
        pin: str,
        certificate: bytes,
        envelope_certificate: bytes,
        keys: Keys,
        max_tries: int = MAX_TRIES,
        iterations: int | None = None,
    ) -> Self:
        """Write a new card; raises ValueError for a PIN that is none. `iterations`: ITERATIONS, or fewer for a PIN that everybody knows."""
        card = cls(
            path,
            {
                "format": FORMAT,
                "card_no": card_no,
                "key_type": keys.signing.key_type.value,
                "certificate": _text(certificate),
                "envelope_certificate": _text(envelope_certificate),
                "tries_left": max_tries,
                "max_tries": max_tries,
            },
        )
        card._lock_keys(keys, pin, iterations or ITERATIONS)
        card._save()
        return card

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a card; raises ValueError where the file is none."""
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"{path} is no software card ({FORMAT}).")
        return cls(path, content)

    @property
    def card_no(self) -> str:
        return str(self.content["card_no"])

    @property
    def key_type(self) -> KeyType:
        return KeyType(self.content["key_type"])

    @property
    def certificate(self) -> bytes:
        """The signing certificate, DER."""
        return base64.b64decode(self.content["certificate"])

    @property
    def envelope_certificate(self) -> bytes:
        return base64.b64decode(self.content["envelope_certificate"])

    @property
    def tries_left(self) -> int:
        return int(self.content["tries_left"])

    def open(self, pin: str) -> Keys:
        """The keys, for the right PIN. Raises WrongPinError and BlockedError; a wrong PIN is counted before it is found wrong."""
        self.content = self.load(self.path).content
        if self.tries_left <= 0:
            raise BlockedError
        self.content["tries_left"] -= 1
        self._save()
        try:
            secret = _derived(pin, self.content["key"])
            keys = Keys(*(Key.from_pkcs8(_decrypt(self.content[name], secret)) for name in ("key", "envelope_key")))
        except InvalidTag:
            raise WrongPinError(self.tries_left) from None
        self.content["tries_left"] = self.content["max_tries"]
        self._save()
        return keys

    def change_pin(self, old: str, new: str) -> None:
        """Encrypt the keys with another PIN. Raises what `open` does, and ValueError for a new PIN that is none."""
        _check(new)
        self._lock_keys(self.open(old), new, ITERATIONS)
        self._save()

    def _lock_keys(self, keys: Keys, pin: str, iterations: int) -> None:
        """Both under one secret, which ITERATIONS take a quarter of a second to derive, each with a nonce of its own."""
        _check(pin)
        head = {"salt": _text(secrets.token_bytes(16)), "iterations": iterations}
        secret = _derived(pin, head)
        self.content["key"] = head | _encrypt(keys.signing.pkcs8(), secret)
        self.content["envelope_key"] = head | _encrypt(keys.envelope.pkcs8(), secret)

    def _save(self) -> None:
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        with suppress(FileNotFoundError):
            beside.unlink()
        beside.touch(mode=0o600)
        beside.write_text(json.dumps(self.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        beside.replace(self.path)


def _check(pin: str) -> None:
    if len(pin) not in PIN_LENGTHS or not (pin.isascii() and pin.isdigit()):
        raise ValueError("A PIN is 6 to 8 digits.")


def _encrypt(plain: bytes, secret: bytes) -> dict[str, str]:
    nonce = secrets.token_bytes(12)
    return {"nonce": _text(nonce), "ciphertext": _text(AESGCM(secret).encrypt(nonce, plain, None))}


def _decrypt(sealed: dict[str, Any], secret: bytes) -> bytes:
    return AESGCM(secret).decrypt(base64.b64decode(sealed["nonce"]), base64.b64decode(sealed["ciphertext"]), None)


def _derived(pin: str, head: dict[str, Any]) -> bytes:
    return PBKDF2HMAC(hashes.SHA256(), 32, base64.b64decode(head["salt"]), int(head["iterations"])).derive(pin.encode())


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
