"""The virtual reader: connects to vsmartcard-vpcd and carries APDUs to the card; pulls it out, puts it in, swaps it.

vpcd's protocol: every message is preceded by its length in two bytes; a message of one byte is control (0 power off, 1 power on,
2 reset, 4 ask for the ATR); only the ATR and APDUs are answered. No connection means no card in the reader.
"""

import logging
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from simulators.cards.cardfile import CardFile
from simulators.cards.piv import ATR, PivCard

log = logging.getLogger("card")
POWER_OFF, POWER_ON, RESET, ASK_ATR = 0, 1, 2, 4
#: Seconds between tries to reach a reader that is not there (pcscd stopped or restarted).
PAUSE = 0.2


class Reader:
    """One slot of vpcd with or without a card in it, until `stop`."""

    def __init__(self, *, host: str, port: int, card: Path, control: Path | None = None) -> None:
        self._address = (host, port)
        self._path = card
        self._card: PivCard | None = PivCard(CardFile.load(card))
        self._connection: socket.socket | None = None
        self._selector = selectors.DefaultSelector()
        self._control = _listening(control) if control is not None else None
        self._control_path = control
        #: Instruction byte at whose arrival the card is pulled out, for tests of a card that goes in the middle of a call.
        self._pull_at: int | None = None
        #: A socket pair, so that signals and threads can wake the loop.
        self._wake_up, self._waker = socket.socketpair()
        self._wake_up.setblocking(False)
        self._orders: list[Callable[[], None]] = []
        self._stopped = False
        if self._control is not None:
            self._selector.register(self._control, selectors.EVENT_READ, self._serve_control)
        self._selector.register(self._wake_up, selectors.EVENT_READ, self._awake)

    def stop(self) -> None:
        """End `run`; may be called by a signal handler."""
        self._stopped = True
        self._wake()

    def order(self, what: Callable[[], None]) -> None:
        """Have `what` done by the loop; for signal handlers."""
        self._orders.append(what)
        self._wake()

    def run(self) -> None:
        """Serve until `stop`."""
        try:
            while not self._stopped:
                if self._card is not None and self._connection is None:
                    self._connect()
                waits = PAUSE if self._card is not None and self._connection is None else None
                for key, _events in self._selector.select(waits):
                    key.data()
                while self._orders:
                    self._orders.pop(0)()
        finally:
            self.pull_out()
            self._selector.close()
            for end in (self._control, self._wake_up, self._waker):
                if end is not None:
                    end.close()
            if self._control_path is not None:
                self._control_path.unlink(missing_ok=True)

    def pull_out(self) -> None:
        """Take the card out of the reader."""
        self._card = None
        self._pull_at = None
        self._disconnect()

    def put_in(self, path: Path | None = None) -> None:
        """Put a card in: the one that was in last, or another. Raises ValueError and OSError for a file that is no card."""
        card = CardFile.load(path or self._path)
        self.pull_out()
        self._path, self._card = path or self._path, PivCard(card)
        log.info("card %s is put in", card.card_no)

    def _wake(self) -> None:
        with suppress(OSError):
            self._waker.send(b"\0")

    def _awake(self) -> None:
        with suppress(BlockingIOError):
            self._wake_up.recv(4096)

    def _connect(self) -> None:
        try:
            connection = socket.create_connection(self._address, timeout=2)
        except OSError:
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert self._card is not None
        self._card.reset()
        self._connection = connection
        self._selector.register(connection, selectors.EVENT_READ, self._serve_reader)
        log.info("card %s is in the reader at port %d", self._card.card.card_no, self._address[1])

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._selector.unregister(self._connection)
            self._connection.close()
            self._connection = None

    def _serve_reader(self) -> None:
        connection, card = self._connection, self._card
        if connection is None or card is None:
            return
        try:
            message = _received(connection, int.from_bytes(_received(connection, 2), "big"))
            answer = self._answer(card, message)
            if answer is not None:
                connection.sendall(len(answer).to_bytes(2, "big") + answer)
        except OSError:
            log.info("the reader is gone; looking for it again")
            self._disconnect()
            time.sleep(PAUSE)

    def _answer(self, card: PivCard, message: bytes) -> bytes | None:
        if len(message) == 1:
            if message[0] == ASK_ATR:
                return ATR
            if message[0] in {POWER_OFF, POWER_ON, RESET}:
                card.reset()
            return None
        if self._pull_at is not None and len(message) > 1 and message[1] == self._pull_at:
            log.info("card pulled out at instruction %02X", self._pull_at)
            self.pull_out()
            return None
        answer = card.answer(message)
        # Never the data: a PIN would be among it.
        log.debug("%s → %s", message[:4].hex(" "), answer[-2:].hex())
        return answer

    def _serve_control(self) -> None:
        """One line in, one line back: `remove`, `insert [CARDFILE]`, `remove-at INS`, `status`."""
        assert self._control is not None
        peer, _address = self._control.accept()
        with peer:
            peer.settimeout(2)
            try:
                line = peer.makefile("r", encoding="utf-8").readline().strip()
                reply = self._obey(line)
            except (OSError, ValueError, KeyError) as error:
                reply = f"error {error}"
            with suppress(OSError):
                peer.sendall(f"{reply}\n".encode())

    def _obey(self, line: str) -> str:
        word, _space, rest = line.partition(" ")
        match word:
            case "remove":
                self.pull_out()
            case "insert":
                self.put_in(Path(rest) if rest else None)
                self._connect()
            case "remove-at":
                self._pull_at = int(rest, 16)
            case "status":
                return f"ok {self._card.card.card_no if self._card else '-'} {'connected' if self._connection else 'apart'}"
            case _:
                return "error unknown order; there are: remove, insert [CARDFILE], remove-at INS, status"
        return "ok"


def _listening(path: Path) -> socket.socket:
    """A server at `path`, which has its name only when somebody listens: who sees it can connect."""
    beside = path.with_name(f"{path.name}.tmp")
    beside.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(beside))
    server.listen()
    beside.replace(path)
    return server


def _received(connection: socket.socket, length: int) -> bytes:
    """Exactly `length` bytes. Raises ConnectionError when the other side ends before."""
    data = bytearray()
    while len(data) < length:
        # vpcd sends length and content apart, and waits with the second for the first to be acknowledged: 40 ms an APDU otherwise.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionError
        data += part
    return bytes(data)
