"""docs/operations/relay.md, tried: what goes wrong with what comes in, and the quarantine."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from structlog.testing import capture_logs

from relay import services
from relay.models import InboundMessage, InboundState
from relay.registry import MessageRefused
from relay.services import handling
from tests.relay.channel_contract import expire_leases
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, inbound, make_due
from tests.relay.messages import read_fields, receipt
from tests.relay.runbook import row, traffic, tries, type_in, without_rights

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes"), pytest.mark.covers("RLY-04")]

UNHANDLED = "look-here-first/received_unhandled stays above 0"
QUARANTINED = "look-here-first/quarantined is more than it was"
#: Stand above the table of "In quarantine".
LIST, SHOW = "manage.py relay_quarantine list", "manage.py relay_quarantine show 4711"


def number_of(code: str) -> int:
    """The one message in quarantine, as its row says an operator finds it."""
    row(QUARANTINED).says("quarantined")
    listed = type_in(LIST).out.splitlines()
    assert len(listed) == 2
    assert code in listed[1]
    number = int(listed[1].split()[0])
    assert f"reason_code: {code}" in type_in(SHOW, _4711=number).out
    return number


# -- What came in is not handled ------------------------------------------------------------------


@tries("handler-fails", "handler-failed", UNHANDLED)
def test_a_handler_fails(boxes: Boxes, application: Application) -> None:
    application.problem = RuntimeError("a bug")
    boxes.put(receipt())
    with capture_logs() as log:
        services.receive("customs")
    row("handler-fails").logged(log, "relay_handler_failed")
    row(UNHANDLED).says("received_unhandled")
    assert (traffic("SGW102")["received_unhandled"], inbound().reason_code) == (1, "RETRY")
    for _ in range(settings.RELAY_HANDLER_ATTEMPTS - 1):
        make_due(inbound())
        services.receive("customs")
    row("handler-failed").says("HANDLER_FAILED")
    number = number_of("HANDLER_FAILED")
    application.problem = None
    row("handler-failed").type(_4711=number)
    services.receive("customs")
    assert application.events == ["STORED"]
    assert (traffic("SGW102")["received_unhandled"], traffic("SGW102")["quarantined"]) == (0, 0)


@tries("handler-fails")
def test_a_handler_is_repaired_in_time(boxes: Boxes, application: Application) -> None:
    application.problem = RuntimeError("a bug")
    boxes.put(receipt())
    services.receive("customs")
    application.problem = None
    make_due(inbound())
    services.receive("customs")
    assert application.events == ["STORED"]


@tries("nobody-handles", UNHANDLED)
def test_nobody_handles(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker ends between storing and handling, and none comes after it."""
    boxes.put(receipt())

    class Ended(BaseException):
        pass

    def end(_partner: str) -> int:
        raise Ended

    with monkeypatch.context() as patch, capture_logs() as log:
        patch.setattr("relay.services.storing.handle", end)
        with pytest.raises(Ended):
            services.receive("customs")
    row("nobody-handles").says("received_unhandled", "relay_handler_failed")
    assert traffic("SGW102")["received_unhandled"] == 1
    assert "relay_handler_failed" not in {entry["event"] for entry in log}
    services.receive("customs")
    assert traffic("SGW102")["received_unhandled"] == 0


@tries("inbox-denied")
def test_our_account_may_not_read_delete_or_move(boxes: Boxes, application: Application, settings: Any) -> None:
    services.receive("customs")
    name = boxes.put(receipt())
    path = boxes.home / "InBox" / name
    here = row("inbox-denied")
    with without_rights(path, 0o000), capture_logs() as log:
        assert services.receive("customs") == 0
    here.logged(log, "inbox_file_unreadable")
    settings.RELAY_MAX_MESSAGE_BYTES = 5000
    boxes.put(b"x" * 5001)
    with without_rights(boxes.home / "InBox"), capture_logs() as log:
        for _ in range(3):
            services.receive("customs")
    here.logged(log, "inbox_file_not_deleted", "inbox_file_not_set_aside")
    assert application.events == ["STORED"], "stored and handled once"
    assert inbound(state=InboundState.HANDLED).repeats == 2, "looked at with every beat"
    assert services.dispatch("customs") == 2, "and each answered once"
    services.receive("customs")
    assert boxes.names("InBox") == []


