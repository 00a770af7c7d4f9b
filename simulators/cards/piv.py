"""A PIV card (NIST SP 800-73-4) in software: APDUs in, APDUs out. What it holds comes from a software card file.

Slot 9C and 9A hold the signing key, 9D the envelope key. 9C wants the PIN anew before every signature.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from simulators.cards.cardfile import BlockedError, CardFile, Keys, WrongPinError
from simulators.cards.keys import Key, KeyType

#: T=1, no historical bytes.
ATR = bytes.fromhex("3B80800101")
AID = bytes.fromhex("A000000308000010000100")
#: A host may leave out the version at the end.
SHORTEST_AID = 9
PIN_REFERENCE = 0x80

SIGNATURE_SLOT, AUTHENTICATION_SLOT, ENVELOPE_SLOT = 0x9C, 0x9A, 0x9D
#: SP 800-78 names the first two; SM2 is ours: challenge e = SM3(Z‖M), response DER SEQUENCE(r, s).
ALGORITHMS = {KeyType.RSA_2048: 0x07, KeyType.P256: 0x11, KeyType.SM2: 0xE1}

CHUID, CCC, DISCOVERY = "5FC102", "5FC107", "7E"
AUTHENTICATION_CERTIFICATE, SIGNATURE_CERTIFICATE, ENVELOPE_CERTIFICATE = "5FC105", "5FC10A", "5FC10B"

OK = 0x9000
WRONG_LENGTH = 0x6700
LAST_OF_CHAIN_EXPECTED = 0x6883
NOT_VERIFIED = 0x6982
BLOCKED = 0x6983
CONDITIONS = 0x6985
WRONG_DATA = 0x6A80
NOT_FOUND = 0x6A82
WRONG_PARAMETERS = 0x6A86
NO_REFERENCE = 0x6A88
UNKNOWN_INSTRUCTION = 0x6D00
UNKNOWN_CLASS = 0x6E00
LONGEST_CHAIN = 4096


class RefusedError(Exception):
    """The card answers this status word and nothing else."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{status:04X}")
        self.status = status


@dataclass(frozen=True)
class Command:
    """A command APDU."""

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    #: How many bytes the host takes in one answer; None where it wants none.
    expected: int | None

    @classmethod
    def parse(cls, apdu: bytes) -> "Command":
        """Short and extended length (ISO 7816-4 §5.1). Raises RefusedError."""
        if len(apdu) < 4:
            raise RefusedError(WRONG_LENGTH)
        cla, ins, p1, p2 = apdu[:4]
        body = apdu[4:]
        if not body:
            return cls(cla, ins, p1, p2, b"", None)
        wide = body[0] == 0 and len(body) > 1
        width = 3 if wide else 1
        if len(body) < width:
            raise RefusedError(WRONG_LENGTH)
        length = int.from_bytes(body[:width], "big")
        if len(body) == width:
            return cls(cla, ins, p1, p2, b"", length or (65536 if wide else 256))
        data, rest = body[width : width + length], body[width + length :]
        if length == 0 or len(data) != length or len(rest) not in {0, 2 if wide else 1}:
            raise RefusedError(WRONG_LENGTH)
        expected = (int.from_bytes(rest, "big") or (65536 if wide else 256)) if rest else None
        return cls(cla, ins, p1, p2, data, expected)


