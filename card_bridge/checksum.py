"""The checksum of the official page library: CRC-16/MODBUS over the low byte of each UTF-16 unit, low register byte written first."""

import sys
from array import array

_START = 0xFFFF


def _single() -> list[int]:
    table = []
    for value in range(0x100):
        register = value
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
        table.append(register)
    return table


def _double(single: list[int]) -> list[int]:
    halves = (value >> 8 ^ single[value & 0xFF] for value in range(0x10000))
    return [half >> 8 ^ single[half & 0xFF] for half in halves]


_ONE = _single()
#: Two bytes at a time: by the register exclusive-or the next two bytes. Takes a quarter of the time of byte by byte.
_TWO = _double(_ONE)


def units(text: str) -> int:
    """The length of a text in UTF-16 units, as JavaScript's `length`."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


class Checksum:
    """A checksum over texts that come one after the other."""

    def __init__(self) -> None:
        self._register = _START

    def add(self, text: str) -> None:
        """Go on with this text."""
        data = text.encode("ascii") if text.isascii() else text.encode("utf-16-le", "surrogatepass")[::2]
        even = len(data) & ~1
        words = array("H", data[:even])
        if sys.byteorder == "big":
            words.byteswap()
        register, table = self._register, _TWO
        for word in words:
            register = table[register ^ word]
        for byte in data[even:]:
            register = register >> 8 ^ _ONE[(register ^ byte) & 0xFF]
        self._register = register

    def __str__(self) -> str:
        return f"{self._register & 0xFF:02X}{self._register >> 8:02X}"


def checksum(text: str) -> str:
    """Four upper-case hexadecimal digits."""
    one = Checksum()
    one.add(text)
    return str(one)
