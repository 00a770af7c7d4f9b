"""docs/operations/relay.md, tried: what comes up, and its tables of words; what goes wrong is in the other `test_runbook_*`."""

import itertools
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from core.models import AuditEntry
from core.workflow import ActionRefused
from portal.celery import app
from relay import queries, registry, services
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState
from relay.schemas import SchemaViolationError
from relay.services.operations import ResendOutcome
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, make_due, outbound, queue
from tests.relay.messages import read_fields, receipt, technical
from tests.relay.rows import make_alert, make_outbound
from tests.relay.runbook import commands_in, findings, of_section, row, traffic, tries, type_in
from tests.simulators.test_customs import Office, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("RLY-04")]

ROOT = Path(settings.BASE_DIR)
COMMANDS = "commands"


# -- What comes up, and what to type ----------------------------------------------------------------


def delivered(boxes: Boxes, number: int) -> OutboundMessage:
    """A message that arrived."""
    message = queue(number)
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(message.message_id))
    services.receive("customs")
    return message


@tries("partner-away")
def test_a_partner_that_is_away(boxes: Boxes) -> None:
    first = delivered(boxes, 1)
    here = row("partner-away")
    here.type("relay_pause")
    messages = [queue(number) for number in (2, 3)]
    boxes.put(receipt(number=1, in_reply_to=first.message_id))
    services.receive("customs")
    services.dispatch("customs")
    assert boxes.out_files() == {}
    assert traffic()["queued"] == 2
    assert traffic()["paused"] == "停机至 18:00"
    assert InboundMessage.objects.get(message_type="SGW102").state == InboundState.HANDLED
    here.type("relay_resume")
    services.dispatch("customs")
    assert {message.file_name for message in messages} <= set(boxes.out_files())


@tries("one-type")
def test_one_type_does_harm(boxes: Boxes) -> None:
    row("one-type").type("relay_pause")
    message = queue()
    boxes.put(receipt(number=5))
    services.receive("customs")
    services.dispatch("customs")
    assert list(boxes.out_files("SGW101")) == []
    assert len(boxes.take_all()) == 1, "our receipt goes on"
    row("one-type").type("relay_resume")
    services.dispatch("customs")
    assert list(boxes.out_files()) == [message.file_name]


@tries("partner-lost-it")
def test_a_partner_that_lost_what_it_had_taken(boxes: Boxes, application: Application) -> None:
    messages = [delivered(boxes, number) for number in (1, 2, 3)]
    trial, again = row("partner-lost-it").commands
    assert again == f"{trial} --yes"
    since = datetime.fromisoformat(re.findall(r"--since (\S+)", trial)[0])
    OutboundMessage.objects.filter(pk=messages[0].pk).update(created_at=timezone.make_aware(since) - timedelta(minutes=1))
    told = list(application.delivered)
    assert "dry run: nothing was changed" in type_in(trial).out
    type_in(again)
    services.dispatch("customs")
    assert boxes.take_all() == {message.file_name: bytes(message.content) for message in messages[1:]}
    assert (application.delivered, application.refused) == (told, []), "the filings keep their states"
    assert "RELAY_RECEIPT_TIMEOUT_SECONDS" in row("partner-lost-it").codes(2)
    for message in messages[1:]:
        waits = outbound(message).due_at - timezone.now()
        assert timedelta(0) < waits <= timedelta(seconds=settings.RELAY_RECEIPT_TIMEOUT_SECONDS)
        make_due(message)
    assert services.dispatch("customs") == 0
    assert {outbound(message).state for message in messages} == {OutboundState.DELIVERED}


