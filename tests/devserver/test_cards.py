"""The demo's cards: made once, put into the software reader and taken out, signing as the bridge does, trusted by the demo alone."""

import base64
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.signatures import cards as signatures
from accounts.signatures.refusals import RevokedError
from card_bridge.backends.software import SoftwareBackend
from card_bridge.errors import NoCardError, WrongPinError
from devserver import announce, clean, run
from devserver.cards import CARDS, DEMO_PIN, CardBox, OpenCard, command
from devserver.errors import DevServerError
from devserver.services import ServiceAddresses
from simulators.cards import cardfile
from simulators.cards.__main__ import revoke_card
from simulators.cards.certificates import Holder

FIRST, SECOND = CARDS[0].number, CARDS[1].number
HOLDERS = {card.username: Holder(f"持卡人{card.number[-1]}", "210202199001010016", "大连测试有限公司", "202600012", "") for card in CARDS}
#: Nobody answers there.
DEAD_PORT = 9
ADDRESSES = ServiceAddresses("postgresql://here", "unix:///here", "redis+socket:///here")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A VAR_DIR with cards."""
    directory = tmp_path_factory.mktemp("var")
    CardBox(directory).make(HOLDERS, authority_port=DEAD_PORT)
    return directory


@pytest.fixture
def box(made: Path, tmp_path: Path) -> CardBox:
    """A copy of them, which a test may change."""
    shutil.copytree(made / "cards", tmp_path / "cards", symlinks=True)
    return CardBox(tmp_path)


def contents(box: CardBox) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(box.home.glob("**/*")) if path.is_file() and path.suffix != ".crl"}


def test_cards_are_made_once_and_their_revocation_lists_anew(box: CardBox) -> None:
    before, lists = contents(box), {path: path.stat().st_mtime_ns for path in box.lists.iterdir()}
    box.make(HOLDERS, authority_port=1234)
    assert contents(box) == before
    assert len(lists) == 3
    assert all(path.stat().st_mtime_ns > made_at for path, made_at in lists.items())
    assert list(box.cards()) == [*(card.number for card in CARDS), f"p256/{FIRST}", f"rsa2048/{FIRST}"]
    assert box.authority_port() == DEAD_PORT


def test_a_signature_with_a_demo_card_takes_no_longer_than_with_a_real_one(box: CardBox) -> None:
    for card in box.cards().values():
        assert card.content["key"]["iterations"] == card.content["envelope_key"]["iterations"] == 20_000
    # A PIN of one's own is protected as on every other software card.
    card = box.cards()[FIRST]
    card.change_pin(DEMO_PIN, "654321")
    assert card.content["key"]["iterations"] == cardfile.ITERATIONS > 20_000


@pytest.mark.parametrize("gone", ["authority/sm2/ca.crl", "demo-anchors", f"{SECOND}.json"])
def test_what_a_broken_off_start_lacks_is_made_by_the_next(box: CardBox, gone: str) -> None:
    path = box.home / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    box.make(HOLDERS, authority_port=DEAD_PORT)
    assert path.exists()
    assert box.in_reader() == FIRST


def test_cards_of_an_authority_that_is_gone_are_made_anew(box: CardBox) -> None:
    before = {name: card.certificate for name, card in box.cards().items()}
    shutil.rmtree(box.authorities / "sm2")
    box.make(HOLDERS, authority_port=DEAD_PORT)
    changed = {name for name, card in box.cards().items() if card.certificate != before[name]}
    assert changed == {card.number for card in CARDS}


def test_a_reader_left_empty_stays_empty(box: CardBox) -> None:
    box.put("none")
    box.make(HOLDERS, authority_port=DEAD_PORT)
    assert box.in_reader() is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.covers("CARD-08")
@pytest.mark.parametrize("name", [FIRST, f"rsa2048/{FIRST}", f"p256/{FIRST}"])
def test_a_card_signs_what_the_portal_accepts_without_any_address(box: CardBox, settings: Any, name: str) -> None:
    settings.CARD_TRUST_ANCHORS, settings.CARD_CRL_DIR = box.anchors, box.lists
    card = OpenCard(box.cards()[name])
    verified = signatures.verify(
        certificate=card.certificate, data="申报".encode(), signature=base64.b64decode(card.sign("申报")), at=timezone.now()
    )
    assert (verified.certificate.card_no, verified.certificate.holder_name) == (FIRST, "持卡人1")
    assert verified.revocation is not None
    # The list that the portal reads is the authority's own: a revoked card counts no more at once.
    revoke_card(card=box.cards()[name], authorities=box.authorities)
    with pytest.raises(RevokedError):
        signatures.verify(
            certificate=card.certificate, data="申报".encode(), signature=base64.b64decode(card.sign("申报")), at=timezone.now()
        )


def test_the_bridge_sees_each_change_of_the_card(box: CardBox) -> None:
    backend = SoftwareBackend(box.reader)
    for name in (FIRST, f"p256/{FIRST}", SECOND):
        box.put(name)
        assert box.in_reader() == name
        with backend.card() as card:
            assert card.signing_certificate() == box.cards()[name].certificate
    box.put("none")
    with pytest.raises(NoCardError), backend.card():
        pass


def test_tries_are_counted_on_the_card_not_in_the_reader(box: CardBox) -> None:
    backend = SoftwareBackend(box.reader)
    with backend.card() as card, pytest.raises(WrongPinError):
        card.verify_pin("12345678")
    box.put(SECOND)
    assert box.cards()[SECOND].tries_left == 6
    box.put(FIRST)
    assert box.cards()[FIRST].tries_left == 5
    assert box.in_reader() == FIRST
    with backend.card() as card:
        card.verify_pin(DEMO_PIN)
    assert box.cards()[FIRST].tries_left == 6


@pytest.mark.parametrize("name", ["2100000000009", "in-reader", "../cards/2100000000001", "authority/sm2/issued"])
def test_what_is_no_card_is_not_put_in(box: CardBox, name: str) -> None:
    with pytest.raises(DevServerError, match=f"no card {name} .* only 2100000000001, "):
        box.put(name)
    assert box.in_reader() == FIRST


def test_the_command_shows_changes_and_takes_out(box: CardBox, capsys: pytest.CaptureFixture[str]) -> None:
    def said(name: str = "") -> list[str]:
        assert command(box.home.parent, name) == 0
        return [line for line in capsys.readouterr().out.splitlines() if "in the reader" in line]

    assert said() == [f"in the reader  {FIRST}          持卡人1"]
    assert said(SECOND) == [f"in the reader  {SECOND}          持卡人2"]
    assert said("none") == ["No card is in the reader."]


def test_by_make_and_where_there_are_no_cards(box: CardBox, tmp_path: Path) -> None:
    target = ["make", "card", "PYTHON=true", f"VENV={sys.executable}", f"NO={SECOND}"]
    done = subprocess.run(
        [*target, f"VAR_DIR={box.home.parent}"], cwd=run.ROOT, env=os.environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, box.in_reader()) == (0, SECOND), done.stderr
    done = subprocess.run(
        [*target, f"VAR_DIR={tmp_path / 'other'}"], cwd=run.ROOT, env=os.environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "make run makes them" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_authority_keeps_its_port_while_that_is_free(box: CardBox) -> None:
    issued = box.authorities / "sm2" / "issued.json"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        issued.write_text(issued.read_text().replace(f"127.0.0.1:{DEAD_PORT}/", f"127.0.0.1:{port}/"))
        assert box.authority_port() == port
        taken.listen()
        assert run.child_environment({}, box.home.parent, 8123, ADDRESSES)["CARD_AUTHORITY_PORT"] != str(port)
    assert run.child_environment({}, box.home.parent, 8124, ADDRESSES)["CARD_AUTHORITY_PORT"] == str(port)
    assert CardBox(box.home / "none").authority_port() is None


HOLDER = """
from devserver.run import wanted_bridge_port
with wanted_bridge_port() as port:
    print(port, flush=True)
    input()
