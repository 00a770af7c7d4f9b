"""Where cards are: behind PC/SC (`pcsc`, with cards as `piv` describes), or in a file (`software`)."""

from contextlib import AbstractContextManager
from typing import Protocol

from card_bridge.crypto import PublicKey


class Card(Protocol):
    """A card for the time of one call. Everything raises BridgeError: WrongPinError, CardBlockedError, CardLostError, CardFailedError …"""

    def signing_certificate(self) -> bytes:
        """The certificate of the signing key (DER)."""

    def envelope_certificate(self) -> bytes:
        """The certificate of the envelope key (DER)."""

    def verify_pin(self, pin: str) -> None:
        """Nothing when the PIN is right."""

    def change_pin(self, old: str, new: str) -> None:
        """From now on the PIN is another."""

    def sign(self, key: PublicKey, digest: bytes, pin: str) -> bytes:
        """The signature over the digest by the card's signing key, whose public half is `key`: DER, or an RSA block."""


class Backend(Protocol):
    """Where cards are looked for, anew for each call."""

    #: What `ver` says of it besides the version; empty for real cards.
    remark: str

    def card(self) -> AbstractContextManager[Card]:
        """The card that is there now. Raises NoReaderError, NoCardError, CardLostError, ServiceNotReachedError."""
