"""The whole way: a page, the program, pcscd, the virtual reader, the virtual card. And what happens when a part of it goes away."""

import base64
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from card_bridge import tlv
from card_bridge.certificate import load
from simulators.cards.cardfile import CardFile
from tests.card_bridge import reader
from tests.card_bridge.conftest import PIN
from tests.card_bridge.page import Page, opened
from tests.card_bridge.test_program import Program, command

pytestmark = pytest.mark.skipif(bool(why := reader.missing()), reason=why)
SIGN = "cus-sec_SpcSignDataAsPEM"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[reader.Service]:
    """pcscd with an empty reader."""
    found = reader.Service(tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def insert(service: reader.Service, tmp_path: Path) -> Iterator[Callable[[Path], reader.VirtualCard]]:
    """Puts a card into the reader."""
    cards = []

    def put(path: Path) -> reader.VirtualCard:
        cards.append(reader.VirtualCard(service, path, tmp_path))
        return cards[-1]

    yield put
    for card in cards:
        card.stop()


@pytest.fixture
def program(service: reader.Service, tmp_path: Path) -> Iterator[Program]:
    """The bridge, with the real backend."""
    log_path = tmp_path / "bridge.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command("--port", "0"), cwd=reader.ROOT, stdout=log, stderr=log, env=reader.environment(service))
    found = Program(process, log_path)
    found.port = int(found.wait_for(r"ws://127\.0\.0\.1:([0-9]+)")[1])
    yield found
    assert process.poll() is None
    assert found.stop() == 0
    assert "Traceback" not in found.log()


@pytest.fixture
def page(program: Program) -> Iterator[Page]:
    with opened(program.port) as found:
        yield found


def wait_for_card(page: Page, number: str) -> None:
    """pcscd looks for cards a few times a second."""
    reader.wait_until(lambda: page.call("cus-sec_SpcGetCardID")["Data"] == [number], f"card {number} is not seen")


def wait_for_code(page: Page, code: str) -> None:
    seen: list[object] = []

    def told() -> bool:
        seen.append(page.call("cus-sec_SpcGetCardID")["Error"])
        return seen[-1][1:] == [code]

    reader.wait_until(told, f"never {code}")


@pytest.mark.covers("CARD-01", "CARD-08")
def test_a_card_in_a_reader(page: Page, insert: Callable[[Path], reader.VirtualCard], any_card: Path) -> None:
    file = CardFile.load(any_card)
    assert page.code("cus-sec_SpcGetCardID") == "Err:Custom51590"
    insert(any_card)
    wait_for_card(page, file.card_no)
    certificate = load(file.certificate)
    assert page.data("ver") == ["1.0.0"]
    assert page.data("cus-sec_SpcGetSignCertAsPEM") == [base64.b64encode(file.certificate).decode()]
    assert page.data("cus-sec_SpcGetEnvCertAsPEM") == [base64.b64encode(file.envelope_certificate).decode()]
    assert page.data("cus-sec_SpcGetCertNo") == [certificate.number]
    for text in ("申报", "x" * 5000):
        signature, number = page.data(SIGN, inData=text, passwd=PIN)
        assert number == certificate.number
        assert certificate.key.verifies(text.encode(), base64.b64decode(signature))
    digest = certificate.key.digest("申报".encode())
    signature, _ = page.data("cus-sec_SpcSignDataNoHashAsPEM", inData=digest.hex(), passwd=PIN)
    assert certificate.key.verifies("申报".encode(), base64.b64decode(signature))


@pytest.mark.covers("CARD-01")
def test_the_pin_holds_for_one_call(page: Page, insert: Callable[[Path], reader.VirtualCard], sm2_card: Path) -> None:
    card = insert(sm2_card)
    wait_for_card(page, "2100000000001")
    assert page.data("cus-sec_SpcVerifyPIN", passwd=PIN) == []
    # Another program, straight after, without turning to the application itself: the card, which had been turned to it, was reset.
    script = (
        "from smartcard.System import readers; c = readers()[0].createConnection(); c.connect();"
        "print('%02X%02X' % c.transmit([0,0x20,0,0x80])[1:])"
    )
    environment = {"PCSCLITE_CSOCK_NAME": str(sm2_card.parent / "pcscd.comm")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "6985", (done.stderr, card.log())
    assert page.code(SIGN, inData="x") == "Err:Base50000"
    assert page.call(SIGN, inData="x", passwd="00000000")["Error"] == ["卡密码错误，还可以再试 5 次。", "Err:Bridge40101"]
    for _ in range(5):
        page.call("cus-sec_SpcVerifyPIN", passwd="00000000")
    assert page.code(SIGN, inData="x", passwd=PIN) == "Err:Bridge40102"


def test_changing_the_pin(page: Page, insert: Callable[[Path], reader.VirtualCard], sm2_card: Path) -> None:
    insert(sm2_card)
    wait_for_card(page, "2100000000001")
    assert page.data("cus-sec_SpcChangePIN", oldPin=PIN, newPin="123456") == []
    assert page.code("cus-sec_SpcVerifyPIN", passwd=PIN) == "Err:Bridge40101"
    assert page.data("cus-sec_SpcVerifyPIN", passwd="123456") == []


@pytest.mark.covers("CARD-01")
@pytest.mark.parametrize("instruction", ["A4", "CB", "20", "87"])
def test_a_card_pulled_out_in_the_middle(
    page: Page, insert: Callable[[Path], reader.VirtualCard], sm2_card: Path, instruction: str
) -> None:
    card = insert(sm2_card)
    wait_for_card(page, "2100000000001")
    card.order(f"remove-at {instruction}")
    assert page.code(SIGN, inData="x", passwd=PIN) == "Err:Custom50070"
    wait_for_code(page, "Err:Custom51590")
    card.order("insert")
    wait_for_card(page, "2100000000001")
    assert page.data(SIGN, inData="x", passwd=PIN)


@pytest.mark.covers("CARD-01")
def test_another_card_is_another_card(
    page: Page, insert: Callable[[Path], reader.VirtualCard], sm2_card: Path, card_files: dict[object, Path], tmp_path: Path
) -> None:
    card = insert(sm2_card)
    wait_for_card(page, "2100000000001")
    other = next(path for path in card_files.values() if path.stem == "2100000000003")
    card.order("remove")
    card.order(f"insert {shutil.copy(other, tmp_path / 'other.json')}")
    wait_for_card(page, "2100000000003")


@pytest.mark.covers("CARD-01")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_pcscd_restarted(
    page: Page, service: reader.Service, insert: Callable[[Path], reader.VirtualCard], sm2_card: Path, number: int
) -> None:
    card = insert(sm2_card)
    wait_for_card(page, "2100000000001")
    service.stop(number)
    answer = page.call(SIGN, inData="x", passwd=PIN)
    assert answer["Error"][1] == "Err:Base60408"
    assert "pcscd" in answer["Error"][0]
    service.start()
    card.wait_connected()
    wait_for_card(page, "2100000000001")
    assert page.data(SIGN, inData="x", passwd=PIN)


def test_pcscd_ends_in_the_middle_of_a_call(
    page: Page, service: reader.Service, insert: Callable[[Path], reader.VirtualCard], sm2_card: Path, card_files: dict[object, Path]
) -> None:
    card = insert(sm2_card)
    wait_for_card(page, "2100000000001")
    for number in range(20):
        page.ask(SIGN, number, inData="x", passwd=PIN)
    time.sleep(0.3)
    service.stop(signal.SIGKILL)
    answers = [page.receive(timeout=60)["_args"] for _ in range(20)]
    assert {tuple(answer["Error"][1:]) for answer in answers} <= {(), ("Err:Base60408",), ("Err:Custom50070",)}
    assert answers[-1]["Error"], "the service went while calls were waiting"
    # The call under way fails as the card's, those after it as the service's; which of them is the last depends on the machine.
    assert page.code("cus-sec_SpcGetCardID") == "Err:Base60408"
    service.start()
    card.wait_connected()
    wait_for_card(page, "2100000000001")


def test_no_service_at_all(page: Page, service: reader.Service) -> None:
    service.stop()
    assert page.code("cus-sec_SpcGetCardID") == "Err:Base60408"
    assert page.data("ver")


def test_a_reader_unplugged_and_back(
    page: Page, service: reader.Service, insert: Callable[[Path], reader.VirtualCard], sm2_card: Path
) -> None:
    card = insert(sm2_card)
    wait_for_card(page, "2100000000001")
    service.stop()
    service.unplug()
    service.start()
    wait_for_code(page, "Err:Custom50200")
    service.stop()
    service.plug_in()
    service.start()
    card.wait_connected()
    wait_for_card(page, "2100000000001")


@pytest.mark.covers("CARD-01")
def test_several_pages_with_one_card(program: Program, insert: Callable[[Path], reader.VirtualCard], sm2_card: Path) -> None:
    with opened(program.port) as first, opened(program.port) as second:
        insert(sm2_card)
        wait_for_card(first, "2100000000001")
        for number in range(4):
            first.ask(SIGN, number, inData=f"a{number}", passwd=PIN)
            second.ask(SIGN, number, inData=f"b{number}", passwd=PIN)
        key = load(CardFile.load(sm2_card).certificate).key
        for visitor, letter in ((first, "a"), (second, "b")):
            for number in range(4):
                answer = visitor.receive(timeout=60)
                assert answer["_id"] == number
                assert key.verifies(f"{letter}{number}".encode(), base64.b64decode(answer["_args"]["Data"][0]))


def test_another_program_that_holds_the_card(
    page: Page, service: reader.Service, insert: Callable[[Path], reader.VirtualCard], sm2_card: Path
) -> None:
    insert(sm2_card)
    wait_for_card(page, "2100000000001")
    script = (
        "import sys; from smartcard import scard as s; c = s.SCardEstablishContext(0)[1];"
        "print(s.SCardConnect(c, s.SCardListReaders(c, [])[1][0], s.SCARD_SHARE_EXCLUSIVE, 3)[0], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=reader.environment(service)
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"0"
        assert "独占" in page.call("cus-sec_SpcGetCardID")["Error"][0]
        holder.communicate()
    wait_for_card(page, "2100000000001")


@pytest.mark.covers("CARD-01")
@pytest.mark.skipif(shutil.which("pkcs15-tool") is None, reason="opensc is not here. Type: sudo apt-get install opensc")
def test_opensc_sees_the_same_card(
    page: Page, service: reader.Service, insert: Callable[[Path], reader.VirtualCard], any_card: Path
) -> None:
    insert(any_card)
    wait_for_card(page, CardFile.load(any_card).card_no)
    for name, method in (("Digital Signature", "SpcGetSignCertAsPEM"), ("Key Management", "SpcGetEnvCertAsPEM")):
        # As a data object: OpenSC lists no certificate whose key (SM2) it does not know.
        done = subprocess.run(
            ["pkcs15-tool", "--read-data-object", f"X.509 Certificate for {name}"],
            capture_output=True,
            text=True,
            check=False,
            env=reader.environment(service),
        )
        shown = re.search(r"<([0-9A-F ]+)>", done.stdout)
        assert shown, done.stderr
        certificate = tlv.find(tlv.find(bytes.fromhex(shown[1]), 0x53) or b"", 0x70)
        assert certificate
        assert page.data(f"cus-sec_{method}") == [base64.b64encode(certificate).decode()]
