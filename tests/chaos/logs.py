"""What went wrong by the processes' own words, and which of it an outage of the run explains.

An outage is known by its words, never by the class of the exception: a deadlock and a lost connection are of one class.
"""

import json
import re
from collections.abc import Iterator

_BEGINS = "Traceback (most recent call last):"
_CHAINED = ("The above exception was the direct cause of", "During handling of the above exception")
#: Around the traceback of another process, after the name of what carries it.
_QUOTED = '"""'
_OUTAGES = re.compile(
    "|".join(
        [
            # PostgreSQL is killed, or starts and goes through its log.
            r"connection to server .* failed: (?:Connection refused|No such file or directory|Connection reset by peer)",
            r"failed: FATAL:\s+the database system is (?:starting up|not yet accepting connections|shutting down|in recovery mode)",
            r"server closed the connection unexpectedly",
            r"terminating connection (?:because of crash of another|due to unexpected postmaster)",
            r"could not (?:receive data from|send data to) server: (?:Connection reset by peer|Broken pipe)",
            r"InterfaceError: (?:connection|cursor) already closed",
            # Redis, by redis-py and by kombu.
            r"Error \d+ (?:connecting to|while writing to socket)|Error while reading from .*(?:reset by peer|Bad file descriptor)",
            r"Connection closed by server|Redis is loading the dataset|Timeout (?:reading from|connecting to) (?:socket|server)",
            # The broker, cut off, killed or held up; the exchange's disk.
            r"CONNECTION_FORCED|Server unexpectedly closed connection|Socket closed",
            r"(?:Connection(?:Refused|Reset)|BrokenPipe)Error: \[Errno \d+\]|TimeoutError: (?:.*timed out|\[Errno 110\])",
            r"No space left on device",
            # A worker's process is killed; a worker ends when Redis goes away at the wrong moment (docs/operations/running.md).
            r"WorkerLostError: (?:Worker exited prematurely: signal 9|Could not start worker processes)",
            r"AttributeError: 'NoneType' object has no attribute 'hostname'",
            # The portal has taken back a letter that customs was about to take: a copy of what is refused, or what a second worker sent.
            r"FileNotFoundError: .*/OutBox/SGW101_",
        ]
    )
)


def unexplained(log: str) -> list[str]:
    """Exceptions that no outage explains, each by the line that names it; `log` is what a process has said, JSON lines or not."""
    return [line for line in _exceptions(log) if not _OUTAGES.search(line)]


def _exceptions(log: str) -> Iterator[str]:
    plain: list[str] = []
    for line in log.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            plain.append(line)
            continue
        if isinstance(said, dict):
            yield from _raised(str(said.get("exception") or "").splitlines())
    yield from _raised(plain)


def _raised(lines: list[str]) -> list[str]:
    """The last exception of each chain of tracebacks; one that the log ends in the middle of says nothing."""
    found: list[str] = []
    in_frames = is_chained = False
    for line in lines:
        if line.endswith(_BEGINS):
            in_frames = True
        elif in_frames and line and not line[0].isspace():
            in_frames = False
            if is_chained and found:
                found.pop()
            is_chained = False
            found.append(line[:300])
        elif line.startswith(_CHAINED) or line == _QUOTED:
            is_chained = True
    return found