class PivCard:
    """One card between power on and power off; the file remembers PIN and tries, the rest is forgotten at reset."""

    def __init__(self, card: CardFile) -> None:
        self.card = card
        self._instructions: dict[int, Callable[[Command], bytes]] = {
            0xA4: self._select,
            0xCB: self._get_data,
            0xC0: self._get_response,
            0x20: self._verify,
            0x24: self._change_pin,
            0x87: self._authenticate,
        }
        self.reset()

    def reset(self) -> None:
        """Power on or reset: nothing selected, no PIN given."""
        self._selected = False
        self._keys: Keys | None = None
        #: Whether nothing was signed in 9C since the PIN was given.
        self._fresh = False
        self._chain = b""
        self._chained_to: tuple[int, int, int] | None = None
        self._waiting = b""

    def answer(self, apdu: bytes) -> bytes:
        """The response APDU."""
        try:
            command = Command.parse(apdu)
            if command.cla & ~0x10:
                raise RefusedError(UNKNOWN_CLASS)
            complete = self._unchained(command)
            if complete is None:
                return _word(OK)
            if complete.ins != 0xC0:
                self._waiting = b""
            handler = self._instructions.get(complete.ins)
            if handler is None:
                raise RefusedError(UNKNOWN_INSTRUCTION)
            if not self._selected and complete.ins not in {0xA4, 0xC0}:
                raise RefusedError(CONDITIONS)
            return self._portion(handler(complete), complete.expected)
        except RefusedError as refused:
            return _word(refused.status)

    def _unchained(self, command: Command) -> Command | None:
        """The whole of a command that comes in pieces; None while there is more to come."""
        name = (command.ins, command.p1, command.p2)
        if self._chained_to not in {None, name}:
            self._chain, self._chained_to = b"", None
            raise RefusedError(LAST_OF_CHAIN_EXPECTED)
        if len(self._chain) + len(command.data) > LONGEST_CHAIN:
            self._chain, self._chained_to = b"", None
            raise RefusedError(WRONG_LENGTH)
        if command.cla & 0x10:
            self._chain, self._chained_to = self._chain + command.data, name
            return None
        whole = self._chain + command.data
        self._chain, self._chained_to = b"", None
        return Command(0, *name, whole, command.expected)

    def _portion(self, response: bytes, expected: int | None) -> bytes:
        """As much as the host takes at once; the rest waits for GET RESPONSE."""
        length = min(len(response), expected if expected is not None else 256)
        self._waiting = response[length:]
        if not self._waiting:
            return response + _word(OK)
        return response[:length] + _word(0x6100 | (len(self._waiting) if len(self._waiting) < 256 else 0))

    def _get_response(self, _command: Command) -> bytes:
        if not self._waiting:
            raise RefusedError(CONDITIONS)
        return self._waiting

    def _select(self, command: Command) -> bytes:
        if command.p1 != 0x04 or len(command.data) < SHORTEST_AID or not AID.startswith(command.data):
            raise RefusedError(NOT_FOUND)
        self._selected, self._keys, self._fresh = True, None, False
        label = f"LNSW virtual card {self.card.key_type.value}".encode()
        return _tlv(0x61, _tlv(0x4F, AID[5:]) + _tlv(0x79, _tlv(0x4F, AID[:5])) + _tlv(0x50, label))

    def _get_data(self, command: Command) -> bytes:
        if (command.p1, command.p2) != (0x3F, 0xFF):
            raise RefusedError(WRONG_PARAMETERS)
        if len(command.data) < 3 or command.data[0] != 0x5C or command.data[1] != len(command.data) - 2:
            raise RefusedError(WRONG_DATA)
        match command.data[2:].hex().upper():
            case "7E":
                # PIN of the application, no global one.
                return _tlv(0x7E, _tlv(0x4F, AID) + bytes.fromhex("5F2F024000"))
            case "5FC102":
                return _tlv(0x53, self._chuid())
            case "5FC107":
                return _tlv(0x53, self._capabilities())
            case "5FC10A" | "5FC105":
                return _tlv(0x53, _certificate(self.card.certificate))
            case "5FC10B":
                return _tlv(0x53, _certificate(self.card.envelope_certificate))
        raise RefusedError(NOT_FOUND)

    def _chuid(self) -> bytes:
        """An agency code of 9999 says that the number is no US agency's; the GUID tells cards apart."""
        agency = bytes.fromhex("D4E739DA739CED39CE739D836858210842108421C84210C3EB")
        guid = hashlib.sha256(self.card.card_no.encode() + self.card.certificate).digest()[:16]
        return _tlv(0x30, agency) + _tlv(0x34, guid) + _tlv(0x35, b"20991231") + _tlv(0x3E, b"") + _tlv(0xFE, b"")

    def _capabilities(self) -> bytes:
        identifier = bytes.fromhex("A000000116FF02") + hashlib.sha256(self.card.card_no.encode()).digest()[:14]
        empty = b"".join(_tlv(tag, b"") for tag in (0xF3, 0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE))
        fields = ((0xF0, identifier), (0xF1, b"\x21"), (0xF2, b"\x21"), (0xF4, b"\x00"), (0xF5, b"\x10"))
        return b"".join(_tlv(tag, value) for tag, value in fields) + empty

    def _verify(self, command: Command) -> bytes:
        if command.p2 != PIN_REFERENCE:
            raise RefusedError(NO_REFERENCE)
        if command.p1 == 0xFF and not command.data:
            self._keys, self._fresh = None, False
            return b""
        if command.p1 != 0x00:
            raise RefusedError(WRONG_PARAMETERS)
        if not command.data:
            if self._keys is None:
                raise RefusedError(self._tries())
            return b""
        self._keys = self._opened(command.data)
        self._fresh = True
        return b""

    def _change_pin(self, command: Command) -> bytes:
        if command.p1 != 0x00:
            raise RefusedError(WRONG_PARAMETERS)
        if command.p2 != PIN_REFERENCE:
            raise RefusedError(NO_REFERENCE)
        if len(command.data) != 16:
            raise RefusedError(WRONG_LENGTH)
        old, new = _pin(command.data[:8]), _pin(command.data[8:])
        try:
            self.card.change_pin(old, new)
        except WrongPinError:
            self._keys = None
            raise RefusedError(self._tries()) from None
        except BlockedError:
            self._keys = None
            raise RefusedError(BLOCKED) from None
        except ValueError:
            raise RefusedError(WRONG_DATA) from None
        self._keys, self._fresh = self.card.open(new), True
        return b""

    def _authenticate(self, command: Command) -> bytes:
        """GENERAL AUTHENTICATE: 7C { 82 empty, 81 challenge } gives 7C { 82 response }."""
        if command.p1 != ALGORITHMS[self.card.key_type]:
            raise RefusedError(WRONG_PARAMETERS)
        challenge = _challenge(command.data)
        key = self._key(command.p2)
        try:
            response = key.card_operation(challenge)
        except ValueError:
            raise RefusedError(WRONG_DATA) from None
        if command.p2 == SIGNATURE_SLOT:
            self._fresh = False
        return _tlv(0x7C, _tlv(0x82, response))

    def _key(self, slot: int) -> Key:
        if slot not in {SIGNATURE_SLOT, AUTHENTICATION_SLOT, ENVELOPE_SLOT}:
            raise RefusedError(WRONG_PARAMETERS)
        if self._keys is None or (slot == SIGNATURE_SLOT and not self._fresh):
            raise RefusedError(NOT_VERIFIED)
        return self._keys.envelope if slot == ENVELOPE_SLOT else self._keys.signing

    def _opened(self, padded: bytes) -> Keys:
        if len(padded) != 8:
            raise RefusedError(WRONG_DATA)
        self._keys = None
        try:
            return self.card.open(_pin(padded))
        except WrongPinError:
            raise RefusedError(self._tries()) from None
        except BlockedError:
            raise RefusedError(BLOCKED) from None

    def _tries(self) -> int:
        left = self.card.tries_left
        return 0x63C0 | min(left, 15) if left else BLOCKED


