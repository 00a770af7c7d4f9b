"""The workers' tasks, the registry, and what an operator asks."""

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from relay import lanes, registry, services, tasks
from relay.models import Lane, OutboundMessage, OutboundState
from relay.services import dispatching, handling
from tests.relay.conftest import Application, Boxes, outbound, queue
from tests.relay.messages import receipt, technical

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application")]


def status() -> dict[tuple[str, str], dict[str, Any]]:
    """`relay_status --json` by partner and type."""
    out = StringIO()
    call_command("relay_status", "--json", stdout=out)
    return {(row["partner"], row["message_type"]): row for row in json.loads(out.getvalue())["traffic"]}


@pytest.mark.covers("RLY-04")
def test_status_tells_what_waits_and_for_how_long(boxes: Boxes, application: Application) -> None:
    messages = [queue(number) for number in range(1, 5)]
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(messages[0].message_id))
    boxes.put(technical(messages[1].message_id, result="REJECTED", code="SCHEMA"))
    boxes.put(b"junk", "junk.xml")
    services.receive("customs")
    application.problem = RuntimeError("a bug")
    boxes.put(receipt(in_reply_to=messages[2].message_id))
    services.receive("customs")
    queue(5)
    OutboundMessage.objects.filter(pk=messages[3].pk).update(created_at=timezone.now() - timedelta(seconds=300))
    rows = status()
    filings = rows["customs", "SGW101"]
    assert (filings["queued"], filings["awaiting_receipt"], filings["refused"]) == (1, 2, 1)
    assert 300 <= filings["oldest_unfinished_seconds"] < 360
    receipts = rows["customs", "SGW102"]
    assert receipts["received_unhandled"] == 1
    assert receipts["oldest_unhandled_seconds"] < 60
    assert receipts["last_received_at"] is not None
    assert rows["customs", ""]["quarantined"] == 1
    assert rows["customs", "RCV001"]["queued"] == 2, "our receipts for the receipt and for the junk"


def test_status_for_people(boxes: Boxes) -> None:
    out = StringIO()
    call_command("relay_status", stdout=out)
    assert "no traffic" in out.getvalue()
    queue()
    out = StringIO()
    call_command("relay_status", stdout=out)
    header, row = out.getvalue().splitlines()
    assert header.split()[:3] == ["partner", "message_type", "queued"]
    assert row.split()[:3] == ["customs", "SGW101", "1"]


@pytest.mark.covers("RLY-04")
def test_status_reads_no_finished_rows() -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        status()
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        for query in queries.captured_queries:
            cursor.execute(f"EXPLAIN {query['sql']}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan, f"{query['sql']}\n{plan}"
        cursor.execute("RESET enable_seqscan")


def test_claims_stand_on_partial_indexes() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        for statement in (dispatching._CLAIM, handling._CLAIM):
            cursor.execute(f"EXPLAIN {statement}", {"token": None, "lease": 60, "partner": "customs", "limit": 100, "bytes": 1000})
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan, plan
            assert re.search(r"relay_(out|in)_(due|order|ready)", plan), plan
        cursor.execute("RESET enable_seqscan")


@pytest.mark.covers("RLY-01")
def test_sweep_sends_what_nobody_was_woken_for(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.services.outbox.wake", lambda _partner: None)
    message = queue()
    tasks.sweep()
    assert set(boxes.out_files()) == {message.file_name}
    (boxes.home / "OutBox" / message.file_name).rename(boxes.home / "FailBox" / message.file_name)
    tasks.sweep()
    assert outbound(message).state == OutboundState.REFUSED


def test_receive_task_takes_what_came(boxes: Boxes, application: Application) -> None:
    boxes.put(receipt())
    tasks.receive()
    assert application.events == ["STORED"]


def test_dispatch_task_sends_to_the_partner_it_names(boxes: Boxes) -> None:
    message = queue()
    tasks.dispatch("customs")
    assert set(boxes.out_files()) == {message.file_name}


def test_broken_partner_does_not_hold_up_the_others(boxes: Boxes, settings: Any) -> None:
    settings.RELAY_PARTNERS = {"broken": {"channel": "directory"}, "customs": {"channel": "directory"}}
    (boxes.home.parent / "broken").write_text("a file where a directory should be")
    message = queue()
    with pytest.raises(OSError, match="broken"):
        tasks.dispatch()
    assert set(boxes.out_files()) == {message.file_name}


def test_tasks_have_the_names_the_settings_use() -> None:
    current_app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in django_settings.CELERY_BEAT_SCHEDULE.values() if entry["task"].startswith("relay.")}
    assert scheduled == {"relay.sweep", "relay.receive", "relay.watch", "relay.empty_old"}
    assert scheduled | {"relay.dispatch"} <= set(current_app.tasks)


def test_types_are_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_inbound", {})
    monkeypatch.setattr(registry, "_outbound", {})

    def one(_message: registry.Incoming) -> None:
        return None

    def two(_message: registry.Incoming) -> None:
        return None

    registry.register_inbound("INS101", one, partner="ccpit")
    registry.register_inbound("INS101", one, partner="ccpit")
    with pytest.raises(ImproperlyConfigured):
        registry.register_inbound("INS101", two, partner="ccpit")
    with pytest.raises(ImproperlyConfigured):
        registry.register_inbound("INS101", one, partner="customs")
    registry.register_outbound("INS201")
    with pytest.raises(ImproperlyConfigured):
        registry.register_outbound("INS201", on_delivered=lambda _ref, _at: None)
    assert registry.inbound_types() == ["INS101"]


def test_lane_is_held_by_one_and_runs_out() -> None:
    first = lanes.take("job")
    assert first is not None
    assert lanes.take("job") is None
    assert lanes.renew("job", first)
    Lane.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    second = lanes.take("job")
    assert second is not None
    assert not lanes.renew("job", first)
    lanes.release("job", first)
    assert lanes.take("job") is None, "who has lost it cannot give it away"
    lanes.release("job", second)
    assert lanes.take("job") is not None
