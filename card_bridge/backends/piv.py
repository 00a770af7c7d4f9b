"""A PIV card (NIST SP 800-73-4) by its APDUs: certificate, PIN and signature of slot 9C, certificate of slot 9D.

SM2 is not in the standard: our cards have it under the algorithm identifier E1, with the digest SM3(Z‖M) as the challenge.
"""

import zlib
from collections.abc import Callable

from card_bridge import tlv
from card_bridge.crypto import KeyKind, PublicKey, padded_block
from card_bridge.errors import CardBlockedError, CardFailedError, CardLostError, NoCardError, WrongPinError

#: Sends one command, gives the answer with its two status bytes at the end.
Transmit = Callable[[bytes], bytes]

AID = bytes.fromhex("A000000308000010 00")
SIGNING_CERTIFICATE = bytes.fromhex("5FC10A")
ENVELOPE_CERTIFICATE = bytes.fromhex("5FC10B")
_SLOT_SIGNING = 0x9C
_PIN_REFERENCE = 0x80
_ALGORITHMS = {KeyKind.RSA2048: 0x07, KeyKind.P256: 0x11, KeyKind.SM2: 0xE1}
_LONGEST_COMMAND = 255
#: More than any object of a PIV card; a card that goes on beyond it is broken.
_LONGEST_ANSWER = 64 * 1024
_OK, _NOT_FOUND, _PIN_NEEDED = 0x9000, 0x6A82, 0x6982
#: Blocked; or: wrong, and no try is left.
_BLOCKED = (0x6983, 0x63C0)
_COMPRESSED = 0x01


class PivCard:
    """A card that was reached; `select` comes first. Raises what `backends.Card` says, and whatever `transmit` raises."""

    def __init__(self, transmit: Transmit) -> None:
        self._transmit = transmit
        #: A PIN was shown: who closes the connection resets the card, so that it holds for this call only.
        self.pin_shown = False

    def select(self) -> None:
        """Turn to the PIV application. Raises NoCardError when the card has none."""
        _, status = self._command(0xA4, 0x04, 0x00, AID, answers=True)
        if status != _OK:
            raise NoCardError("读卡器中的卡不是电子口岸卡（没有 PIV 应用），请换卡。")

    def signing_certificate(self) -> bytes:
        """The certificate of slot 9C. Raises NoCardError when there is none."""
        return self._certificate(SIGNING_CERTIFICATE)

    def envelope_certificate(self) -> bytes:
        """The certificate of slot 9D. Raises NoCardError when there is none."""
        return self._certificate(ENVELOPE_CERTIFICATE)

    def verify_pin(self, pin: str) -> None:
        """Show the PIN to the card."""
        self.pin_shown = True
        self._pin_command(0x20, _padded(pin))

    def change_pin(self, old: str, new: str) -> None:
        """CHANGE REFERENCE DATA."""
        self.pin_shown = True
        self._pin_command(0x24, _padded(old) + _padded(new))

    def sign(self, key: PublicKey, digest: bytes, pin: str) -> bytes:
        """Show the PIN, then GENERAL AUTHENTICATE with slot 9C, which wants the PIN right before each use."""
        challenge = padded_block(digest) if key.kind is KeyKind.RSA2048 else digest
        template = tlv.write(0x7C, tlv.write(0x82, b"") + tlv.write(0x81, challenge))
        self.verify_pin(pin)
        answer, status = self._command(0x87, _ALGORITHMS[key.kind], _SLOT_SIGNING, template, answers=True)
        if status == _PIN_NEEDED:
            raise CardFailedError("卡要求先验证密码，没有签名，请再试一次。")
        if status != _OK:
            raise _failed(status)
        try:
            signature = tlv.find(tlv.find(answer, 0x7C) or b"", 0x82)
        except tlv.TlvError:
            signature = None
        if not signature:
            raise CardFailedError("卡没有返回签名，请重新插卡后再试。")
        return signature

    def _certificate(self, tag: bytes) -> bytes:
        answer, status = self._command(0xCB, 0x3F, 0xFF, tlv.write(0x5C, tag), answers=True)
        if status == _NOT_FOUND:
            raise NoCardError("卡中没有证书，请到制卡单位检查此卡。")
        if status != _OK:
            raise _failed(status)
        try:
            contents = tlv.find(answer, 0x53) or b""
            found = tlv.find(contents, 0x70) or b""
            info = tlv.find(contents, 0x71) or b"\x00"
        except tlv.TlvError as error:
            raise CardFailedError("卡中的证书读不完整，请重新插卡后再试。") from error
        if not found:
            raise NoCardError("卡中没有证书，请到制卡单位检查此卡。")
        return _unpacked(found) if info[0] & _COMPRESSED else found

    def _pin_command(self, instruction: int, data: bytes) -> None:
        _, status = self._command(instruction, 0x00, _PIN_REFERENCE, data)
        if status == _OK:
            return
        if status in _BLOCKED:
            raise CardBlockedError
        if status & 0xFFF0 == 0x63C0:
            raise WrongPinError(status & 0x0F)
        raise _failed(status)

    def _command(self, instruction: int, p1: int, p2: int, data: bytes, *, answers: bool = False) -> tuple[bytes, int]:
        """Send a command, in a chain when it is long; gives the whole answer and its status."""
        pieces = [data[at : at + _LONGEST_COMMAND] for at in range(0, len(data), _LONGEST_COMMAND)]
        for piece in pieces[:-1]:
            _, status = self._send(bytes([0x10, instruction, p1, p2, len(piece)]) + piece)
            if status != _OK:
                return b"", status
        last = bytes([0x00, instruction, p1, p2, len(pieces[-1])]) + pieces[-1]
        answer, status = self._send(last + b"\x00" if answers else last)
        if status >> 8 == 0x6C:
            answer, status = self._send(last + bytes([status & 0xFF]))
        collected = bytearray(answer)
        while status >> 8 == 0x61:
            answer, status = self._send(bytes([0x00, 0xC0, 0x00, 0x00, status & 0xFF]))
            collected += answer
            if len(collected) > _LONGEST_ANSWER or not answer:
                raise CardFailedError("卡的回答过长或不完整，请重新插卡后再试。")
        return bytes(collected), status

    def _send(self, command: bytes) -> tuple[bytes, int]:
        answer = self._transmit(command)
        if len(answer) < 2:
            raise CardLostError("卡没有回答，可能已被拔出，请插好卡后再试。")
        return answer[:-2], int.from_bytes(answer[-2:], "big")


def _padded(pin: str) -> bytes:
    return pin.encode("ascii").ljust(8, b"\xff")


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unpacker.decompress(data, _LONGEST_ANSWER)
    except zlib.error as error:
        raise CardFailedError("卡中的证书无法解压，请重新插卡后再试。") from error
    if not unpacker.eof:
        raise CardFailedError("卡中的证书无法解压，请重新插卡后再试。")
    return found


def _failed(status: int) -> CardFailedError:
    return CardFailedError(f"卡返回状态 {status:04X}，没有完成操作，请重新插卡后再试。")