def _pin(padded: bytes) -> str:
    """A PIN padded with FF to eight bytes; what is not ASCII cannot be right and is counted as wrong."""
    return padded.rstrip(b"\xff").decode("ascii", errors="replace")


def _certificate(der: bytes) -> bytes:
    return _tlv(0x70, der) + _tlv(0x71, b"\x00") + _tlv(0xFE, b"")


def _challenge(data: bytes) -> bytes:
    """The value of tag 81 in the dynamic authentication template."""
    try:
        template = _read(data, 0x7C)
        found = b""
        while template:
            tag, value, template = _next(template)
            if tag == 0x81:
                found = value
    except IndexError:
        raise RefusedError(WRONG_DATA) from None
    if not found:
        raise RefusedError(WRONG_DATA)
    return found


def _read(data: bytes, tag: int) -> bytes:
    found, value, rest = _next(data)
    if found != tag or rest:
        raise RefusedError(WRONG_DATA)
    return value


def _next(data: bytes) -> tuple[int, bytes, bytes]:
    """(tag, value, what follows) of one BER-TLV object with a tag of one byte. Raises IndexError where it is cut off."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        width = length & 0x7F
        if not 1 <= width <= 2:
            raise IndexError
        length, start = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
    if len(data) < start + length:
        raise IndexError
    return tag, data[start : start + length], data[start + length :]


def _tlv(tag: int, value: bytes) -> bytes:
    length = len(value)
    if length < 0x80:
        return bytes([tag, length]) + value
    if length < 0x100:
        return bytes([tag, 0x81, length]) + value
    return bytes([tag, 0x82]) + length.to_bytes(2, "big") + value


def _word(status: int) -> bytes:
    return status.to_bytes(2, "big")
