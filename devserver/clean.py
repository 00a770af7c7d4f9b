"""`make clean`: remove what a portal made under VAR_DIR."""

import contextlib
import shutil
from pathlib import Path

from devserver import lock, services
from devserver.errors import DevServerError
from devserver.processes import end_leftovers

#: By name and not the whole directory: VAR_DIR may be somebody's home.
MADE = (
    "bench",
    "cards/*.json",
    "cards/authority",
    "cards/demo-anchors",
    "cards/demo-crl",
    "cards/p256",
    "cards/rsa2048",
    "celerybeat-schedule*",
    "customs-journal.jsonl*",
    "exchange",
    "log",
    "mail",
    "postgres",
    "redis",
    "run",
    "s",
    "sms-journal.jsonl*",
    "standard-edition-key.pem",
    "static",
    "vendor",
)


def run(directory: Path) -> int:
    """Remove it; gives 0. Raises DevServerError while a portal runs from `directory`."""
    with lock.held(directory / "run" / "lock") as ours:
        if not ours:
            raise DevServerError(f"The portal is running from {directory} ({lock.holder(directory / 'run' / 'lock')}). Stop it first.")
        end_leftovers(directory / "run" / "processes")
        for server in services.servers(directory):
            server.end_leftover()
        for pattern in MADE:
            for path in directory.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        with contextlib.suppress(OSError):
            (directory / "cards").rmdir()  # an operator's own anchors and CRLs stay
    return 0
