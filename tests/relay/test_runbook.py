"""docs/operations/relay.md, tried: every command in it is understood, and each case under "What comes up" goes as it is told there."""

import re
import shlex
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.core.management import CommandParser, get_commands, load_command_class
from django.core.management.base import CommandError
from django.utils import timezone

from relay import consistency, services
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, make_due, outbound, queue
from tests.relay.messages import receipt, technical
from tests.simulators.test_customs import Office, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("RLY-04")]

RUNBOOK = Path(settings.BASE_DIR, "docs/operations/relay.md").read_text(encoding="utf-8")
#: Whole commands, as somebody would copy them.
LINES = sorted(set(re.findall(r"`manage\.py ((?:relay_|check_)[^`]+)`", RUNBOOK)))


def test_there_are_commands_in_it() -> None:
    assert len(LINES) >= 10


@pytest.mark.parametrize("line", LINES)
def test_every_command_is_understood(line: str) -> None:
    name, *words = shlex.split(line.replace("MESSAGE_ID", str(uuid4())))
    command = load_command_class(get_commands()[name], name)
    parser: CommandParser = command.create_parser("manage.py", name)
    parser.called_from_command_line = False  # a mistake raises instead of ending the test run
    try:
        parser.parse_args(words)
    except CommandError as mistake:
        pytest.fail(f"{line}: {mistake}")


def test_every_check_is_told_of() -> None:
    told = set(re.findall(r"`((?:relay|smartgate)\.[a-z_]+)`", RUNBOOK.split("## Looking for what does not fit")[1].split("## Codes")[0]))
    assert told == set(consistency.names())


def row() -> dict[str, Any]:
    """What relay_status says of filings."""
    (found,) = [one for one in typed("relay_status", "--json").json["traffic"] if one["message_type"] == "SGW101"]
    return found  # type: ignore[no-any-return]


def delivered(boxes: Boxes, number: int) -> OutboundMessage:
    """A message that arrived."""
    message = queue(number)
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(message.message_id))
    services.receive("customs")
    return message


def test_a_partner_that_is_away(boxes: Boxes) -> None:
    first = delivered(boxes, 1)
    assert typed("relay_pause", "--partner", "customs", "--reason", "停机至 18:00").status == 0
    messages = [queue(number) for number in (2, 3)]
    boxes.put(receipt(number=1, in_reply_to=first.message_id))
    services.receive("customs")
    services.dispatch("customs")
    assert boxes.out_files() == {}
    assert row()["queued"] == 2
    assert row()["paused"] == "停机至 18:00"
    assert InboundMessage.objects.get(message_type="SGW102").state == InboundState.HANDLED
    assert typed("relay_resume", "--partner", "customs").status == 0
    services.dispatch("customs")
    assert {message.file_name for message in messages} <= set(boxes.out_files())


def test_a_partner_that_lost_what_it_had_taken(boxes: Boxes) -> None:
    messages = [delivered(boxes, number) for number in (1, 2, 3)]
    OutboundMessage.objects.filter(pk=messages[0].pk).update(created_at=timezone.now() - timedelta(hours=3))
    since = f"{timezone.localtime() - timedelta(hours=1):%Y-%m-%dT%H:%M}"
    words = ["relay_resend", "--partner", "customs", "--type", "SGW101", "--state", "delivered", "--since", since]
    assert "dry run: nothing was changed" in typed(*words).out
    assert typed(*words, "--yes").status == 0
    services.dispatch("customs")
    assert boxes.take_all() == {message.file_name: bytes(message.content) for message in messages[1:]}


def test_a_directory_that_is_gone_and_back(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    later = queue(2)
    writing = boxes.home / "OutBox" / ".writing"
    writing.rmdir()
    writing.write_text("a file where a directory should be")
    with pytest.raises(OSError, match=r"\.writing"):
        services.dispatch("customs")
    writing.unlink()
    (boxes.home / "OutBox" / later.file_name).mkdir()
    services.dispatch("customs")
    assert row()["failing"] == 1
    assert row()["last_error"]
    assert "failing: customs SGW101:" in typed("relay_status").out
    (boxes.home / "OutBox" / later.file_name).rmdir()
    OutboundMessage.objects.filter(pk=later.pk).update(due_at=timezone.now() + timedelta(seconds=settings.RELAY_BACKOFF_MAX_SECONDS))
    assert services.dispatch("customs") == 0, "its next try is not due"
    assert typed("relay_resend", "--partner", "customs", "--state", "queued", "--yes").status == 0
    services.dispatch("customs")
    assert set(boxes.out_files()) == {later.file_name}
    assert row()["failing"] == 0
    assert outbound(message).state == OutboundState.SENT


def test_a_receipt_that_will_not_come(boxes: Boxes, application: Application) -> None:
    message, younger = queue(1), queue(1, version=2)
    services.dispatch("customs")
    boxes.take_all()
    OutboundMessage.objects.filter(pk=message.pk).update(sent_at=timezone.now() - timedelta(days=2))
    found = typed("check_consistency", "--json")
    assert found.status == 3
    (finding,) = found.json["findings"]
    assert finding["check"] == "relay.no_receipt"
    assert f"manage.py relay_settle {message.message_id} --delivered" in finding["to_do"]
    assert typed("relay_settle", message.message_id, "--delivered", "--reason", "王科，10:20", "--yes").status == 0
    assert application.delivered == [message.subject]
    services.dispatch("customs")
    assert set(boxes.out_files()) == {younger.file_name}


def test_a_message_that_is_never_taken(boxes: Boxes, application: Application) -> None:
    message = queue()
    services.dispatch("customs")
    assert typed("relay_settle", message.message_id, "--not-delivered", "--reason", "王科，10:20", "--yes").status == 0
    services.withdraw_refused("customs")
    assert boxes.out_files() == {}
    assert [subject for subject, _, _ in application.refused] == [message.subject]
    make_due(message)
    assert services.dispatch("customs") == 0


def test_a_quarantine_whose_cause_was_ours(boxes: Boxes, application: Application) -> None:
    application.problem = RuntimeError("a bug")
    boxes.put(receipt())
    for _ in range(settings.RELAY_HANDLER_ATTEMPTS):
        services.receive("customs")
        InboundMessage.objects.update(due_at=timezone.now())
    (found,) = typed("relay_quarantine", "list", "--code", "HANDLER_FAILED", "--json").json["messages"]
    application.problem = None
    assert typed("relay_quarantine", "retry", found["id"]).status == 0
    services.receive("customs")
    assert application.events == ["STORED"]
    assert typed("relay_quarantine", "list", "--json").json["messages"] == []


def test_customs_itself_drops_what_is_sent_again_and_receipts_it(boxes: Boxes, application: Application) -> None:
    """With the simulator in a process of its own: one id in its journal, and the message ends delivered both times."""
    office = Office(boxes.home)
    office.start()
    try:
        message = queue()

        def ends_delivered() -> bool:
            services.receive("customs")
            services.dispatch("customs")
            return outbound(message).state == OutboundState.DELIVERED

        until(ends_delivered, "the receipt")
        typed("relay_resend", message.message_id, "--yes")
        assert outbound(message).state == OutboundState.QUEUED
        until(ends_delivered, "the receipt once more")
        assert outbound(message).attempts == 2
        assert [line["message_id"] for line in office.journal()] == [str(message.message_id)]
        until(lambda: services.receive("customs") is not None and "STORED" in application.events, "the answer")
        assert application.events.count("STORED") == 1
    finally:
        office.stop()
