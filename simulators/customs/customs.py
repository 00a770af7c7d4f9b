"""Customs: takes filings, writes them into its journal, answers.

The journal is all that has to survive. What was accepted, and with that every answer that is owed, follows from it; answers
are made from it again byte for byte, so that saying one twice does no harm. Beside it lie two notes that may lose their last
lines: which answers went out (`.answers`) and which of them the portal has confirmed (`.receipts`).
"""

import heapq
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from simulators.customs import signed
from simulators.customs.behaviours import NOT_HELD, Behaviour, Step, behaviour_for, script_of
from simulators.customs.wire import FILING, TECHNICAL, Accepted, Message, UnreadableError, Wire, answer_id
from simulators.journal import Journal

log = logging.getLogger("customs")

BATCH = 500


@dataclass(frozen=True, slots=True)
class Owed:
    """One SGW102 that is to go to the portal at a certain time."""

    filing: Accepted
    message_id: str
    at: datetime
    event: str
    code: str
    note: str
    number: str
    repeats: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What one file came to."""

    new: Accepted | None = None
    reply: tuple[str, bytes] | None = None
    confirmation: dict[str, str] | None = None
    refused: bool = False


class Exchange(Protocol):
    """Where the portal's messages lie: the boxes of a directory (`boxes`) or the queues of a broker (`queues`). Failures are OSErrors."""

    def waiting(self, limit: int) -> list[str]:
        """Names of what lies there for us, oldest first."""

    def read(self, name: str) -> bytes:
        """The bytes of one of them."""

    def put(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Send; when this returns they are safe."""

    def sent(self, name: str) -> None:
        """One of them was taken."""

    def failed(self, name: str) -> None:
        """One of them is refused."""

    def close(self) -> None:
        """Let go of it."""


class Customs:
    """One customs office over one exchange. Times are aware; delays are seconds."""

    def __init__(
        self, *, exchange: Exchange, journal: Path, wire: Wire, behaviour: Behaviour, answer_delay: float, resend_after: float
    ) -> None:
        self._boxes = exchange
        self._wire = wire
        self._default = behaviour
        self._delay = answer_delay
        self._resend_after = resend_after
        self._accepted = Journal(journal)
        self._answered = Journal(journal.with_name(f"{journal.name}.answers"), durable=False)
        self._confirmed = Journal(journal.with_name(f"{journal.name}.receipts"), durable=False)
        self._known: dict[str, Accepted] = {}
        self._copies: dict[str, int] = {}
        #: SeqNo → the version that customs holds; by message, what it does about each.
        self._held: dict[str, int | None] = {}
        self._steps: dict[str, Sequence[Step]] = {}
        self._due: list[tuple[float, int, Owed]] = []
        self._order = 0
        self._confirmed_ids = {line["ref_message_id"] for line in self._confirmed.lines()}
        self._resume()

    def _resume(self) -> None:
        said = {line["answer"] for line in self._answered.lines()}
        again = datetime.now(UTC) + timedelta(seconds=self._resend_after)
        for line in self._accepted.lines():
            filing = Accepted.from_json(line)
            self._know(filing)
            # How many copies passed before is not in the journal; what it would have said after some of them it says now, or the portal,
            # which may have its receipt, would wait for ever.
            self._copies[filing.message_id] = (self._behaviour(filing.script).silent_copies or 0) + 1
            if self._is_silent(filing):
                continue
            for owed in self._answers_to(filing):
                if owed.message_id not in self._confirmed_ids:
                    self._schedule(owed, again if owed.message_id in said else owed.at)

    def close(self) -> None:
        """Close the journals and let go of the exchange."""
        self._boxes.close()
        for journal in (self._accepted, self._answered, self._confirmed):
            journal.close()

    def step(self) -> bool:
        """Take what lies in OutBox and send what is due; whether there was anything to do."""
        names = self._boxes.waiting(BATCH)
        if names:
            self._take(names)
        return self._answer_due() or bool(names)

    # -- taking ----------------------------------------------------------------------------------

    def _take(self, names: list[str]) -> None:
        now = datetime.now(UTC)
        taken = {name: self._judge(name, now) for name in names}
        new = [one.new for one in taken.values() if one.new]
        confirmations = [one.confirmation for one in taken.values() if one.confirmation]
        self._accepted.append([filing.as_json() for filing in new])
        self._confirmed.append(confirmations)
        self._confirmed_ids.update(line["ref_message_id"] for line in confirmations)
        self._boxes.put([one.reply for one in taken.values() if one.reply])
        for name, one in taken.items():
            if one.refused:
                self._boxes.failed(name)
            else:
                self._boxes.sent(name)
        log.info("took %d files: %d new filings, %d receipts", len(names), len(new), len(confirmations))

    def _judge(self, name: str, now: datetime) -> Taken:
        try:
            message = self._wire.read(self._boxes.read(name))
        except UnreadableError as problem:
            log.warning("refused %s: %s %s", name, problem.code, problem)
            if name.startswith(TECHNICAL):
                return Taken(refused=True)
            reply = self._wire.technical_receipt(
                at=now, result="REJECTED", message_id=problem.message_id, file_name=name, code=problem.code, note=str(problem)
            )
            return Taken(reply=reply, refused=True)
        if message.message_type != FILING:
            return Taken(confirmation=_confirmation(message, now))
        return self._judge_filing(message, now)

    def _judge_filing(self, message: Message, now: datetime) -> Taken:
        behaviour = self._behaviour(
            script_of(function=message.text("Function"), bind_key_info=message.text("Head/BindKeyInfo"), remark=message.text("Head/Remark"))
        )
        if behaviour.receipt == "FAIL_BOX":
            return Taken(refused=True)
        if behaviour.receipt == "REJECTED":
            return Taken(reply=self._rejection(message, now, "SIMULATED", "该车牌在演示中用于模拟拒收"))
        try:
            signed.check(message.business, message.sign_info)
        except signed.NotSignedSoError as problem:
            log.warning("refused %s: %s %s", message.message_id, problem.code, problem)
            return Taken(reply=self._rejection(message, now, problem.code, str(problem)))
        known = self._known.get(message.message_id)
        if known is not None and known.sha256 != message.sha256:
            return Taken(reply=self._rejection(message, now, "ID_REUSED", "this id came before with other bytes"), refused=True)
        filing = known or Accepted.of(message, now)
        begins = known is None or self._is_silent(filing)
        if known is None:
            self._know(filing)
        self._copies[filing.message_id] = self._copies.get(filing.message_id, 0) + 1
        new = filing if known is None else None
        if self._is_silent(filing):
            return Taken(new=new)
        if begins:
            for owed in self._answers_to(filing):
                self._schedule(owed, owed.at)
        if behaviour.receipt == "NONE":
            return Taken(new=new)
        return Taken(new=new, reply=self._wire.technical_receipt(at=filing.at, result="STORED", message_id=filing.message_id))

    def _rejection(self, message: Message, now: datetime, code: str, note: str) -> tuple[str, bytes]:
        return self._wire.technical_receipt(at=now, result="REJECTED", message_id=message.message_id, code=code, note=note)

    def _know(self, filing: Accepted) -> None:
        """Take down a message that is new, and what will be answered: it follows from the messages before it."""
        self._known[filing.message_id] = filing
        behaviour = self._behaviour(filing.script)
        if filing.function == "ADD":
            steps, holds = behaviour.steps, filing.version if any(step.event == "STORED" for step in behaviour.steps) else None
        elif filing.base is not None and filing.base != self._held.get(filing.seq_no):
            steps, holds = (NOT_HELD,), self._held.get(filing.seq_no)
        else:
            steps, holds = behaviour.change_steps, self._held.get(filing.seq_no)
            if any(step.event == "CHANGE_ACCEPTED" for step in steps):
                holds = filing.version if filing.function == "MOD" else None
        self._steps[filing.message_id], self._held[filing.seq_no] = steps, holds

    def _behaviour(self, script: str) -> Behaviour:
        return behaviour_for(script, self._default)

    def _is_silent(self, filing: Accepted) -> bool:
        """Whether nothing is said about it yet."""
        silent = self._behaviour(filing.script).silent_copies
        return silent is None or (silent > 0 and self._copies.get(filing.message_id, 0) <= silent)

    # -- answering -------------------------------------------------------------------------------

    def _answers_to(self, filing: Accepted) -> list[Owed]:
        return [
            Owed(
                filing=filing,
                message_id=answer_id(f"{filing.message_id}:{place}:{copy}"),
                at=filing.at + timedelta(seconds=step.after * self._delay),
                event=step.event,
                code=step.code,
                note=step.note,
                number=f"HG{filing.message_id.replace('-', '')[:20]}-{place}",
                repeats=step.repeats,
            )
            for place, step in enumerate(self._steps[filing.message_id], start=1)
            for copy in range(step.copies)
        ]

    def _schedule(self, owed: Owed, at: datetime) -> None:
        self._order += 1
        heapq.heappush(self._due, (at.timestamp(), self._order, owed))

    def _answer_due(self) -> bool:
        now = datetime.now(UTC)
        ready: list[Owed] = []
        while self._due and self._due[0][0] <= now.timestamp() and len(ready) < BATCH:
            owed = heapq.heappop(self._due)[2]
            if owed.message_id not in self._confirmed_ids:
                ready.append(owed)
        files: list[tuple[str, bytes]] = []
        for owed in ready:
            name, content = self._wire.receipt(
                owed.filing, message_id=owed.message_id, event=owed.event, code=owed.code, note=owed.note, at=owed.at, number=owed.number
            )
            # The repeats need names of their own, or one would take the place of the other before the portal looks.
            files += [(f"again{repeat}_{name}" if repeat else name, content) for repeat in range(owed.repeats)]
            self._schedule(owed, now + timedelta(seconds=self._resend_after))
        self._boxes.put(files)
        self._answered.append([{"at": now.isoformat(timespec="milliseconds"), "answer": owed.message_id} for owed in ready])
        return bool(ready)


def _confirmation(message: Message, now: datetime) -> dict[str, str]:
    return {
        "at": now.isoformat(timespec="milliseconds"),
        "message_id": message.message_id,
        "ref_message_id": message.text("RefMessageId").lower(),
        "result": message.text("Result"),
        "code": message.text("Code"),
    }