"""


def test_two_starts_at_once_do_not_want_the_same_port_for_their_bridges() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], cwd=run.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        # Zero where a portal runs on this machine besides.
        assert other.stdout.readline().strip() in (str(run.BRIDGE_PORT), "0")
        with run.wanted_bridge_port() as port:
            assert port == 0
        other.stdin.write("\n")
    assert run.child_environment({}, Path("/nowhere"), 8123, ADDRESSES, 0)["CARD_BRIDGE_PORT"] not in ("0", str(run.BRIDGE_PORT))


def test_the_portal_is_told_of_bridge_and_authorities_and_trusts_them_nowhere_else(box: CardBox) -> None:
    own = {"CARD_TRUST_ANCHORS": "/etc/real", "CARD_CRL_DIR": "/etc/real", "CARD_BRIDGE_URL": "ws://127.0.0.1:1"}
    children = run.child_environment(own, box.home.parent, 8123, ADDRESSES)
    assert children["CARD_BRIDGE_URL"] == f"ws://127.0.0.1:{children['CARD_BRIDGE_PORT']}"
    assert (children["CARD_TRUST_ANCHORS"], children["CARD_CRL_DIR"]) == (str(box.anchors), str(box.lists))
    # Where a portal in production looks by itself, nothing of the test authorities lies.
    assert not {"anchors", "crl"} & {path.name for path in box.home.iterdir()}


def test_cleaning_leaves_what_an_operator_put_beside_them(box: CardBox) -> None:
    own = box.home / "anchors" / "root.pem"
    own.parent.mkdir()
    own.write_text("his")
    clean.run(box.home.parent)
    assert [path for path in box.home.rglob("*") if path.is_file() or path.is_symlink()] == [own]
    shutil.rmtree(own.parent)
    clean.run(box.home.parent)
    assert not box.home.exists()


def test_the_start_names_cards_pin_and_the_command(box: CardBox) -> None:
    environment = run.child_environment({}, box.home.parent, 8123, ADDRESSES)
    text = announce.box("http://127.0.0.1:8123", "secret", environment)
    assert f"Cards (PIN {DEMO_PIN}), used by pages through {environment['CARD_BRIDGE_URL']}:" in text
    assert f"{FIRST}   李操作, bound to demo_operator <- in the reader" in text
    assert f"make card VAR_DIR={box.home.parent} NO={SECOND} " in text
    box.put(SECOND)
    assert f"{SECOND}   王管理, for demo_admin to bind <- in the reader" in announce.box("http://127.0.0.1:8123", "secret", environment)
    box.put("none")
    assert "in the reader: none" in announce.box("http://127.0.0.1:8123", "secret", environment)


def test_cards_in_real_readers_take_the_place_of_the_software_reader(box):
    environment = run.child_environment({"CARD_BACKEND": "pcsc"}, box.home.parent, 8123, ADDRESSES)
    assert environment["CARD_FILE"] == ""
    text = announce.box("http://127.0.0.1:8123", "secret", environment)
    assert f"Cards in this computer's readers, used by pages through {environment['CARD_BRIDGE_URL']}" in text
    assert "make card" not in text
    with pytest.raises(DevServerError, match="CARD_BACKEND=usb is not one of software, pcsc"):
        run.child_environment({"CARD_BACKEND": "usb"}, box.home.parent, 8123, ADDRESSES)