@tries("directory-back")
def test_a_directory_that_is_gone_and_back(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    later = queue(2)
    (boxes.home / "OutBox" / later.file_name).mkdir()
    services.dispatch("customs")
    assert traffic()["failing"] == 1
    (boxes.home / "OutBox" / later.file_name).rmdir()
    OutboundMessage.objects.filter(pk=later.pk).update(due_at=timezone.now() + timedelta(seconds=settings.RELAY_BACKOFF_MAX_SECONDS))
    assert services.dispatch("customs") == 0, "its next try is not due"
    row("directory-back").type()
    services.dispatch("customs")
    assert set(boxes.out_files()) == {later.file_name}
    assert traffic()["failing"] == 0
    assert outbound(message).state == OutboundState.SENT


@tries("no-receipt-comes", "each-monday", "look-here-first/nothing of all this, and still filings hang")
def test_a_receipt_that_will_not_come(boxes: Boxes, application: Application) -> None:
    message, younger = queue(1), queue(1, version=2)
    services.dispatch("customs")
    boxes.take_all()
    OutboundMessage.objects.filter(pk=message.pk).update(sent_at=timezone.now() - timedelta(days=2))
    (finding,) = findings("relay.no_receipt")
    row("each-monday").type(status=3)
    found = row("look-here-first/nothing of all this, and still filings hang").type(status=3).out
    assert commands_in(finding["to_do"])[0] in found
    row("no-receipt-comes").type(MESSAGE_ID=message.message_id)
    assert application.delivered == [message.subject]
    services.dispatch("customs")
    assert set(boxes.out_files()) == {younger.file_name}
    assert row("each-monday").type().out.strip() == "all is well"


@tries("never-taken")
def test_a_message_that_is_never_taken(boxes: Boxes, application: Application) -> None:
    message = queue()
    services.dispatch("customs")
    row("never-taken").type(MESSAGE_ID=message.message_id)
    services.withdraw_refused("customs")
    assert boxes.out_files() == {}
    assert [subject for subject, _, _ in application.refused] == [message.subject]
    make_due(message)
    assert services.dispatch("customs") == 0


@tries("ours-and-mended")
def test_a_quarantine_whose_cause_was_ours(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our schema was wrong."""
    for number in (1, 2):
        boxes.put(receipt(number=number))

    def too_strict(_root: object, message_type: str) -> None:
        if message_type == "SGW102":
            raise SchemaViolationError("our mistake")

    with monkeypatch.context() as patch:
        patch.setattr("relay.envelope.schemas.validate", too_strict)
        services.receive("customs")
    here = row("ours-and-mended")
    first, second = (line.split()[0] for line in here.type("relay_quarantine list").out.splitlines()[1:])
    here.type("relay_quarantine retry", _4711=first, _4712=second)
    services.receive("customs")
    assert application.events == ["STORED"] * 2
    assert typed("relay_quarantine", "list", "--json").json["messages"] == []


@tries("nobody-wants-it")
def test_a_quarantine_that_nobody_wants(boxes: Boxes) -> None:
    boxes.put(b"a test of theirs")
    services.receive("customs")
    number = InboundMessage.objects.get().pk
    assert "a test of theirs" in row("nobody-wants-it").type("relay_quarantine show", _4711=number).out
    row("nobody-wants-it").type("relay_quarantine discard", _4711=number)
    assert traffic("")["quarantined"] == 0
    assert bytes(InboundMessage.objects.get().content) == b"a test of theirs", "kept"


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


# -- How it works, and the fields of relay_status ---------------------------------------------------

_SCHEDULE = {
    "relay.sweep": "relay-sweep",
    "relay.receive": "relay-receive",
    "relay.empty_old": "relay-empty-old",
    "relay.watch": "relay-watch",
}


@tries(*(f"how-it-works/{name}" for name in ("relay.dispatch", "relay.sweep", "relay.receive", "relay.empty_old", "relay.watch")))
def test_the_jobs_run_when_the_page_says() -> None:
    for name, told in of_section("how-it-works").items():
        assert name in app.tasks
        if name == "relay.dispatch":
            continue
        when = settings.CELERY_BEAT_SCHEDULE[_SCHEDULE[name]]
        assert when["task"] == name
        if told.cells[1] == "each minute":
            assert when["schedule"] == 60
        elif isinstance(when["schedule"], float):
            (setting,) = told.codes(1)
            assert when["schedule"] == getattr(settings, setting)
            assert f"({when['schedule']:g})" in told.cells[1]
        else:
            assert {f"{hour:02}:{minute:02}" for hour in when["schedule"].hour for minute in when["schedule"].minute} == {told.cells[1]}


#: Field → what it says in the test below, of filings unless it says otherwise.
FIELDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "queued": lambda said: said["queued"] == 2,
    "awaiting_receipt": lambda said: said["awaiting_receipt"] == 1,
    "refused": lambda said: said["refused"] == 1,
    "oldest_unfinished_seconds": lambda said: said["oldest_unfinished_seconds"] >= 100,
    "failing": lambda said: said["failing"] == 1,
    "last_error, last_error_at": lambda said: "Is a directory" in said["last_error"] and bool(said["last_error_at"]),
    "last_refusal_code, last_refusal_text": lambda said: (said["last_refusal_code"], said["last_refusal_text"]) == ("SCHEMA", "no"),
    "paused": lambda said: said["paused"] == "停机",
    "sent_per_minute, failed_per_minute, received_per_minute": lambda said: (
        (said["sent_per_minute"], said["failed_per_minute"]) == (2 / 5, 1 / 5)
        and (traffic("")["received_per_minute"], queries.RATE_SECONDS) == (1 / 5, 300)
    ),
    "alerts": lambda _: [one["kind"] for one in typed("relay_status", "--json").json["alerts"]] == ["quarantine"],
    "received_unhandled": lambda _: traffic("SGW102")["received_unhandled"] == 1,
    "oldest_unhandled_seconds": lambda _: traffic("SGW102")["oldest_unhandled_seconds"] >= 100,
    "quarantined": lambda _: traffic("")["quarantined"] == 1,
    "last_received_at": lambda said: bool(traffic("SGW102")["last_received_at"]) and said["last_received_at"] is None,
}


@tries(*(f"each-field-of-relay_status/{name}" for name in FIELDS))
def test_every_field_says_what_the_page_says(boxes: Boxes, application: Application) -> None:
    told = {name for key in FIELDS for name in key.split(", ")}
    assert told - {"alerts"} | {"partner", "message_type"} == set(asdict(queries.Traffic("", "")))
    refused, waits, fails = queue(1), queue(2), queue(3)
    (boxes.home / "OutBox" / fails.file_name).mkdir(parents=True)
    services.dispatch("customs")
    (boxes.home / "OutBox" / fails.file_name).rmdir()
    boxes.put(technical(refused.message_id, result="REJECTED", code="SCHEMA", note="no"))
    services.receive("customs")
    application.problem = RuntimeError("a bug")
    boxes.put(receipt(number=9))
    boxes.put(b"junk")
    services.receive("customs")
    typed("relay_pause", "--type", "SGW101", "--reason", "停机")
    queue(4)
    make_alert()
    past = timezone.now() - timedelta(seconds=100)
    OutboundMessage.objects.filter(pk=waits.pk).update(created_at=past)
    InboundMessage.objects.filter(state=InboundState.READY).update(received_at=past)
    said = traffic()
    assert [name for name, holds in FIELDS.items() if not holds(said)] == []


# -- Codes ------------------------------------------------------------------------------------------


def told(boxes: Boxes) -> list[tuple[str, ...]]:
    """What our receipts to the partner say now."""
    services.dispatch("customs")
    return sorted(tuple(read_fields(content, "Result", "Code")) for name, content in boxes.take_all().items() if name.startswith("RCV001"))


def in_quarantine() -> set[str]:
    """The codes there."""
    return set(InboundMessage.objects.filter(state=InboundState.QUARANTINED).values_list("reason_code", flat=True))


@tries("codes/quarantine, answered with RCV001 REJECTED")
def test_codes_of_what_is_refused(boxes: Boxes, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = set(row("codes/quarantine, answered with RCV001 REJECTED").codes(1))
    settings.RELAY_MAX_MESSAGE_BYTES = 6000
    settings.RELAY_PARTNERS = settings.RELAY_PARTNERS | {"ccpit": {"channel": "directory"}}
    reused = uuid4()
    services.receive("customs")
    (boxes.home / "InBox" / f"SGW102_{uuid4()}.xml").mkdir()
    for content in (
        b"junk",
        receipt().replace(b"?>", b'?><!DOCTYPE p SYSTEM "x.dtd">', 1),
        b"<html/>",
        receipt().replace(b">SGW102<", b">XYZ999<"),
        receipt(event="NO_SUCH_EVENT"),
        receipt().replace(b">customs<", b">somebody<"),
        receipt().replace(b">LNSW<", b">somebody<"),
        receipt(message_id=reused),
        receipt(message_id=reused, event="CLOSED"),
        b"x" * 6001,
    ):
        boxes.put(content)
    theirs = Boxes(boxes.home.parent / "ccpit")
    theirs.put(receipt().replace(b">customs<", b">ccpit<"))
    services.receive("customs")
    services.receive("ccpit")
    monkeypatch.setitem(registry._inbound, "SGW102", replace(registry._inbound["SGW102"], answers="SGW101"))
    boxes.put(receipt())
    services.receive("customs")
    assert in_quarantine() == codes
    services.dispatch("ccpit")
    answers = told(boxes) + told(theirs)
    assert sorted(answers) == sorted([*(("REJECTED", code) for code in codes), ("STORED",)])


@tries("codes/quarantine, not answered")
def test_codes_of_receipts_that_are_refused(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(message.message_id, in_reply_to=uuid4()), f"RCV001_{uuid4()}.xml")
    boxes.put(b"junk", f"RCV001_{uuid4()}.xml")
    boxes.put(technical(message.message_id, result="REJECTED"))
    services.receive("customs")
    boxes.put(technical(message.message_id))
    services.receive("customs")
    codes = set(row("codes/quarantine, not answered").codes(1))
    assert in_quarantine() == codes | {"NOT_XML"}
    assert told(boxes) == []


@tries("codes/quarantine, answered STORED before", "codes/reason_code of a message that waits for another try")
def test_codes_of_what_was_readable(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = set(row("codes/quarantine, answered STORED before").codes(1)) - {"STORED"}
    first, second = queue(1), queue(2)
    services.dispatch("customs")
    boxes.take_all()
    route = replace(registry._inbound["SGW102"], answers="SGW101", subject_of=lambda business: "smartgate.filing:1")
    with monkeypatch.context() as patch:
        patch.setitem(registry._inbound, "SGW102", route)
        boxes.put(receipt(number=1, in_reply_to=second.message_id))
        services.receive("customs")
    assert in_quarantine() == {"WRONG_ORIGINAL"}
    application.problem = registry.MessageRefused("UNKNOWN_FILING", "no such filing")
    boxes.put(receipt(number=9))
    services.receive("customs")
    application.problem = RuntimeError("a bug")
    boxes.put(receipt(number=1, in_reply_to=first.message_id))
    services.receive("customs")
    waiting = InboundMessage.objects.get(state=InboundState.READY)
    assert [waiting.reason_code] == row("codes/reason_code of a message that waits for another try").codes(1)
    InboundMessage.objects.filter(pk=waiting.pk).update(attempts=settings.RELAY_HANDLER_ATTEMPTS, due_at=timezone.now())
    services.receive("customs")
    with monkeypatch.context() as patch:
        patch.setattr("relay.services.storing.handle", lambda partner: 0)
        boxes.put(receipt(number=4))
        services.receive("customs")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE relay_inboundmessage SET send_time = '20000-01-01' WHERE state = 'ready'")
    services.receive("customs")
    assert in_quarantine() == codes
    assert told(boxes) == [("STORED",)] * 4


@tries("codes/reason_code of an outgoing message, and on_refused")
def test_codes_of_what_the_partner_refuses(boxes: Boxes, application: Application) -> None:
    codes = row("codes/reason_code of an outgoing message, and on_refused").codes(1)
    messages = [queue(number) for number in (1, 2, 3, 4, 5)]
    services.dispatch("customs")
    for message, code in zip(messages, ("SIGNED_TEXT", "SIGNATURE", "THEIR_OWN", ""), strict=False):
        boxes.put(technical(message.message_id, result="REJECTED", code=code))
    (boxes.home / "OutBox" / messages[4].file_name).rename(boxes.home / "FailBox" / messages[4].file_name)
    services.collect_returned("customs")
    services.receive("customs")
    expected = ["SIGNED_TEXT", "SIGNATURE", "THEIR_OWN", "REJECTED", "FAIL_BOX"]
    assert set(expected) - {"THEIR_OWN"} <= set(codes)
    assert [outbound(message).reason_code for message in messages] == expected
    assert {code for _, code, _ in application.refused} == set(expected)


# -- Commands ---------------------------------------------------------------------------------------

#: What stands in the table, and words with which it is typed in the test below.
TYPED = {
    "relay_status": "relay_status",
    "relay_pause [--partner P] [--type T] --reason TEXT": "relay_pause --partner customs --type SGW101 --reason x",
    "relay_resume [--partner P] [--type T], --all": "relay_resume --partner customs --type SGW101",
    "relay_resend MESSAGE_ID or filters --partner --type --state --since --until --subject": "relay_resend --partner customs",
    "relay_settle MESSAGE_ID --delivered\\|--not-delivered --reason TEXT": "relay_settle MESSAGE_ID --delivered --reason x",
    "relay_archive list": "relay_archive list",
    "relay_archive show MESSAGE_ID [--to FILE]": "relay_archive show MESSAGE_ID",
    "relay_quarantine list": "relay_quarantine list",
    "relay_quarantine show ID [--to FILE]": "relay_quarantine show 4711",
    "relay_quarantine retry ID …": "relay_quarantine retry 4711",
    "relay_quarantine discard ID … --reason TEXT": "relay_quarantine discard 4711 --reason x",
}


ACTION = re.compile("relay_[a-z]+|list|show|retry|discard")


@tries(*(f"{COMMANDS}/{words}" for words in TYPED), f"{COMMANDS}/0")
def test_every_command_does_and_answers_in_json(boxes: Boxes, settings: Any, tmp_path: Path) -> None:
    """Each with every option that the page names; --operator is kept in the trail. The message is too young for the archive."""
    settings.RELAY_ARCHIVE_DIR = tmp_path / "archive"
    ours = {path.stem for path in (ROOT / "relay/management/commands").glob("relay_*.py")}
    assert {words.split()[0] for words in TYPED} == ours
    message = queue()
    services.dispatch("customs")
    boxes.put(b"junk")
    services.receive("customs")
    number = InboundMessage.objects.get().pk
    for told_words, words in TYPED.items():
        for option in re.findall(r"--[a-z-]+", told_words):
            assert option in typed(*itertools.takewhile(ACTION.fullmatch, words.split()), "--help").out
        services.receive("customs")
        command = words.replace("MESSAGE_ID", str(message.message_id)).replace("4711", str(number))
        in_database = words.startswith("relay_archive show")
        answer = type_in(f"{command} --json" + ("" if command == "relay_status" else " --operator 王科"), status=int(in_database))
        assert isinstance(answer.json, dict)
    trail = AuditEntry.unscoped.filter(action__startswith="relay.").values_list("actor_name", flat=True)
    assert trail
    assert all(re.fullmatch(r"王科 \(os:\S+\)", name) for name in trail)


@tries(f"{COMMANDS}/1", f"{COMMANDS}/2")
def test_what_is_refused_or_not_understood(boxes: Boxes) -> None:
    before = list(OutboundMessage.objects.values())
    for words in (
        f"relay_settle {uuid4()} --delivered --reason x --yes",
        f"relay_resend {uuid4()} --yes",
        "relay_pause --partner nobody --reason x",
        "relay_quarantine show 1",
    ):
        refusal = type_in(f"{words} --json", status=1)
        assert set(refusal.json["error"]) == {"code", "text"}
        assert refusal.json["error"]["code"] in refusal.err
    for words in ("relay_settle", "relay_pause", "relay_quarantine", "relay_resend --state no-such"):
        type_in(words, status=2)
    assert list(OutboundMessage.objects.values()) == before


@tries(*(f"{COMMANDS}/{outcome.value}" for outcome in ResendOutcome))
def test_what_resending_says_of_each_message(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object) -> None:
        raise ActionRefused("已重新申报")

    monkeypatch.setitem(registry._outbound, "SGW101", replace(registry._outbound["SGW101"], on_requeued=forbid))
    old = timezone.now() - timedelta(days=400)
    made = {
        "queued": make_outbound(),
        "already_queued": make_outbound(state=OutboundState.QUEUED),
        "being_sent": make_outbound(
            state=OutboundState.QUEUED, lease_token=uuid4(), leased_until=timezone.now() + timedelta(seconds=settings.RELAY_LEASE_SECONDS)
        ),
        "emptied": make_outbound(at=old, emptied_at=old, sha256=b"x" * 32, content=b""),
        "forbidden": make_outbound(state=OutboundState.REFUSED),
    }
    for outcome, message in made.items():
        (said,) = typed("relay_resend", message.message_id, "--yes", "--json").json["messages"]
        assert said["outcome"] == outcome
        assert said["text"] == ("已重新申报" if outcome == "forbidden" else "")
    OutboundMessage.objects.filter(pk=made["being_sent"].pk).update(leased_until=timezone.now())
    assert typed("relay_resend", made["being_sent"].message_id, "--yes", "--json").json["counts"]["already_queued"] == 1
