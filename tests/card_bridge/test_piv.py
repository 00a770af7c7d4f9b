"""A PIV card spoken to APDU by APDU, without a reader: the virtual card answers, and so do cards that misbehave."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from card_bridge import tlv
from card_bridge.backends import piv
from card_bridge.certificate import Certificate, load
from card_bridge.crypto import KeyKind
from card_bridge.errors import BridgeError, CardBlockedError, CardFailedError, CardLostError, NoCardError, WrongPinError
from simulators.cards import piv as virtual
from simulators.cards.cardfile import CardFile
from tests.card_bridge.conftest import PIN


class Wire:
    """What goes to a card and comes back; `answers` replaces the card's for an instruction byte."""

    def __init__(self, card: Path) -> None:
        self._card = virtual.PivCard(CardFile.load(card))
        self.sent: list[bytes] = []
        self.answers: dict[int, bytes | list[bytes]] = {}

    def __call__(self, command: bytes) -> bytes:
        self.sent.append(command)
        given = self.answers.get(command[1])
        if isinstance(given, list):
            return given.pop(0)
        return self._card.answer(command) if given is None else given

    def instructions(self) -> list[int]:
        return [command[1] for command in self.sent]


@pytest.fixture
def wire(any_card: Path) -> Wire:
    return Wire(any_card)


@pytest.fixture
def card(wire: Wire) -> piv.PivCard:
    found = piv.PivCard(wire)
    found.select()
    return found


@pytest.fixture
def certificate(card: piv.PivCard) -> Certificate:
    return load(card.signing_certificate())


@pytest.mark.covers("CARD-01", "CARD-08")
def test_certificates_and_signature(any_card: Path, wire: Wire, card: piv.PivCard, certificate: Certificate) -> None:
    file = CardFile.load(any_card)
    assert card.signing_certificate() == file.certificate
    assert card.envelope_certificate() == file.envelope_certificate
    assert not card.pin_shown
    signature = certificate.key.for_page(card.sign(certificate.key, certificate.key.digest(b"abc"), PIN))
    assert certificate.key.verifies(b"abc", signature)
    assert card.pin_shown
    assert len(signature) == {KeyKind.SM2: 64, KeyKind.RSA2048: 256}.get(certificate.key.kind, len(signature))
    sent = [command for command in wire.sent if command[1] in (0x20, 0x87)]
    assert sent[0] == bytes.fromhex("0020008008") + PIN.encode()
    assert all(len(command) <= 261 for command in sent)
    # An RSA block does not fit into one command: it goes in a chain of two, the last of which is the one that answers.
    assert [command[0] for command in sent[1:]] == ([0x10, 0x00] if certificate.key.kind is KeyKind.RSA2048 else [0x00])
    assert sent[-1][2] == {KeyKind.SM2: 0xE1, KeyKind.RSA2048: 0x07, KeyKind.P256: 0x11}[certificate.key.kind]
    assert sent[-1][3] == 0x9C


def test_the_pin_is_shown_before_each_signature(wire: Wire, card: piv.PivCard, certificate: Certificate) -> None:
    for _ in range(2):
        card.sign(certificate.key, certificate.key.digest(b"abc"), PIN)
    asked = [instruction for instruction in wire.instructions() if instruction in (0x20, 0x87)]
    assert asked.count(0x20) == 2
    assert asked[0] == 0x20


@pytest.mark.covers("CARD-01")
def test_wrong_and_blocked(card: piv.PivCard, certificate: Certificate) -> None:
    for left in (5, 4, 3, 2, 1):
        with pytest.raises(WrongPinError) as wrong:
            card.sign(certificate.key, certificate.key.digest(b"abc"), "000000")
        assert wrong.value.tries_left == left
    for _ in range(2):
        with pytest.raises(CardBlockedError):
            card.verify_pin("000000")
    with pytest.raises(CardBlockedError):
        card.change_pin(PIN, "123456")


def test_changing_the_pin(wire: Wire, card: piv.PivCard) -> None:
    with pytest.raises(WrongPinError):
        card.change_pin("000000", "123456")
    card.change_pin(PIN, "123456")
    assert wire.sent[-1] == bytes.fromhex("0024008010") + PIN.encode() + b"123456\xff\xff"
    card.verify_pin("123456")


def test_another_card(wire: Wire) -> None:
    wire.answers[0xA4] = bytes.fromhex("6A82")
    with pytest.raises(NoCardError):
        piv.PivCard(wire).select()


def as_object(certificate: bytes, info: int) -> bytes:
    return tlv.write(0x53, tlv.write(0x70, certificate) + tlv.write(0x71, bytes([info])) + tlv.write(0xFE, b""))


