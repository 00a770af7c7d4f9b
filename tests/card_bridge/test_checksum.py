"""The checksum and lengths as the official page library has them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_bridge.checksum import Checksum, checksum, units
from card_bridge.frames import HEADER_LENGTH, Header, read_header
from tests.card_bridge.page import check_code, js_length

#: Written as the library writes it, bit by bit instead of with tables; run by the real JavaScript engine.
SCRIPT = """
const text = JSON.parse(require("fs").readFileSync(0, "utf8"));
let register = 0xffff;
for (let i = 0; i < text.length; i++) {
  register ^= text.charCodeAt(i) & 0xff;
  for (let bit = 0; bit < 8; bit++) register = register & 1 ? (register >> 1) ^ 0xa001 : register >> 1;
}
const hex = (n) => n.toString(16).toUpperCase().padStart(2, "0");
console.log(JSON.stringify([hex(register & 0xff) + hex(register >> 8), text.length]));
"""


def test_known_value():
    # CRC-16/MODBUS of the usual test text is 4B37; the library puts the low byte first.
    assert checksum("123456789") == "374B"
    assert checksum("") == "FFFF"


@given(st.text(max_size=200))
def test_as_the_library_computes_it(text):
    assert checksum(text) == check_code(text)
    assert units(text) == js_length(text)


@given(st.lists(st.text(max_size=9), max_size=6))
def test_in_pieces(pieces):
    one = Checksum()
    for piece in pieces:
        one.add(piece)
    assert str(one) == checksum("".join(pieces))


@pytest.mark.parametrize("text", ["a", "中文", "é", "货😀物", "x" * 1001])
def test_against_a_javascript_engine(text):
    node = Path(sys.executable).parent / "node"
    done = subprocess.run([node, "-e", SCRIPT], input=json.dumps(text), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [checksum(text), units(text)]


def test_a_header_is_read_as_it_was_written():
    header = Header("0A1B", "FFFF", 12345, 678, 12, "01234567-89ab-cdef-0123-456789abcdef", 3)
    assert len(str(header)) == HEADER_LENGTH
    assert read_header(str(header)) == header
