"""Cards in readers, through the operating system's PC/SC service.

Nothing is kept from call to call: each asks the service anew, so that a reader unplugged, a card pulled out or the service restarted
costs the call that was under way and no other. (pyscard's higher level keeps a context for the life of the process.)
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from smartcard import scard

from card_bridge.backends.piv import PivCard
from card_bridge.errors import BridgeError, CardLostError, NoCardError, NoReaderError, ServiceNotReachedError

_NO_SERVICE = {scard.SCARD_E_NO_SERVICE, scard.SCARD_E_SERVICE_STOPPED}
_NO_CARD = {scard.SCARD_E_NO_SMARTCARD, scard.SCARD_W_REMOVED_CARD}
_GONE_READER = {scard.SCARD_E_UNKNOWN_READER, scard.SCARD_E_READER_UNAVAILABLE}
_PROTOCOLS = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
_SHORT_HEADER = 5
#: A card that was put in just now may need so long, in seconds, until it can be spoken to.
SETTLING_SECONDS = 2.0
_PAUSE_SECONDS = 0.1
_NO_READER_TEXT = "没有找到读卡器，请接好读卡器或电子钥匙后再试。"


class PcscBackend:
    """The first card with a signing certificate, in any reader or in the one whose name contains `reader`."""

    remark = ""

    def __init__(self, reader: str = "") -> None:
        self._reader = reader

    @contextmanager
    def card(self) -> Iterator[PivCard]:
        """The card, for this program alone until the end."""
        status, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        _check(status)
        try:
            with self._opened(context) as card:
                yield card
        finally:
            scard.SCardReleaseContext(context)

    @contextmanager
    def _opened(self, context: Any) -> Iterator[PivCard]:
        reason: BridgeError = NoCardError("读卡器中没有卡，请插入电子口岸卡。")
        for name in self._names(context):
            connection = _Connection(context, name)
            try:
                card = connection.open()
            except ServiceNotReachedError:
                raise
            except BridgeError as error:
                connection.close()
                # A card that cannot be used says more than a reader that is empty.
                if not isinstance(error, _EmptyReaderError):
                    reason = error
                continue
            try:
                yield card
            finally:
                connection.close(forget=card.pin_shown)
            return
        raise reason

    def _names(self, context: Any) -> list[str]:
        status, names = scard.SCardListReaders(context, [])
        _check(status)
        found = [name for name in names if self._reader in name]
        if not found:
            raise NoReaderError(_NO_READER_TEXT)
        return found


class CardBusyError(CardLostError):
    """Another program has the card for itself."""


class _EmptyReaderError(NoCardError):
    """Nothing is in this reader."""


class _Connection:
    """The way to the card of one reader."""

    def __init__(self, context: Any, reader: str) -> None:
        self._context = context
        self._reader = reader
        self._card: Any = None
        self._protocol = 0
        self._in_transaction = False
        #: The card gave no answer: it is not there any more.
        self._silent = False

    def open(self) -> PivCard:
        """Reach the card and turn to its PIV application; again for a while where it is being powered up. Raises BridgeError."""
        until = time.monotonic() + SETTLING_SECONDS
        lost: CardLostError | None = None
        while True:
            try:
                return self._open()
            except CardBusyError:
                raise
            except _EmptyReaderError:
                # It was there a moment ago: pulled out, which is another thing than never put in.
                if lost is not None:
                    raise lost from None
                raise
            except CardLostError as error:
                # Nothing has been asked of it yet, so that asking once more does no harm.
                lost = error
                self.close()
                if time.monotonic() > until:
                    raise
            time.sleep(_PAUSE_SECONDS)

    def _open(self) -> PivCard:
        self._connect()
        status = scard.SCardBeginTransaction(self._card)
        if status == scard.SCARD_W_RESET_CARD:
            # Another program reset it between the two calls; nothing of ours is lost.
            status, self._protocol = scard.SCardReconnect(self._card, scard.SCARD_SHARE_SHARED, _PROTOCOLS, scard.SCARD_LEAVE_CARD)
            if status == scard.SCARD_S_SUCCESS:
                status = scard.SCardBeginTransaction(self._card)
        _check(status)
        self._in_transaction = True
        card = PivCard(self._transmit)
        card.select()
        return card

    def _connect(self) -> None:
        status, self._card, self._protocol = scard.SCardConnect(self._context, self._reader, scard.SCARD_SHARE_SHARED, _PROTOCOLS)
        if status != scard.SCARD_S_SUCCESS:
            self._card = None
        if status in _NO_CARD or status in _GONE_READER:
            raise _EmptyReaderError("读卡器中没有卡，请插入电子口岸卡。")
        if status == scard.SCARD_E_SHARING_VIOLATION:
            raise CardBusyError("卡正被其他程序独占，请关闭该程序后再试。")
        _check(status)

    def _transmit(self, command: bytes) -> bytes:
        if self._protocol == scard.SCARD_PROTOCOL_T0 and len(command) > _SHORT_HEADER + command[4]:
            # T=0 has no room for the length of the answer behind data: the card says it by 61xx.
            command = command[: _SHORT_HEADER + command[4]]
        status, answer = scard.SCardTransmit(self._card, self._protocol, list(command))
        self._silent = status != scard.SCARD_S_SUCCESS or not answer
        _check(status)
        return bytes(byte & 0xFF for byte in answer)

    def close(self, *, forget: bool = False) -> None:
        """Let go of the card; with `forget` it is reset, so that it no longer knows the PIN that it was shown."""
        if self._card is None:
            return
        # A card without power has forgotten. To reset one that was pulled out makes pcscd miss that it is put in again at once.
        disposition = scard.SCARD_RESET_CARD if forget and not self._silent else scard.SCARD_LEAVE_CARD
        # What fails here fails because there is nothing left to close.
        with suppress(scard.error):
            if self._in_transaction:
                scard.SCardEndTransaction(self._card, disposition)
            scard.SCardDisconnect(self._card, disposition)
        self._card, self._in_transaction, self._silent = None, False, False


def _check(status: int) -> None:
    """Raises what a status of the service means to the page."""
    if status == scard.SCARD_S_SUCCESS:
        return
    if status == scard.SCARD_E_NO_READERS_AVAILABLE:
        raise NoReaderError(_NO_READER_TEXT)
    if status in _NO_SERVICE:
        raise ServiceNotReachedError(
            "操作系统的智能卡服务没有运行，请接好读卡器、启动服务后再试（Linux：pcscd；Windows：Smart Card，没有接读卡器时不运行）。"
        )
    if status in _GONE_READER:
        raise CardLostError("读卡器已断开，请重新接好读卡器并插卡后再试。")
    if status in _NO_CARD:
        raise CardLostError("操作中卡被拔出，没有完成，请插好卡后再试。")
    raise CardLostError(f"读卡器复位失败（{status & 0xFFFFFFFF:08X}），请重新插卡后再试。")
