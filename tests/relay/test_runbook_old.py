"""docs/operations/relay.md, tried: old messages, and the archive that is full."""

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from relay.services.operations import housekeeping
from tests.relay.commands import typed
from tests.relay.conftest import Boxes, outbound
from tests.relay.runbook import fill_up, row, small_disk, tries, type_in
from tests.relay.test_operations_housekeeping import LATER, conversation, still_open  # noqa: F401 - a fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("boxes", "application", "still_open"),
    pytest.mark.covers("RLY-03", "RLY-04"),
]


@tries("emptied")
def test_what_is_too_old_to_be_sent(boxes: Boxes, settings: Any, tmp_path: Path) -> None:
    settings.RELAY_ARCHIVE_DIR = tmp_path / "archive"
    message, _ = conversation(boxes)
    housekeeping.empty_old(now=LATER)
    row("emptied").says("relay_resend", "emptied")
    (said,) = typed("relay_resend", message.message_id, "--yes", "--json").json["messages"]
    assert said["outcome"] == "emptied"
    assert "verified: yes" in row("emptied").type("relay_archive show", MESSAGE_ID=message.message_id).out
    number = message.subject.split(":")[1]
    assert str(message.message_id) in row("emptied").type("relay_archive list", _202600000000000001=number).out


@tries("archive-damaged")
def test_a_file_of_the_archive_is_cut_off(boxes: Boxes, settings: Any, tmp_path: Path) -> None:
    settings.RELAY_ARCHIVE_DIR = tmp_path / "archive"
    message, _ = conversation(boxes)
    housekeeping.empty_old(now=LATER)
    (file,) = settings.RELAY_ARCHIVE_DIR.glob("*/outboundmessage-*")
    backup = file.read_bytes()
    file.write_bytes(backup[:-40])
    show = row("emptied").commands[0]
    row("archive-damaged").says("relay_archive", "DAMAGED", "cannot be read to its end")
    said = type_in(show, status=1, MESSAGE_ID=message.message_id).err
    assert "DAMAGED: " in said
    assert str(file) in said
    assert f"cannot be read to its end: {file}" in type_in("relay_archive list", status=1).err
    file.write_bytes(backup)
    type_in(show, MESSAGE_ID=message.message_id)


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
