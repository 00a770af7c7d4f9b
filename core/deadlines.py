"""How long PostgreSQL may take for all that is asked of it, kept also when it says nothing at all.

Its own limits end with it: a server that is frozen, or a machine that is gone, times nothing out, and whoever waits for it waits for
ever. Here a second thread shuts the connection's socket, and the question ends as if the server had hung up (docs/adr/0112).
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, Error, connections

#: For who asks whether all is well; with a connection that has to be opened first, still less than Prometheus waits (10 s).
PROBE_SECONDS: Final = 4.0
#: A connection that was opened after the end is shut as well.
_AGAIN_SECONDS: Final = 0.2


@contextmanager
def database_within(seconds: float) -> Iterator[None]:
    """After so many seconds whatever the block still asks of the database raises OperationalError, and the connection is gone.

    Opening a connection has a limit of its own, `connect_timeout`, which comes on top.
    """
    database = connections[DEFAULT_DB_ALIAS]
    is_over, is_late = threading.Event(), threading.Event()

    def watch() -> None:
        wait = seconds
        while not is_over.wait(wait):
            is_late.set()
            _shut(database.connection)
            wait = _AGAIN_SECONDS

    watcher = threading.Thread(target=watch, name="deadline", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
        if is_late.is_set() and not database.in_atomic_block:
            database.close()


def _shut(raw: Any) -> None:
    """Hang up for the other side; the thread that waits for it sees that, and closes."""
    if raw is None or raw.closed:
        return
    try:
        with socket.socket(fileno=os.dup(raw.fileno())) as way:
            way.shutdown(socket.SHUT_RDWR)
    except (OSError, Error, raw.Error):
        return
