"""`relay_quarantine`: what was set aside, shown safely, run again, given up."""

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from core.models import AuditEntry
from relay import services
from relay.models import InboundMessage, InboundState
from relay.services import NotInQuarantineError, retry_quarantined
from relay.shown import SHOWN_BYTES, SHOWN_HEX_BYTES, shown, visible
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, inbound
from tests.relay.messages import receipt

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("RLY-04")]


def set_aside(boxes: Boxes, content: bytes = b"junk", name: str = "junk.xml") -> InboundMessage:
    """Something unreadable that came."""
    boxes.put(content, name)
    services.receive("customs")
    return InboundMessage.objects.filter(state=InboundState.QUARANTINED).latest("pk")


def test_list_shows_what_is_set_aside_oldest_first(boxes: Boxes) -> None:
    first, second = set_aside(boxes), set_aside(boxes, b"<x/>", "other.xml")
    InboundMessage.objects.filter(pk=first.pk).update(received_at=timezone.now() - timedelta(days=2))
    found = typed("relay_quarantine", "list", "--json").json
    assert [(row["id"], row["reason_code"]) for row in found["messages"]] == [(first.pk, "NOT_XML"), (second.pk, "NOT_A_PACKAGE")]
    assert found["more_after"] is None
    for words, expected in (
        (["--code", "NOT_XML"], [first.pk]),
        (["--until", f"{timezone.localdate() - timedelta(days=1)}"], [first.pk]),
        (["--partner", "nobody"], []),
        (["--type", ""], [first.pk, second.pk]),
        (["--type", "SGW102"], []),
        (["--after", first.pk], [second.pk]),
    ):
        assert [row["id"] for row in typed("relay_quarantine", "list", "--json", *words).json["messages"]] == expected
    page = typed("relay_quarantine", "list", "--json", "--limit", 1).json
    assert ([row["id"] for row in page["messages"]], page["more_after"]) == ([first.pk], first.pk)
    text = typed("relay_quarantine", "list", "--limit", 1).out
    assert f"--after {first.pk}" in text


def test_show_gives_the_bytes_safely(boxes: Boxes, tmp_path: Path) -> None:
    evil = "\x1b[2J<script>alert(1)</script>\u202egpj.exe".encode()
    message = set_aside(boxes, evil, "\x1b]0;x\x07.xml")
    plain = typed("relay_quarantine", "show", message.pk)
    assert plain.status == 0
    assert "\x1b" not in plain.out
    assert "\u202e" not in plain.out
    assert f"id: {message.pk}" in plain.out
    found = typed("relay_quarantine", "show", message.pk, "--json").json
    assert base64.b64decode(found["content"]["base64"]) == evil
    assert found["content"]["kind"] == "hex", "an escape makes it no text"
    target = tmp_path / "bytes"
    assert typed("relay_quarantine", "show", message.pk, "--to", target).status == 0
    assert target.read_bytes() == evil
    again = typed("relay_quarantine", "show", message.pk, "--to", target, "--json")
    assert (again.status, again.json["error"]["code"]) == (1, "NOT_WRITTEN")


def test_what_is_shown_is_capped_and_harmless() -> None:
    assert shown("报文 <x>".encode()).text == "报文 <x>"
    assert shown("a\u200bb\u202ec\td\n".encode()).text == "a\\u{200b}b\\u{202e}c\td\n"
    long = shown("文".encode() * SHOWN_BYTES)
    assert (long.kind, long.is_cut, long.size) == ("text", True, 3 * SHOWN_BYTES)
    assert SHOWN_BYTES - 3 <= long.shown <= SHOWN_BYTES
    binary = shown(bytes(range(256)) * 100)
    assert (binary.kind, binary.shown, binary.is_cut) == ("hex", SHOWN_HEX_BYTES, True)
    assert binary.text.splitlines()[2] == "00000020  20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f   !\"#$%&'()*+,-./"
    assert shown("辽".encode("gb18030")).kind == "hex"
    assert shown(b"").kind == "empty"
    assert visible("a\nb") == "a\\u{a}b"


def test_retry_reads_it_again(boxes: Boxes, application: Application) -> None:
    application.problem = services.NotInTransactionError("x")
    message = set_aside(boxes)
    done = typed("relay_quarantine", "retry", message.pk, message.pk, "--json")
    assert (done.status, done.json) == (0, {"action": "retry", "done": [message.pk], "refused": []})
    assert inbound(pk=message.pk).state == InboundState.RECEIVED
    entry = AuditEntry.unscoped.get()
    assert (entry.action, entry.actor_name[:3]) == ("relay.quarantine.retry", "os:")
    again = typed("relay_quarantine", "retry", message.pk, "--json")
    assert (again.status, again.json["refused"][0]["code"]) == (1, "NOT_IN_QUARANTINE")
    services.receive("customs")
    assert inbound(pk=message.pk).state == InboundState.QUARANTINED


def test_discard_keeps_the_message_and_the_reason(boxes: Boxes) -> None:
    message = set_aside(boxes)
    assert typed("relay_quarantine", "discard", message.pk).status == 2, "without a reason"
    blank = typed("relay_quarantine", "discard", message.pk, "--reason", " ", "--json")
    assert (blank.status, blank.json["error"]["code"]) == (1, "REASON_MISSING")
    assert typed("relay_quarantine", "discard", message.pk, "--reason", "测试文件").status == 0
    row = inbound(pk=message.pk)
    assert (row.state, row.outcome, row.reason_code, bytes(row.content)) == (InboundState.DISCARDED, "测试文件", "NOT_XML", b"junk")
    entry = AuditEntry.unscoped.get()
    assert (entry.action, entry.reason) == ("relay.quarantine.discard", "测试文件")
    assert typed("relay_quarantine", "list", "--json").json["messages"] == []
    assert typed("relay_status", "--json").json["traffic"][0]["quarantined"] == 0
    assert typed("relay_quarantine", "discard", message.pk, "--reason", "x").status == 1
    boxes.put(b"junk", "again.xml")
    services.receive("customs")
    assert inbound(pk=message.pk).repeats == 1, "the same bytes again are a repeat, and no new message"


def test_what_was_given_up_can_come_back(boxes: Boxes) -> None:
    message = set_aside(boxes)
    typed("relay_quarantine", "discard", message.pk, "--reason", "x")
    assert typed("relay_quarantine", "retry", message.pk).status == 0
    row = inbound(pk=message.pk)
    assert (row.state, row.outcome) == (InboundState.RECEIVED, "")


def test_one_that_cannot_be_does_not_stop_the_others(boxes: Boxes) -> None:
    message = set_aside(boxes)
    done = typed("relay_quarantine", "discard", 999999999, message.pk, "--reason", "x", "--json")
    assert done.status == 1
    assert done.json["done"] == [message.pk]
    assert done.json["refused"] == [{"id": 999999999, "code": "UNKNOWN_MESSAGE", "text": "there is no such message"}]


@pytest.mark.parametrize("words", [[], ["list", "--until", "x"], ["show"], ["show", "x"], ["retry"], ["eat", "1"]])
def test_bad_input(words: list[str]) -> None:
    assert typed("relay_quarantine", *words).status == 2


def test_unknown_message() -> None:
    assert typed("relay_quarantine", "show", 999999999).status == 1


def test_only_what_is_set_aside_is_retried(boxes: Boxes) -> None:
    boxes.put(receipt())
    services.receive("customs")
    with pytest.raises(NotInQuarantineError):
        retry_quarantined(inbound(message_type="SGW102").pk, actor=None)
