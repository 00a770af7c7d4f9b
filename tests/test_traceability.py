"""The list of functions is in step with the shared one, and the check finds contradictions."""

import re
from pathlib import Path

import pytest

from tests.traceability import ROOT, Requirement, contradictions, requirements

SHARED = ROOT.parent / "shared" / "spec" / "requirements.md"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared specification is not beside the project")
def test_the_lists_have_the_same_ids():
    shared = re.findall(r"^\| ([A-Z]{3,4}-[0-9]{2})\b", Path(SHARED).read_text(), re.MULTILINE)
    assert [requirement.id for requirement in requirements()] == shared


def test_each_kind_of_contradiction_is_found():
    wanted = [Requirement("AAA-01", "done", ""), Requirement("AAA-02", "open", ""), Requirement("AAA-03", "part", "")]
    tests = {"AAA-02": ["t::a"], "AAA-03": ["t::b"], "AAA-99": ["t::c"]}
    assert contradictions(wanted, tests) == [
        "AAA-01 is marked done and no test shows it",
        "AAA-02 is marked open and has tests: t::a …",
        "t::c covers AAA-99, which docs/requirements.md does not know",
    ]


def test_agreement_gives_nothing():
    assert contradictions([Requirement("AAA-01", "done", "")], {"AAA-01": ["t::a"]}) == []
