"""Tag, length, value: what certificates (DER) and cards (BER-TLV) are written in. Definite lengths only."""

from collections.abc import Iterator


class TlvError(ValueError):
    """The bytes are not what they say."""


def read(data: bytes, start: int = 0) -> tuple[int, bytes, int]:
    """The element at `start`: its tag (all tag bytes as one number), its contents and where the next one begins. Raises TlvError."""
    end = _after_tag(data, start)
    tag = int.from_bytes(data[start:end], "big")
    length, begin = _length(data, end)
    if begin + length > len(data):
        raise TlvError("shorter than its length says")
    return tag, data[begin : begin + length], begin + length


def _after_tag(data: bytes, start: int) -> int:
    end = start + 1
    if start < len(data) and data[start] & 0x1F == 0x1F:
        while end < len(data) and data[end] & 0x80:
            end += 1
        end += 1
    if end > len(data) or end - start > 4:
        raise TlvError("no tag")
    return end


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise TlvError("no length")
    first = data[at]
    if first < 0x80:
        return first, at + 1
    size = first & 0x7F
    if not 1 <= size <= 4 or at + 1 + size > len(data):
        raise TlvError("no usable length")
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and contents of each element, one after the other. Raises TlvError."""
    at = 0
    while at < len(data):
        tag, value, at = read(data, at)
        yield tag, value


def find(data: bytes, wanted: int) -> bytes | None:
    """The contents of the first element with this tag, or None. Raises TlvError."""
    return next((value for tag, value in elements(data) if tag == wanted), None)


def write(tag: int, value: bytes) -> bytes:
    """One element."""
    head = tag.to_bytes((tag.bit_length() + 7) // 8, "big")
    if len(value) < 0x80:
        return head + bytes([len(value)]) + value
    size = (len(value).bit_length() + 7) // 8
    return head + bytes([0x80 | size]) + len(value).to_bytes(size, "big") + value


def integer(value: bytes) -> int:
    """A DER INTEGER's contents as a number that is not negative. Raises TlvError."""
    if not value or value[0] & 0x80:
        raise TlvError("no number of use here")
    return int.from_bytes(value, "big")


def write_integer(number: int) -> bytes:
    """A DER INTEGER for a number that is not negative."""
    return write(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))
