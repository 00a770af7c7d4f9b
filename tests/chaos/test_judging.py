"""That the judges of a chaos run can find something: what each of them must not let pass, and what it must."""

import json
from itertools import pairwise

import pytest

from tests.chaos import logs

DEADLOCK = """Traceback (most recent call last):
  File "utils.py", line 105, in _execute
    return self.cursor.execute(sql, params)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
psycopg2.errors.DeadlockDetected: deadlock detected
DETAIL:  Process 14778 waits for ShareLock on transaction 5512; blocked by process 14751.

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "tasks.py", line 49, in _for_each
    job(code)
django.db.utils.OperationalError: deadlock detected
DETAIL:  Process 14778 waits for ShareLock on transaction 5512; blocked by process 14751."""
SOCKET = 'connection to server on socket "/tmp/x/.s.PGSQL.5432" failed'


def raised(line: str) -> str:
    return f'Traceback (most recent call last):\n  File "a.py", line 1, in b\n    c()\n{line}\n'


@pytest.mark.parametrize(
    "line",
    [
        f"django.db.utils.OperationalError: {SOCKET}: Connection refused",
        f"django.db.utils.OperationalError: {SOCKET}: FATAL:  the database system is not yet accepting connections",
        "django.db.utils.OperationalError: server closed the connection unexpectedly",
        "django.db.utils.InterfaceError: connection already closed",
        "redis.exceptions.ConnectionError: Error 111 connecting to /tmp/x/redis.sock. Connection refused.",
        "redis.exceptions.BusyLoadingError: Redis is loading the dataset in memory",
        "celery.beat.SchedulingError: Couldn't apply scheduled task relay-sweep: Error 2 connecting to /tmp/x. No such file or directory.",
        "billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL) Job: 17.",
        "ConnectionError: ConnectionForced: (0, 0): (320) CONNECTION_FORCED - chaos",
        "OSError: [Errno 28] No space left on device",
    ],
)
def test_an_outage_explains_an_exception(line: str) -> None:
    assert logs.unexplained(raised(line)) == []
    assert logs.unexplained(json.dumps({"event": "failed", "exception": raised(line)})) == []


@pytest.mark.parametrize(
    "line",
    [
        "django.db.utils.OperationalError: deadlock detected",
        "django.db.utils.OperationalError: canceling statement due to lock timeout",
        f"django.db.utils.OperationalError: {SOCKET}: FATAL:  sorry, too many clients already",
        "psycopg2.errors.DeadlockDetected: deadlock detected",
        "relay.registry.MessageRefused: WRONG_ORIGINAL",
        "AttributeError: 'NoneType' object has no attribute 'status'",
        "FileNotFoundError: [Errno 2] No such file or directory: '/x/customs/InBox/SGW102_1.xml'",
        "KeyError: 'x'",
    ],
)
def test_what_no_outage_explains_is_told_whoever_says_it(line: str) -> None:
    assert logs.unexplained(raised(line)) == [line]
    assert logs.unexplained(json.dumps({"event": "failed", "exception": raised(line)})) == [line]


def test_of_a_chain_the_last_counts_and_chains_do_not_run_together() -> None:
    assert logs.unexplained(DEADLOCK) == ["django.db.utils.OperationalError: deadlock detected"]
    handled = "\nDuring handling of the above exception, another exception occurred:\n\n"
    outage = raised("OSError: [Errno 28] No space left on device")
    assert logs.unexplained(raised("KeyError: 1") + handled + outage) == []
    assert logs.unexplained(raised("KeyError: 1") + outage + raised("KeyError: 2")) == ["KeyError: 1", "KeyError: 2"]


def test_what_another_process_raised_counts_for_what_carried_it_here() -> None:
    carried = raised("billiard.einfo.ExceptionWithTraceback: ")
    assert logs.unexplained(f'{carried}"""\n{raised("KeyError: 1")}"""\n') == ["KeyError: 1"]
    lost = raised("billiard.exceptions.WorkerLostError: Worker exited prematurely: signal 9 (SIGKILL) Job: 20.")
    assert logs.unexplained(f'{carried}"""\n{lost}"""\n') == []


def test_a_log_holds_lines_of_several_processes_and_may_end_anywhere() -> None:
    cut = raised("KeyError: 1").rpartition("KeyError")[0]
    said = json.dumps({"event": "relay_attempt", "level": "info"})
    assert logs.unexplained(f"{said}\n2026-11-21 customs INFO took 1\n{cut}") == []
    assert logs.unexplained(cut + said + "\nKeyError: 1\n") == ["KeyError: 1"]
    assert logs.unexplained('"text"\n17\nnull\n{"exception": null}\n') == []


# -- the verdict ------------------------------------------------------------------------------------------------


def way(*states: str) -> list[tuple[str, str]]:
    return list(pairwise(["", "draft", "declared", *states]))


@pytest.mark.parametrize(
    ("plate", "stored", "states"),
    [
        ("辽B12345", ["STORED"], ["relayed", "stored"]),
        ("辽BREJ07", ["REJECTED"], ["relayed", "rejected"]),
        ("辽BFAL07", [], ["relay_failed"]),
        ("辽BUNL07", ["STORED", "LOCKED", "UNLOCKED"], ["relayed", "stored", "locked", "unlocked"]),
        ("辽BUNL07", ["LOCKED", "STORED", "UNLOCKED"], ["relayed", "stored"]),
        ("辽BDEP07", ["STORED", "DEPARTED", "CLOSED"], ["relayed", "stored", "departed"]),
        ("辽BSWP07", ["CLOSED", "STORED"], ["relayed", "stored"]),
    ],
)
def test_a_filing_is_where_its_receipts_lead(plate: str, stored: list[str], states: list[str]) -> None:
    from tests.chaos import verdict

    moves = [event.lower() in states for event in stored]
    expected, receipts = verdict.expected_answers(plate), list(zip(stored, moves, strict=True))
    assert verdict.misread(expected, receipts, states[-1], way(*states)) == []
    if stored:
        assert verdict.misread(expected, receipts[:-1], states[-1], way(*states)), "one answer is missing"
        assert verdict.misread(expected, [*receipts, receipts[-1]], states[-1], way(*states)), "one answer came in twice"
        assert verdict.misread(expected, [(event, not moves[0]) for event in stored], states[-1], way(*states)), "applied, or not"
    assert verdict.misread(expected, receipts, "declared", way(*states)), "another state"
    assert verdict.misread(expected, receipts, states[-1], way(*states[:-1])), "the audit trail leaves a step out"
    assert verdict.misread(expected, receipts, states[-1], way(*states, states[-1])), "the audit trail tells one twice"


@pytest.mark.parametrize("token", ["UNL", "CLS", "DEP"])
def test_a_build_that_only_keeps_the_answers_after_the_first_is_found(token: str) -> None:
    """Every one of its filings comes to rest in a state of the table, with all its receipts."""
    from tests.chaos import verdict

    order = [event for event in ("STORED", "LOCKED", "UNLOCKED", "CLOSED", "DEPARTED") if event in verdict.ANSWERS[token]]
    receipts = [(event, event == "STORED") for event in order]
    assert verdict.misread(verdict.ANSWERS[token], receipts, "stored", way("relayed", "stored"))
