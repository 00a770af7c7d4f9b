"""One thread that has the card to itself: calls of all pages go through it one after the other."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from card_bridge.errors import CardLostError

#: How long, in seconds, a call waits for those before it, and how long the card may take for it.
MOST_WAIT = 120.0
MOST_WORK = 45.0
#: Threads that hang in the card's driver and were given up; they end when the driver lets them.
MOST_LOST = 8


class PageGoneError(Exception):
    """The page went away before its call had its turn; nothing was done."""


@dataclass(eq=False)
class _Job:
    work: Callable[[], Any]
    begun: Future[None] = field(default_factory=Future)
    done: Future[Any] = field(default_factory=Future)
    over: bool = False
    lost: bool = False


class CardWorker:
    """Runs functions one at a time, away from the event loop. A thread that hangs in a card's driver is replaced."""

    def __init__(self, *, most_wait: float = MOST_WAIT, most_work: float = MOST_WORK) -> None:
        self._most_wait = most_wait
        self._most_work = most_work
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._lost = 0
        self._start_thread()

    def _start_thread(self) -> None:
        # A daemon: a driver that never returns must not keep the program from ending.
        threading.Thread(target=self._serve, name="card", daemon=True).start()

    def _serve(self) -> None:
        while True:
            job = self._jobs.get()
            if not job.done.set_running_or_notify_cancel():
                continue
            job.begun.set_result(None)
            try:
                result = job.work()
            except BaseException as error:  # it belongs to who asked, not to this thread
                job.done.set_exception(error)
            else:
                job.done.set_result(result)
            with self._lock:
                job.over = True
                if job.lost:
                    # Another thread has this one's place.
                    self._lost -= 1
                    return
            del job

    async def run(self, work: Callable[[], Any], gone: "asyncio.Future[Any] | None" = None) -> Any:
        """Run `work` in its turn; gives what it gives, raises what it raises.

        `gone` is done when nobody waits for the answer any more; work that has not begun by then is never done (PageGoneError).
        Raises CardLostError when the card takes too long, or those before do.
        """
        job = _Job(work)
        self._jobs.put(job)
        begun, done = asyncio.wrap_future(job.begun), asyncio.wrap_future(job.done)
        # Nobody may be left to take an exception that comes too late; that is no fault to complain of.
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
        waiting = {begun, gone} if gone else {begun}
        await asyncio.wait(waiting, timeout=self._most_wait, return_when=asyncio.FIRST_COMPLETED)
        if not begun.done() and job.done.cancel():
            if gone is not None and gone.done():
                raise PageGoneError
            raise CardLostError("读卡器正忙，请稍后再试。")
        finished, _ = await asyncio.wait({done}, timeout=self._most_work)
        if not finished:
            self._give_up(job)
            raise CardLostError("读卡器长时间没有响应，请拔出卡重新插入后再试。")
        return done.result()

    def _give_up(self, job: _Job) -> None:
        with self._lock:
            if job.over or self._lost >= MOST_LOST:
                return
            job.lost = True
            self._lost += 1
        self._start_thread()
