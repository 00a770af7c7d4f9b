"""docs/operations/relay.md as a whole: every row is tried by some test, every command is understood, every link leads somewhere."""

import re
import shlex
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandParser, get_commands, load_command_class
from django.core.management.base import CommandError

from relay import consistency
from tests.relay.runbook import TEXT, of_section, rows, slug, tried

pytestmark = pytest.mark.covers("RLY-04")

ROOT = Path(settings.BASE_DIR)
#: Events that tell of what an operator himself has just done.
HIS_OWN = {"relay_paused", "relay_resumed", "relay_settled", "relay_discarded"}


@pytest.mark.covers("OPS-04")
def test_every_row_is_tried() -> None:
    """A row without a test is one that nobody knows to be true; a test without a row tries what no operator reads."""
    for path in sorted(
        path for path in (ROOT / "tests").glob("*/test_*.py") if "tests.relay.runbook import" in path.read_text(encoding="utf-8")
    ):
        import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert sorted(set(rows()) - tried()) == []
    assert sorted(tried() - set(rows())) == []


def test_every_link_within_the_page_leads_somewhere() -> None:
    anchors = set(re.findall(r'<a id="([^"]+)">', TEXT)) | {slug(heading) for heading in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors


def test_every_event_that_is_a_warning_has_its_row() -> None:
    sources = [*(ROOT / "relay").rglob("*.py"), *(ROOT / "smartgate").rglob("*.py"), ROOT / "core/broker.py"]
    found = {
        event
        for path in sources
        for event in re.findall(r'log\.(?:warning|error|exception)\(\s*"([a-z_]+)"', path.read_text(encoding="utf-8"))
    }
    told = {code for one in rows().values() for code in one.seen}
    # The drop folder has a page of its own.
    told |= set(re.findall(r"`(drop_[a-z_]+)`", (ROOT / "docs/protocol/drop-folder.md").read_text(encoding="utf-8")))
    # 批量导入 asks nothing of operators; the page of its settings says what its one event means.
    told |= set(re.findall(r"`(import_[a-z_]+)`", (ROOT / "docs/operations/settings.md").read_text(encoding="utf-8")))
    assert len(found) > 15
    assert sorted(found - HIS_OWN - told) == []


def test_every_command_is_understood() -> None:
    """Also those that stand outside of the tables."""
    lines = set(re.findall(r"`manage\.py ((?:relay_|check_)[^`]+)`", TEXT))
    assert len(lines) >= 20
    for line in lines:
        name, *words = shlex.split(line.replace("MESSAGE_ID", str(uuid4())))
        parser: CommandParser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        parser.called_from_command_line = False  # a mistake raises instead of ending the test run
        try:
            parser.parse_args(words)
        except CommandError as mistake:
            pytest.fail(f"{line}: {mistake}")


def test_every_check_is_told_of() -> None:
    assert set(of_section("looking-for-what-does-not-fit")) == set(consistency.names())