@tries("lease-lost")
def test_a_worker_is_held_up(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between taking a message and handling it its lease runs out, and another worker does the work."""
    boxes.put(receipt())
    with monkeypatch.context() as patch:
        patch.setattr("relay.services.storing.handle", lambda partner: 0)
        services.receive("customs")
    held_up = handling.load(handling.claim("customs", token := uuid4()), token)
    expire_leases()
    assert handling.handle("customs") == 1
    with capture_logs() as log:
        handling._handle_alone(held_up[0], token)
    row("lease-lost").logged(log, "relay_lease_lost")
    assert inbound().state == InboundState.HANDLED
    assert inbound().attempts == 2


@tries("batch-taken-apart")
def test_what_is_handled_together_fails_and_each_by_itself_does_not(
    boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a deadlock: nothing else would say that there was one."""
    for number in (1, 2):
        boxes.put(receipt(number=number))
    run = handling._run_in_transaction

    def deadlock(messages: Sequence[InboundMessage], token: UUID) -> list[str]:
        monkeypatch.setattr(handling, "_run_in_transaction", run)
        raise OperationalError("deadlock detected")

    monkeypatch.setattr(handling, "_run_in_transaction", deadlock)
    with capture_logs() as log:
        services.receive("customs")
    here = row("batch-taken-apart")
    here.logged(log, "relay_batch_taken_apart")
    assert "exception" in here.codes(1)
    assert [entry["exc_info"] for entry in log if entry["event"] == "relay_batch_taken_apart"] == [True], "with its traceback"
    assert "relay_handler_failed" not in {entry["event"] for entry in log}
    assert application.events == ["STORED"] * 2


def test_a_refused_message_in_a_batch_is_told_once(boxes: Boxes, application: Application) -> None:
    application.problem = MessageRefused("NO_ORIGINAL", "speaks of nothing of ours")
    boxes.put(receipt())
    with capture_logs() as log:
        services.receive("customs")
    assert [entry["event"] for entry in log if entry["log_level"] == "warning"] == ["relay_quarantined"]


@tries("batch-unreadable")
def test_a_row_that_python_cannot_hold(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        boxes.put(receipt(number=number))
    with monkeypatch.context() as patch:
        patch.setattr("relay.services.storing.handle", lambda partner: 0)
        services.receive("customs")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE relay_inboundmessage SET send_time = '20000-01-01' WHERE id = (SELECT min(id) FROM relay_inboundmessage)")
    with capture_logs() as log:
        services.receive("customs")
    row("batch-unreadable").logged(log, "relay_batch_unreadable")
    assert "UNREADABLE_ROW" in row("batch-unreadable").codes(1)
    assert application.events == ["STORED"], "the other one was handled"
    row("handler-failed").type(_4711=number_of("UNREADABLE_ROW"))
    services.receive("customs")
    assert application.events == ["STORED"] * 2


# -- In quarantine --------------------------------------------------------------------------------


@tries("unreadable", QUARANTINED)
def test_what_cannot_be_read_since_its_handler_is_missing(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes.put(receipt())
    with monkeypatch.context() as patch, capture_logs() as log:
        patch.setattr("relay.registry._inbound", {})
        services.receive("customs")
    row("unreadable").logged(log, "relay_quarantined")
    row("unreadable").says("quarantined", "UNKNOWN_TYPE")
    assert traffic("SGW102")["quarantined"] == 1
    assert told(boxes) == ["REJECTED", "UNKNOWN_TYPE"]
    row("unreadable").type(_4711=number_of("UNKNOWN_TYPE"))
    services.receive("customs")
    assert application.events == ["STORED"]
    assert traffic("SGW102")["quarantined"] == 0


@tries("too-large")
def test_what_is_too_large_is_put_aside_and_read_after_all(boxes: Boxes, application: Application, settings: Any) -> None:
    content = receipt()
    settings.RELAY_MAX_MESSAGE_BYTES = len(content) - 1
    boxes.put(content)
    services.receive("customs")
    number = number_of("TOO_LARGE")
    here = row("too-large")
    here.says("TOO_LARGE")
    kept_as = typed("relay_quarantine", "show", number, "--json").json["kept_as"]
    assert re.fullmatch("inbound-.*", kept_as)
    assert {"inbound-…", "kept_as"} <= set(here.codes(1))
    assert told(boxes) == ["REJECTED", "TOO_LARGE"]
    assert "RELAY_MAX_MESSAGE_BYTES" in here.codes(2)
    settings.RELAY_MAX_MESSAGE_BYTES = len(content)
    (boxes.home / "FailBox" / kept_as).rename(boxes.home / "InBox" / "SGW102_again.xml")
    services.receive("customs")
    assert application.events == ["STORED"]
    here.type(_4711=number)
    assert not InboundMessage.objects.filter(state=InboundState.QUARANTINED).exists()


@tries("not-a-file")
def test_what_is_no_file_is_put_aside_and_sent_anew(boxes: Boxes, application: Application) -> None:
    services.receive("customs")
    real = boxes.home / "real"
    real.write_bytes(receipt())
    (boxes.home / "InBox" / f"SGW102_{uuid4()}.xml").symlink_to(real)
    services.receive("customs")
    number = number_of("NOT_A_FILE")
    here = row("not-a-file")
    here.says("NOT_A_FILE")
    assert told(boxes) == ["REJECTED", "NOT_A_FILE"]
    kept_as = typed("relay_quarantine", "show", number, "--json").json["kept_as"]
    assert (boxes.home / "FailBox" / kept_as).is_symlink()
    boxes.put(real.read_bytes())
    services.receive("customs")
    assert application.events == ["STORED"]
    here.type(_4711=number)
    assert not InboundMessage.objects.filter(state=InboundState.QUARANTINED).exists()


def told(boxes: Boxes) -> Sequence[str]:
    """What the partner is told."""
    services.dispatch("customs")
    (answer,) = boxes.take_all().values()
    return read_fields(answer, "Result", "Code")
