"""What is measured in: a PostgreSQL and a Redis of its own under VAR_DIR/bench, the portal's tables, the data set, users.

The directory is kept: five million filings are made once. Whatever a module writes it takes away again (`World.cleared`).
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.scale import Scale
from devserver import lock, services, vendor
from devserver.errors import DevServerError
from devserver.stamps import Stamp, fingerprint

if TYPE_CHECKING:
    from accounts.models import User

ROOT = Path(__file__).resolve().parent.parent
#: Times on the database's side that say how it was run.
SERVER_SETTINGS = ("server_version", "fsync", "synchronous_commit", "shared_buffers", "work_mem", "random_page_cost", "jit")


@dataclass(frozen=True, slots=True)
class World:
    """A portal that is ready, with its data."""

    directory: Path
    scale: Scale

    @property
    def reader(self) -> "User":
        """The operator of the enterprise that has a fourth of all filings."""
        return self._user("bench_reader")

    @property
    def writer(self) -> "User":
        """An operator of an enterprise without filings: what the modules write is his."""
        return self._user("bench_writer")

    def _user(self, username: str) -> "User":
        from accounts.models import User

        return User.objects.select_related("enterprise").get(username=username)

    @contextmanager
    def cleared(self) -> Iterator[None]:
        """What is written in the block, by the writer or by the relay, is gone after it."""
        from benchmarks import dataset

        dataset.clear(self.writer)
        try:
            yield
        finally:
            dataset.clear(self.writer)

    def facts(self) -> dict[str, str]:
        """How the database was run."""
        from django.db import connection

        with connection.cursor() as cursor:
            found = {}
            for name in SERVER_SETTINGS:
                cursor.execute(f"SHOW {name}")
                found[name] = str(cursor.fetchone()[0])
            cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
            found["database_size"] = str(cursor.fetchone()[0])
        return found


@contextmanager
def opened(directory: Path, scale: Scale) -> Iterator[World]:
    """The world over `directory`, made when it is not there or was made from other tables. Raises DevServerError."""
    directory.mkdir(parents=True, exist_ok=True)
    with lock.held(directory / "run" / "lock") as ours:
        if not ours:
            raise DevServerError(f"Another run of the benchmarks uses {directory}. Wait for it.")
        stamp, current = Stamp(directory / "dataset.stamp"), _fingerprint(scale)
        if not stamp.matches(current):
            stamp.remove()
            for server in services.servers(directory):
                server.end_leftover()
            for name in ("postgres", "redis"):
                shutil.rmtree(directory / name, ignore_errors=True)
        with services.running(directory) as addresses:
            _prepare(directory, addresses)
            if not stamp.matches(current):
                _fill(scale)
                stamp.write(current)
            yield World(directory, scale)


def _fingerprint(scale: Scale) -> str:
    migrations = sorted(path for path in ROOT.glob("*/migrations/*.py") if "node_modules" not in path.parts)
    return fingerprint([*migrations, ROOT / "benchmarks" / "dataset.py"], str(scale.rows))


def _prepare(directory: Path, addresses: services.ServiceAddresses) -> None:
    """Load Django over these servers. As in `make run`, except that logs go to a file, whose cost is part of what is measured."""
    os.environ.update(addresses.environment())
    os.environ.setdefault("PORTAL_MODE", "demo")
    os.environ.update(DJANGO_SETTINGS_MODULE="portal.settings", VAR_DIR=str(directory), EXCHANGE_ROOT=str(directory / "exchange"))
    import django

    django.setup()
    log = (directory / "log" / "portal.log").open("w", encoding="utf-8")
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(log)
    from django.conf import settings

    from devserver.prepare import collect_static, migrate

    migrate()
    vendor.copy(Path(settings.VENDOR_DIR))
    if settings.PORTAL_MODE != "test":  # which finds static files where they are written
        collect_static()


def _fill(scale: Scale) -> None:
    from benchmarks import dataset
    from devserver.prepare import quietly, say

    quietly("seed_reference")
    say(f"Making {scale.rows:,} filings (once; kept for the next run)")
    dataset.make(scale.rows)


def connection_arguments() -> dict[str, Any]:
    """For a psycopg2 connection beside Django's, to the same database."""
    from django.db import connection

    return {key: value for key, value in connection.get_connection_params().items() if key in ("dbname", "user", "host", "port")}
