"""`python -m benchmarks.partner`: a partner that notes when each message reached it and, unless told to be silent, answers STORED.

It reads no XML and flushes nothing: what is measured is the relay, not customs.
"""

import argparse
import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from amqp import Message
from kombu import Connection

LOOK_SECONDS = 0.05
RECEIPT = Path(__file__).resolve().parent.parent / "docs" / "protocol" / "examples" / "RCV001.xml"


class Notes:
    """What came, when: lines of an id and nanoseconds since 1970; and the receipt that goes back."""

    def __init__(self, file: TextIO, answers: bool) -> None:
        self._file, self._answers = file, answers
        self._template = RECEIPT.read_text(encoding="utf-8")
        self._own_id, self._theirs = (_inside(self._template, tag) for tag in ("message_id", "RefMessageId"))

    def came(self, message_id: str, at: int) -> tuple[str, bytes] | None:
        """Note it; the id and the bytes of its receipt."""
        self._file.write(f"{message_id} {at}\n")
        if not self._answers:
            return None
        own = str(uuid.uuid4())
        return own, self._template.replace(self._own_id, own).replace(self._theirs, message_id).encode()

    def flush(self) -> None:
        """So that the others can read what is noted."""
        self._file.flush()


def _inside(text: str, tag: str) -> str:
    found = re.search(f"<{tag}>([^<]+)</{tag}>", text)
    if found is None:
        raise RuntimeError(f"{RECEIPT} has no {tag}")
    return found[1]


def at_directory(home: Path, notes: Notes, stop: threading.Event) -> None:
    """Take from OutBox. A file has its name since its last change of status: the rename."""
    while not stop.wait(LOOK_SECONDS):
        for name, at in _files(home / "OutBox"):
            message_type, _, message_id = name.removesuffix(".xml").partition("_")
            answer = notes.came(message_id, at) if message_type != "RCV001" else None
            (home / "OutBox" / name).replace(home / "SentBox" / name)
            if answer:
                beside = home / "InBox" / f".{answer[0]}"
                beside.write_bytes(answer[1])
                beside.replace(home / "InBox" / f"RCV001_{answer[0]}.xml")
        notes.flush()


def _files(box: Path) -> Iterator[tuple[str, int]]:
    with os.scandir(box) as entries:
        found = [(entry.name, entry.stat().st_ctime_ns) for entry in entries if entry.name.endswith(".xml")]
    yield from found


def at_broker(url: str, notes: Notes, stop: threading.Event) -> None:
    """Consume `customs.out`; a message is there when the broker gives it to us."""
    raw: Any = Connection(url, heartbeat=30).transport.establish_connection()
    channel = raw.channel()

    def take(message: Any) -> None:
        said = message.properties
        answer = notes.came(said["message_id"], time.time_ns()) if said["type"] != "RCV001" else None
        channel.basic_ack(message.delivery_tag)
        if answer:
            back = Message(answer[1], type="RCV001", message_id=answer[0], delivery_mode=2)
            channel.basic_publish(back, routing_key="customs.in", mandatory=True)

    channel.basic_qos(0, 500, False)
    channel.basic_consume("customs.out", callback=take)
    while not stop.is_set():
        raw.heartbeat_tick()
        try:
            raw.drain_events(timeout=LOOK_SECONDS)
        except TimeoutError:
            notes.flush()
    raw.collect()


def main() -> None:
    """Run until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partner")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--root", type=Path, help="directory with OutBox, SentBox and InBox")
    place.add_argument("--amqp", metavar="URL", help="broker with the queues customs.out and customs.in")
    parser.add_argument("--notes", type=Path, required=True, help="what came, when")
    parser.add_argument("--silent", action="store_true", help="answer nothing")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with options.notes.open("w", encoding="ascii") as file:
        notes = Notes(file, answers=not options.silent)
        if options.root:
            at_directory(options.root, notes, stop)
        else:
            at_broker(options.amqp, notes, stop)


if __name__ == "__main__":
    main()
