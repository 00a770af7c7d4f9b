"""The lock of a directory: one holder, gone with its process."""

import subprocess
import sys
from pathlib import Path

from devserver import lock

HOLD = """
import sys
from pathlib import Path
from devserver import lock
with lock.held(Path(sys.argv[1]), "process of the test") as ours:
    print(ours, flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "True\n"
        with lock.held(path) as ours:
            assert not ours
        assert lock.holder(path) == "process of the test"
        first.kill()
        first.wait()
        assert lock.holder(path) is None
        with lock.held(path, "after a killed holder") as ours:
            assert ours


def test_the_holder_is_refused_too_and_does_not_lose_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock.held(path, "me") as first, lock.held(path, "me again") as second:
        assert (first, second) == (True, False)
        assert lock.holder(path) == "me"
        done = subprocess.run([sys.executable, "-c", HOLD, str(path)], input="", capture_output=True, text=True, check=True)
        assert done.stdout == "False\n"
    assert lock.holder(path) is None


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert lock.holder(tmp_path / "absent") is None
