"""PostgreSQL and Redis of a first run: kept data, throwaway data, and what a killed process leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg2
import pytest
from redis import Redis

from devserver import services
from devserver.errors import DevServerError

HOLD = """
import signal
from devserver import services
with services.ephemeral() as addresses:
    print(addresses.database_url, flush=True)
    signal.pause()
"""


def servers_below(directory: Path) -> list[psutil.Process]:
    """Running servers that work somewhere in `directory`."""
    servers = [process for process in psutil.process_iter(["name", "cwd"]) if process.info["name"] in ("postgres", "redis-server")]
    return [server for server in servers if (server.info["cwd"] or "").startswith(str(directory))]


@pytest.mark.parametrize("below", ["v", "a long name with blanks and 汉字 " + "x" * 90])
def test_data_are_kept_from_one_start_to_the_next(tmp_path: Path, below: str) -> None:
    directory = tmp_path / below
    with services.running(directory) as addresses:
        with psycopg2.connect(addresses.database_url) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE kept AS SELECT 42 AS number")
        connection.close()
        with Redis.from_url(addresses.redis_url) as redis:
            redis.set("kept", "42")
    assert servers_below(directory) == []
    with services.running(directory) as addresses:
        with psycopg2.connect(addresses.database_url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT number FROM kept")
            assert cursor.fetchone() == (42,)
        connection.close()
        with Redis.from_url(addresses.redis_url) as redis:
            assert redis.get("kept") == b"42"
    assert not services.socket_dir(directory.resolve()).joinpath("pg", ".s.PGSQL.5432").exists()


def test_two_pairs_run_side_by_side_and_go_with_their_block() -> None:
    with services.ephemeral() as first:
        with services.ephemeral() as second:
            assert first != second
            directory = Path(second.redis_url.removeprefix("unix://").split("?")[0]).parents[2]
            assert servers_below(directory)
        assert not directory.exists()
        psycopg2.connect(first.database_url).close()
    assert servers_below(directory) == []


def test_what_a_killed_process_left_is_ended_by_whoever_comes_next() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        url = holder.stdout.readline().strip()
        holder.send_signal(signal.SIGKILL)
    directory = Path(url.split("host=")[1]).parents[1]
    assert len(servers_below(directory)) >= 2
    with services.ephemeral():
        assert servers_below(directory) == []
        assert not directory.exists()


def test_an_interrupted_initdb_is_begun_anew(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with services.running(tmp_path, throwaway=True) as addresses:
        psycopg2.connect(addresses.database_url).close()
    assert not half.exists()


def test_a_process_that_came_to_the_old_id_does_not_keep_the_server_from_starting(tmp_path: Path) -> None:
    with services.running(tmp_path, throwaway=True):
        pid_file = tmp_path / "postgres" / "cluster" / "postmaster.pid"
        content = pid_file.read_text()
    pid_file.write_text(content.replace(content.split("\n", 1)[0], str(os.getpid()), 1))
    with services.running(tmp_path, throwaway=True) as addresses:
        psycopg2.connect(addresses.database_url).close()


def test_data_of_another_postgresql_are_named_and_left_alone(tmp_path: Path) -> None:
    cluster = tmp_path / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(DevServerError, match="was made by PostgreSQL 15"), services.running(tmp_path):
        pass
    assert (cluster / "PG_VERSION").read_text() == "15\n"
    assert servers_below(tmp_path) == []


def test_why_a_server_does_not_start_is_shown(tmp_path: Path) -> None:
    with services.running(tmp_path, throwaway=True):
        pass
    (tmp_path / "postgres" / "cluster" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(DevServerError, match="no_such_setting"), services.running(tmp_path, throwaway=True):
        pass
    assert servers_below(tmp_path) == []


def test_a_socket_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = tmp_path / "trap"
    trap.symlink_to(tmp_path)
    monkeypatch.setattr(services, "socket_dir", lambda _directory: trap)
    with pytest.raises(DevServerError, match="belongs to somebody else"), services.running(tmp_path / "var"):
        pass


def test_nobody_but_us_and_the_server_reaches_the_sockets(tmp_path: Path) -> None:
    with services.running(tmp_path, throwaway=True):
        sockets = services.socket_dir(tmp_path.resolve())
        for directory in (sockets / "pg", sockets / "redis"):
            assert directory.stat().st_mode & 0o077 == 0
        assert (tmp_path / "postgres").stat().st_mode & 0o077 == 0
        assert os.listdir(sockets / "redis") == ["redis.sock"]
