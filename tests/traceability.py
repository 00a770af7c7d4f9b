"""`make ids`: every ID of docs/requirements.md with its state and the tests that show it.

Run as `python -m tests.traceability`. Exits 1 when list and tests contradict each other: an ID said to be done without a test,
a test for an ID that is open or that nobody knows.
"""

import os
import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "docs" / "requirements.md"
_ROW = re.compile(r"^\| (?P<id>[A-Z]{3,4}-[0-9]{2}) \| (?P<state>done|part|open) \| (?P<what>[^|]*) \|[^|]*\|$", re.MULTILINE)
STATES = ("done", "part", "open")


@dataclass(frozen=True)
class Requirement:
    """One row of docs/requirements.md."""

    id: str
    state: str
    what: str


def requirements(text: str | None = None) -> list[Requirement]:
    """The project's list, in its order."""
    found = _ROW.finditer(REQUIREMENTS.read_text() if text is None else text)
    return [Requirement(match["id"], match["state"], match["what"]) for match in found]


class _Collector:
    """pytest plugin: the tests of each ID, as collected."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = defaultdict(list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for mark in item.iter_markers("covers"):
                for requirement in mark.args:
                    self.tests[requirement].append(item.nodeid)


def collected() -> dict[str, list[str]]:
    """ID → test ids, from pytest's own collection. Raises RuntimeError when it fails."""
    collector = _Collector()
    sys.stdout.flush()
    out, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        code = pytest.main(["--collect-only", "-qq", str(ROOT / "tests")], plugins=[collector])
    finally:
        sys.stdout.flush()
        os.dup2(out, 1)
        os.close(null)
        os.close(out)
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"pytest could not collect the tests (exit {code})")
    return collector.tests


def contradictions(wanted: Sequence[Requirement], tests: Mapping[str, Sequence[str]]) -> list[str]:
    """Where list and tests do not agree."""
    states = {requirement.id: requirement.state for requirement in wanted}
    problems = [f"{id_} is marked {state} and no test shows it" for id_, state in states.items() if state != "open" and not tests.get(id_)]
    problems += [f"{id_} is marked open and has tests: {names[0]} …" for id_, names in tests.items() if states.get(id_) == "open"]
    problems += [f"{names[0]} covers {id_}, which docs/requirements.md does not know" for id_, names in tests.items() if id_ not in states]
    return problems


def main() -> int:
    """Print the table, the counts and the contradictions; the exit code."""
    wanted = requirements()
    tests = collected()
    for requirement in wanted:
        names = sorted({re.sub(r"\[.*", "", name) for name in tests.get(requirement.id, [])})
        print(f"{requirement.id:7} {requirement.state:5} {len(names):3} tests  {', '.join(names[:3])}{' …' if len(names) > 3 else ''}")  # noqa: T201
    counts = {state: sum(requirement.state == state for requirement in wanted) for state in STATES}
    problems = contradictions(wanted, tests)
    print(f"{len(wanted)} IDs: " + ", ".join(f"{count} {state}" for state, count in counts.items()))  # noqa: T201
    for problem in problems:
        print(f"CONTRADICTION {problem}")  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