def test_a_compressed_certificate(wire: Wire, card: piv.PivCard, certificate: Certificate) -> None:
    packed = as_object(gzip.compress(certificate.der), 1)
    wire.answers[0xCB] = packed[:200] + bytes([0x61, 0x00])
    wire.answers[0xC0] = [packed[200:400] + bytes([0x61, 10]), *([packed[400:] + b"\x90\x00"])]
    assert card.signing_certificate() == certificate.der


def test_the_length_that_the_card_wants(wire: Wire, card: piv.PivCard, certificate: Certificate) -> None:
    wire.answers[0xCB] = [bytes.fromhex("6C10"), as_object(b"x", 0) + b"\x90\x00"]
    assert card.signing_certificate() == b"x"
    assert wire.sent[-1][-1] == 0x10
    assert wire.sent[-1][:-1] == wire.sent[-2][:-1]


def answered(value: bytes) -> bytes:
    return value + b"\x90\x00"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(bytes.fromhex("6A82"), NoCardError, id="not-there"),
        pytest.param(answered(as_object(b"", 0)), NoCardError, id="empty"),
        pytest.param(answered(b""), NoCardError, id="nothing"),
        pytest.param(bytes.fromhex("6F00"), CardFailedError, id="status"),
        pytest.param(answered(b"\x53\x82\xff\xff\x70"), CardFailedError, id="truncated"),
        pytest.param(answered(b"\x53\x80\x00\x00"), CardFailedError, id="indefinite"),
        pytest.param(answered(b"\x53\x85\x00\x00\x00\x00\x00"), CardFailedError, id="length-of-five-bytes"),
        pytest.param(answered(b"\xff\xff\xff\xff\xff"), CardFailedError, id="endless-tag"),
        pytest.param(answered(as_object(b"no gzip", 1)), CardFailedError, id="not-compressed"),
        pytest.param(answered(as_object(gzip.compress(bytes(10_000_000)), 1)), CardFailedError, id="bomb"),
        pytest.param(answered(as_object(gzip.compress(b"x" * 1000)[:-9], 1)), CardFailedError, id="cut-off"),
        pytest.param(b"", CardLostError, id="silence"),
        pytest.param(b"\x90", CardLostError, id="half-a-status"),
    ],
)
def test_a_card_that_answers_nonsense_for_its_certificate(wire: Wire, card: piv.PivCard, answer: bytes, error: type[BridgeError]) -> None:
    wire.answers[0xCB] = answer
    with pytest.raises(error):
        card.signing_certificate()


def test_a_card_that_never_ends(wire: Wire, card: piv.PivCard) -> None:
    wire.answers[0xCB] = wire.answers[0xC0] = bytes(256) + b"\x61\x00"
    with pytest.raises(CardFailedError):
        card.signing_certificate()
    assert len(wire.sent) < 300
    wire.answers[0xC0] = b"\x61\x00"
    with pytest.raises(CardFailedError):
        card.signing_certificate()


@pytest.mark.parametrize(
    "answer",
    [
        bytes.fromhex("6982"),
        bytes.fromhex("6A80"),
        answered(b""),
        answered(b"\x7c\x00"),
        answered(b"\x7c\x02\x82\x00"),
        answered(b"\x7c\x09\x82"),
        answered(b"x"),
    ],
)
def test_a_card_that_answers_nonsense_for_its_signature(wire: Wire, card: piv.PivCard, certificate: Certificate, answer: bytes) -> None:
    wire.answers[0x87] = answer
    with pytest.raises(CardFailedError):
        card.sign(certificate.key, certificate.key.digest(b"abc"), PIN)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x30\x00",
        b"\x30\x06\x02\x01\x01\x02\x01\x81",
        bytes(256 + 1),
        b"\x30\x80",
        b"\x30\x47\x02\x42" + b"\x01" * 66 + b"\x02\x01\x01",
    ],
)
def test_what_is_no_signature_never_reaches_a_page(certificate: Certificate, signature: bytes) -> None:
    with pytest.raises(CardFailedError):
        certificate.key.for_page(signature)


def test_a_pin_command_that_the_card_does_not_know(wire: Wire, card: piv.PivCard) -> None:
    wire.answers[0x20] = bytes.fromhex("6D00")
    with pytest.raises(CardFailedError, match="6D00"):
        card.verify_pin(PIN)


def test_a_chain_that_is_refused_in_the_middle(wire: Wire, card: piv.PivCard, certificate: Certificate) -> None:
    wire.answers[0x87] = bytes.fromhex("6884")
    with pytest.raises(CardFailedError):
        card.sign(certificate.key, certificate.key.digest(b"abc"), PIN)
    assert wire.instructions().count(0x87) == 1


@pytest.mark.parametrize("read", [piv.PivCard.signing_certificate, piv.PivCard.envelope_certificate])
def test_reading_takes_no_pin(wire: Wire, card: piv.PivCard, read: Callable[[piv.PivCard], bytes]) -> None:
    read(card)
    assert 0x20 not in wire.instructions()
