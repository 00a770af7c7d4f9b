"""PostgreSQL and Redis for as long as a block lasts: kept in a directory (`running`) or thrown away after it (`ephemeral`)."""

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from devserver import lock
from devserver.errors import DevServerError
from devserver.postgres import PORT, Postgres
from devserver.redis import RedisServer

#: Longest socket path that every system takes (sun_path: 108 bytes on Linux, 104 on macOS, with the closing zero byte).
LONGEST_SOCKET_PATH = 100
#: Such a path goes into a URL and onto a command line as it is, whoever parses them.
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class ServiceAddresses:
    """Where the two servers answer."""

    database_url: str
    redis_url: str
    broker_url: str

    def environment(self) -> dict[str, str]:
        """The variables that portal/settings.py reads."""
        return {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url, "CELERY_BROKER_URL": self.broker_url}


def socket_dir(directory: Path) -> Path:
    """Where the sockets of the servers under `directory` go: below it, or in a short private one when its path will not do."""
    inside = directory / "s"
    longest = f"{inside}/pg/.s.PGSQL.{PORT}"
    if len(os.fsencode(longest)) <= LONGEST_SOCKET_PATH and PLAIN_PATH.fullmatch(longest):
        return inside
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path("/tmp") / f"portal-{os.geteuid()}-{digest}"  # not gettempdir(): TMPDIR may be the long path


def _make_private(directory: Path) -> None:
    """Make `directory`, which has a name that others can guess, ours alone. Raises DevServerError when it is somebody else's."""
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise DevServerError(f"{directory} belongs to somebody else. Remove it, or choose another directory: VAR_DIR=…")
    # Entered by PostgreSQL's account, listed and written by nobody but us.
    directory.chmod(0o711 if os.geteuid() == 0 else 0o700)


def private_directory() -> Path:
    """A directory of ours alone, the same for every start on this machine; made when absent. Raises DevServerError."""
    base = Path("/tmp") / f"portal-t{os.geteuid()}"
    _make_private(base)
    return base


def servers(directory: Path, *, throwaway: bool = False) -> tuple[Postgres, RedisServer]:
    """The two servers over the data in `directory`, not started."""
    directory = directory.resolve()
    sockets = socket_dir(directory)
    log = directory / "log"
    return (
        Postgres(data=directory / "postgres", socket_dir=sockets / "pg", log=log / "postgres.log", throwaway=throwaway),
        RedisServer(data=directory / "redis", socket_dir=sockets / "redis", log=log / "redis.log", throwaway=throwaway),
    )


@contextlib.contextmanager
def running(directory: Path, *, throwaway: bool = False) -> Iterator[ServiceAddresses]:
    """Both servers over the data in `directory` (made when absent), stopped when the block ends.

    The caller sees to it that one process at a time does this for a directory. Servers that a killed start left there are ended
    first. `throwaway` trades safety for speed. Raises DevServerError with what the server said when one does not start.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory = directory.resolve()
    sockets = socket_dir(directory)
    if sockets.parent != directory:
        _make_private(sockets)
    postgres, redis = servers(directory, throwaway=throwaway)
    try:
        redis.start()
        postgres.start()
        yield ServiceAddresses(postgres.url, redis.url, redis.broker_url)
    finally:
        postgres.stop()
        redis.stop()
        if sockets.parent != directory:
            shutil.rmtree(sockets, ignore_errors=True)


@contextlib.contextmanager
def ephemeral() -> Iterator[ServiceAddresses]:
    """Both servers, empty, in a directory of their own that goes when the block ends; any number side by side.

    A process that was killed leaves its servers running: whoever comes next ends them and removes their directory.
    """
    base = private_directory()
    with contextlib.ExitStack() as stack:
        with lock.held(base / "lock", wait=True):
            for left in base.glob("*/lock"):
                if lock.holder(left) is None:
                    _remove_abandoned(left.parent)
            directory = Path(tempfile.mkdtemp(dir=base))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            stack.enter_context(lock.held(directory / "lock"))
        # PostgreSQL's account has to pass through it, as through its parent.
        directory.chmod(base.stat().st_mode & 0o777)
        yield stack.enter_context(running(directory, throwaway=True))


def _remove_abandoned(directory: Path) -> None:
    """Remove what a killed process left of its `ephemeral`."""
    for server in servers(directory):
        server.end_leftover()
    shutil.rmtree(directory, ignore_errors=True)
