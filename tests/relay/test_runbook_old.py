"""docs/operations/relay.md, tried: old messages, and the archive that is full."""

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from relay.services.operations import housekeeping
from tests.relay.commands import typed
from tests.relay.conftest import Boxes, outbound
from tests.relay.runbook import fill_up, row, small_disk, tries
from tests.relay.test_operations_housekeeping import LATER, conversation, still_open  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("boxes", "application", "still_open"),
    pytest.mark.covers("RLY-03", "RLY-04"),
]


@tries("emptied")
def test_what_is_too_old_to_be_sent(boxes: Boxes) -> None:
    message, _ = conversation(boxes)
    housekeeping.empty_old(now=LATER)
    row("emptied").says("relay_resend", "emptied")
    (said,) = typed("relay_resend", message.message_id, "--yes", "--json").json["messages"]
    assert said["outcome"] == "emptied"


@tries("archive-full")
def test_the_archive_is_full(boxes: Boxes, settings: Any, tmp_path: Path) -> None:
    message, _ = conversation(boxes)
    settings.RELAY_ARCHIVE_DIR = tmp_path / "archive"
    settings.RELAY_ARCHIVE_DIR.mkdir()
    with small_disk(settings.RELAY_ARCHIVE_DIR):
        ballast = fill_up(settings.RELAY_ARCHIVE_DIR)
        with pytest.raises(OSError, match="No space") as problem:
            housekeeping.empty_old(now=LATER)
        row("archive-full").shows(str(problem.value))
        assert outbound(message).emptied_at is None
        ballast.unlink()
        assert housekeeping.empty_old(now=LATER) == (1, 2)
        assert list(settings.RELAY_ARCHIVE_DIR.glob(f"{timezone.localtime():%Y-%m}/*.jsonl.gz"))
