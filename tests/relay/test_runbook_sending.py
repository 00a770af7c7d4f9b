"""docs/operations/relay.md, tried: what goes wrong with what we send through a directory, and with what the workers stand on."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import current_app
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from structlog.testing import capture_logs

from core import broker
from devserver.redis import RedisServer
from relay import registry, services, tasks
from relay.channels.broker import BadBrokerOptionsError
from relay.channels.directory import DirectoryChannel
from relay.models import InboundMessage, OutboundMessage, OutboundState
from tests.relay.channel_contract import end_of_worker, expire_leases, in_another_worker
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, make_due, outbound, queue
from tests.relay.messages import receipt, technical
from tests.relay.runbook import attempts, fill_up, row, small_disk, traffic, tries, type_in, without_rights
from tests.simulators import test_customs
from tests.simulators.test_customs import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("RLY-04")]

#: Stands above the table of "Sending fails".
AT_ONCE = "manage.py relay_resend --partner customs --state queued --yes"
#: What worker and beat may take to come up on a machine that is busy with other tests.
START_SECONDS = 120.0
FAILING = "look-here-first/failing is not 0"
WAITING = "look-here-first/awaiting_receipt grows, and oldest_unfinished_seconds with it"
REFUSED = "look-here-first/refused is more than it was"


@pytest.fixture
def redis(tmp_path: Path, settings: Any) -> Iterator[RedisServer]:
    """A Redis that can be stopped, for cache and workers."""
    server = RedisServer(data=tmp_path / "redis", socket_dir=tmp_path / "s", log=tmp_path / "redis.log", throwaway=True)
    server.start()
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": server.url}}
    yield server
    server.stop()


def told_of(key: str) -> str:
    """What relay_status says below its table, which must be what the row says is seen."""
    assert traffic()["failing"] == 1
    row(FAILING).says("failing")
    told = typed("relay_status").out.split("failing: customs SGW101: ")[1].splitlines()[0]
    row(key).shows(told)
    return told


def goes_now(boxes: Boxes, message: OutboundMessage) -> None:
    """The cause is mended: the message goes when the operator does not wait, and nothing fails any more."""
    assert services.dispatch("customs") == 0, "its next try is not due"
    type_in(AT_ONCE)
    services.dispatch("customs")
    assert message.file_name in boxes.out_files()
    assert traffic()["failing"] == 0


# -- Nobody sends ---------------------------------------------------------------------------------


@tries("no-worker", "look-here-first/queued is not 0, and oldest_unfinished_seconds over 10")
def test_no_worker_runs(boxes: Boxes, redis: RedisServer, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's commands start real processes."""
    message = queue()
    OutboundMessage.objects.update(created_at=timezone.now() - timedelta(seconds=11))
    row("no-worker").says("queued", "failing", "relay_attempt")
    assert (traffic()["queued"], traffic()["failing"], attempts(message)) == (1, 0, [])
    assert traffic()["oldest_unfinished_seconds"] > 10
    environment = os.environ | {
        "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl(),
        "REDIS_URL": redis.url,
        "CELERY_BROKER_URL": redis.broker_url,
        "EXCHANGE_ROOT": str(boxes.home.parent),
        "VAR_DIR": str(tmp_path),
    }
    monkeypatch.setattr(test_customs, "DEADLINE", START_SECONDS)
    commands = [code for code in row("no-worker").codes(2) if code.startswith("celery ")]
    running: list[subprocess.Popen[bytes]] = []
    try:
        with (tmp_path / "log").open("ab") as log:
            for command in commands:
                words = [sys.executable, "-m", *shlex.split(command)]
                running.append(
                    subprocess.Popen(words, cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log, start_new_session=True)
                )
        until(lambda: outbound(message).state == OutboundState.SENT, f"the message, by {commands}")
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert message.file_name in boxes.out_files()


@tries("worker-ended")
def test_a_worker_is_killed_with_a_message_in_hand(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    message = queue()
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryChannel, "send", end_of_worker)
        assert in_another_worker(lambda: services.dispatch("customs")) == -signal.SIGKILL
    assert services.dispatch("customs") == 0, "the dead one's lease holds"
    assert "RELAY_LEASE_SECONDS" in row("worker-ended").codes(1)
    expire_leases()
    assert services.dispatch("customs") == 1
    assert list(boxes.out_files()) == [message.file_name]


@tries("no-redis")
def test_redis_is_away(boxes: Boxes, redis: RedisServer, wakes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app.conf, "broker_write_url", redis.broker_url)
    redis.stop()
    with capture_logs() as log:
        message = queue()
        assert services.dispatch("customs") == 1, "a worker that has its job does it"
        broker._quiet_until = 0.0
        broker.wake(tasks.sweep, [])
    row("no-redis").logged(log, "relay_wake_failed", "relay_wake_not_cleared", "wake_failed")
    assert message.file_name in boxes.out_files()
    redis.start()
    broker._quiet_until = 0.0
    queue(2)
    assert wakes == ["customs"]


@tries("no-database", "look-here-first/the command itself fails")
def test_the_database_is_away(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes.put(receipt())
    row("no-database").says("relay_status", "OperationalError", "/readyz")
    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "OPTIONS", {"host": "/nowhere"})
        with pytest.raises(OperationalError):
            typed("relay_status")
        assert Client().get("/readyz").status_code == 503
        with pytest.raises(OperationalError):
            tasks.receive()
    assert len(boxes.names("InBox")) == 1
    tasks.receive()
    assert boxes.names("InBox") == []
    assert application.events == ["STORED"]


@tries("paused", "look-here-first/paused is yes")
def test_somebody_paused_it(boxes: Boxes) -> None:
    typed("relay_pause", "--partner", "customs", "--reason", "停机至 18:00", "--operator", "王科")
    message = queue()
    assert services.dispatch("customs") == 0
    row("paused").says("paused", "yes")
    told = typed("relay_status").out
    assert " yes " in told
    assert "by 王科 (os:" in told.split("paused: partner customs, type all, since ")[1]
    assert "停机至 18:00" in told
    row("paused").type()
    services.dispatch("customs")
    assert message.file_name in boxes.out_files()
    assert " yes " not in typed("relay_status").out


@tries("job-failed")
def test_something_lies_where_a_box_should_be(boxes: Boxes, settings: Any, tmp_path: Path) -> None:
    settings.RELAY_PARTNERS = settings.RELAY_PARTNERS | {"ccpit": {"channel": "directory"}}
    services.dispatch("customs")
    message, other = queue(), queue(partner="ccpit")
    home = boxes.home / "OutBox"
    home.rename(tmp_path / "OutBox")
    home.write_text("a file where a directory should be")
    with capture_logs() as log, pytest.raises(NotADirectoryError):
        tasks.dispatch()
    row("job-failed").logged(log, "relay_job_failed")
    assert "NotADirectoryError" in row("job-failed").codes(1)
    assert outbound(other).state == OutboundState.SENT, "the other partner's go on"
    home.unlink()
    tasks.sweep()
    assert message.file_name in boxes.out_files()


@tries("job-failed")
@pytest.mark.parametrize("wrong", ["PermissionError", "BadBrokerOptionsError"])
def test_one_partner_s_trouble_stops_neither_the_others_nor_its_own_other_jobs(boxes: Boxes, settings: Any, wrong: str) -> None:
    """What goes again without being asked for is due by the sweep alone."""
    row("job-failed").says("relay_job_failed")
    assert wrong in row("job-failed").codes(1)
    settings.RELAY_PARTNERS = {code: {"channel": "directory"} for code in ("ccpit", "customs")}
    messages = {code: queue(partner=code) for code in ("ccpit", "customs")}
    refused_one = queue(2)
    services.dispatch("customs")
    (boxes.home / "OutBox" / refused_one.file_name).rename(boxes.home / "FailBox" / refused_one.file_name)
    boxes.take_all()
    make_due(messages["customs"])
    going = {"customs"}
    resent = queue(3, partner="ccpit")
    OutboundMessage.objects.filter(pk=resent.pk).update(sent_at=timezone.now())
    with capture_logs() as log:
        if wrong == "PermissionError":
            services.receive("ccpit")  # makes its boxes
            going.add("ccpit")
            with without_rights(boxes.home.parent / "ccpit" / "FailBox", 0o300), pytest.raises(PermissionError):
                tasks.sweep()
        else:
            settings.RELAY_PARTNERS = settings.RELAY_PARTNERS | {"ccpit": {"channel": "amqp", "url": "nonsense"}}
            with pytest.raises(BadBrokerOptionsError):
                tasks.sweep()
    assert {entry["partner"] for entry in log if entry["event"] == "relay_job_failed"} == {"ccpit"}
    assert outbound(refused_one).state == OutboundState.REFUSED
    assert {code for code, message in messages.items() if outbound(message).last_sent_at} == going
    assert attempts(messages["customs"]) == [("sent", "")] * 2
    assert [outcome for outcome, _ in attempts(resent)] == ["error"] * (len(going) - 1), "what goes anew waits until FailBox can be read"
    settings.RELAY_PARTNERS = {code: {"channel": "directory"} for code in ("ccpit", "customs")}
    make_due(resent)
    tasks.sweep()
    assert {outbound(message).state for message in (messages["ccpit"], resent)} == {OutboundState.SENT}


@tries("job-failed")
def test_what_had_come_in_is_handled_while_its_box_is_broken(boxes: Boxes, application: Application) -> None:
    application.problem = RuntimeError("not now")
    boxes.put(receipt())
    services.receive("customs")
    application.problem = None
    make_due(InboundMessage.objects.get())
    (boxes.home / "InBox").rmdir()
    (boxes.home / "InBox").write_text("a file where a directory should be")
    with capture_logs() as log, pytest.raises(FileExistsError):
        tasks.receive()
    row("job-failed").logged(log, "relay_job_failed")
    assert application.events == ["STORED"]


# -- Sending fails --------------------------------------------------------------------------------


@tries("disk-full", FAILING)
def test_the_disk_is_full(boxes: Boxes) -> None:
    boxes.home.parent.mkdir(exist_ok=True)
    with small_disk(boxes.home.parent):
        services.dispatch("customs")
        ballast = fill_up(boxes.home / "SentBox")
        message = queue()
        with capture_logs() as log:
            assert services.dispatch("customs") == 1
        assert [entry["outcome"] for entry in log if entry["event"] == "relay_attempt"] == ["error"]
        told_of("disk-full")
        assert boxes.out_files() == {}
        assert "SentBox" in row("disk-full").codes(2)
        ballast.unlink()
        goes_now(boxes, message)


@tries("denied", FAILING)
def test_our_account_may_not_write(boxes: Boxes) -> None:
    services.dispatch("customs")
    message = queue()
    with without_rights(boxes.home / "OutBox" / ".writing"):
        services.dispatch("customs")
    told_of("denied")
    goes_now(boxes, message)


@tries("in-the-way", FAILING)
def test_something_lies_under_the_messages_name(boxes: Boxes) -> None:
    services.dispatch("customs")
    message = queue()
    (boxes.home / "OutBox" / message.file_name).mkdir()
    services.dispatch("customs")
    told_of("in-the-way")
    (boxes.home / "OutBox" / message.file_name).rmdir()
    goes_now(boxes, message)


@tries("refusal-lies-there", FAILING)
def test_an_earlier_refusal_cannot_be_put_away(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no word about the copy that an operator sends after it."""
    hooks = replace(registry._outbound["SGW101"], on_requeued=lambda ref, at: None)
    monkeypatch.setattr(registry, "_outbound", {"SGW101": hooks})
    message = queue()
    services.dispatch("customs")
    (boxes.home / "OutBox" / message.file_name).rename(boxes.home / "FailBox" / message.file_name)
    with without_rights(boxes.home / "FailBox"):
        services.collect_returned("customs")
    row("refused").type(MESSAGE_ID=message.message_id)
    assert outbound(message).is_to_go_again
    with without_rights(boxes.home / "FailBox"):
        services.dispatch("customs")
        services.collect_returned("customs")
    told_of("refusal-lies-there")
    assert boxes.out_files() == {}
    goes_now(boxes, message)
    assert boxes.names("FailBox") == []
    assert boxes.names("FailBox/handled") == [message.file_name]
    services.collect_returned("customs")
    assert outbound(message).state == OutboundState.SENT
    assert len(application.refused) == 1, "told once"


@tries("refusal-not-looked-for", FAILING)
def test_fail_box_cannot_be_read_when_something_goes_anew(boxes: Boxes) -> None:
    """What goes for the first time goes all the same."""
    message, other = queue(1), queue(2)
    services.receive("customs")  # makes the boxes
    OutboundMessage.objects.filter(pk=message.pk).update(sent_at=timezone.now())
    with without_rights(boxes.home / "FailBox", 0o300):
        assert services.dispatch("customs") == 2
    assert list(boxes.out_files()) == [other.file_name]
    assert outbound(message).lease_token is None
    assert told_of("refusal-not-looked-for").endswith(f"'{boxes.home / 'FailBox'}'")
    goes_now(boxes, message)


# -- The partner does not answer ------------------------------------------------------------------


@tries("not-taken", WAITING)
def test_files_are_not_taken(boxes: Boxes) -> None:
    message = queue()
    services.dispatch("customs")
    make_due(message)
    services.dispatch("customs")
    row("not-taken").says("OutBox", "waiting")
    row(WAITING).says("awaiting_receipt", "oldest_unfinished_seconds")
    assert (traffic()["awaiting_receipt"], traffic()["failing"]) == (1, 0)
    assert attempts(message) == [("sent", ""), ("waiting", "")]
    assert list(boxes.out_files()) == [message.file_name]
    boxes.take_all()
    boxes.put(technical(message.message_id))
    services.receive("customs")
    assert traffic()["awaiting_receipt"] == 0


@tries("not-receipted", WAITING)
def test_files_are_taken_and_not_receipted(boxes: Boxes, settings: Any) -> None:
    message = queue()
    services.dispatch("customs")
    first = boxes.take_all()
    waits = (outbound(message).due_at - timezone.now()).total_seconds()
    assert 0.7 * settings.RELAY_RECEIPT_TIMEOUT_SECONDS < waits <= settings.RELAY_RECEIPT_TIMEOUT_SECONDS
    assert services.dispatch("customs") == 0
    make_due(message)
    services.dispatch("customs")
    row("not-receipted").says("OutBox", "sent")
    assert attempts(message) == [("sent", "")] * 2
    assert boxes.take_all() == first
    boxes.put(technical(message.message_id))
    services.receive("customs")
    assert traffic("RCV001")["last_received_at"]
    assert outbound(message).state == OutboundState.DELIVERED


@tries("not-mounted")
def test_the_exchange_is_not_mounted(boxes: Boxes, tmp_path: Path) -> None:
    """The disk is taken from under the path; what was written below it is not with the partner."""
    boxes.put(receipt())
    services.receive("customs")
    services.dispatch("customs")
    boxes.take_all()
    OutboundMessage.objects.update(created_at=timezone.now() - timedelta(days=1))  # our technical receipt of yesterday
    disk = boxes.home.rename(tmp_path / "disk")
    message = queue()
    services.dispatch("customs")
    assert list(boxes.out_files()) == [message.file_name]
    assert traffic()["failing"] == 0, "we did not notice"
    assert list((disk / "OutBox").glob("*.xml")) == []
    boxes.home.rename(tmp_path / "below")
    disk.rename(boxes.home)
    since = f"{timezone.localtime(message.created_at):%Y-%m-%dT%H:%M}"
    trial, command = row("not-mounted").commands
    assert command == f"{trial} --yes"
    for line in (trial, command):
        said = type_in(f"{line} --json", **{"_2026-03-01T14:00": since}).json
        assert [one["message_id"] for one in said["messages"]] == [str(message.message_id)]
    services.dispatch("customs")
    assert boxes.out_files() == {message.file_name: bytes(message.content)}


# -- The partner refuses --------------------------------------------------------------------------


def refused(boxes: Boxes, number: int = 1) -> OutboundMessage:
    """A message that the partner took and refused as unreadable."""
    message = queue(number)
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(message.message_id, result="REJECTED", code="SCHEMA", note="no such element"))
    services.receive("customs")
    return message


@tries("refused", REFUSED)
def test_the_partner_refuses(boxes: Boxes, application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    with capture_logs() as log:
        message = refused(boxes)
    row("refused").logged(log, "relay_refused")
    row("refused").says("refused")
    row(REFUSED).says("refused")
    assert traffic()["refused"] == 1
    assert "last refused: customs SGW101: SCHEMA no such element" in typed("relay_status").out
    hooks = replace(registry._outbound["SGW101"], on_requeued=lambda ref, at: None)
    monkeypatch.setattr(registry, "_outbound", {"SGW101": hooks})
    row("refused").type(MESSAGE_ID=message.message_id)
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(message.message_id))
    services.receive("customs")
    assert (traffic()["refused"], application.delivered) == (0, [message.subject])


@tries("copy-not-withdrawn")
def test_a_copy_of_a_refused_message_cannot_be_taken_back(boxes: Boxes) -> None:
    message = refused(boxes)
    (boxes.home / "SentBox" / message.file_name).rename(boxes.home / "OutBox" / message.file_name)
    with without_rights(boxes.home / "OutBox"), capture_logs() as log:
        services.withdraw_refused("customs")
    row("copy-not-withdrawn").logged(log, "letter_not_withdrawn")
    assert len(boxes.out_files()) == 1
    services.withdraw_refused("customs")
    assert boxes.out_files() == {}


@tries("leftover-not-deleted")
def test_something_in_the_writing_place_cannot_be_deleted(boxes: Boxes, application: Application) -> None:
    message = queue()
    services.dispatch("customs")
    (boxes.home / "OutBox" / message.file_name).rename(boxes.home / "FailBox" / message.file_name)
    left = boxes.home / "OutBox" / ".writing" / "somebody's"
    left.mkdir()
    os.utime(left, (1, 1))
    with capture_logs() as log:
        services.collect_returned("customs")
    row("leftover-not-deleted").logged(log, "leftover_not_deleted")
    assert "OutBox/.writing" in row("leftover-not-deleted").codes(1)
    assert len(application.refused) == 1, "nothing waits for it"
    left.rmdir()
    with capture_logs() as log:
        services.collect_returned("customs")
    assert log == []


@tries("refusal-not-moved")
def test_a_refused_file_cannot_be_moved(boxes: Boxes, application: Application) -> None:
    message = queue()
    services.dispatch("customs")
    (boxes.home / "OutBox" / message.file_name).rename(boxes.home / "FailBox" / message.file_name)
    with without_rights(boxes.home / "FailBox"), capture_logs() as log:
        services.collect_returned("customs")
        services.collect_returned("customs")
    row("refusal-not-moved").logged(log, "returned_letter_not_moved")
    assert len(application.refused) == 1, "the refusal is noted, once"
    services.collect_returned("customs")
    assert boxes.names("FailBox") == []
    assert list((boxes.home / "FailBox" / "handled").iterdir())


@tries("refusal-not-told")
def test_our_own_program_fails_when_it_is_told_of_a_refusal(boxes: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    message = queue()
    services.dispatch("customs")
    (boxes.home / "OutBox" / message.file_name).rename(boxes.home / "FailBox" / message.file_name)

    def on_refused(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as broken, capture_logs() as log:
        broken.setattr(registry, "_outbound", {"SGW101": replace(registry._outbound["SGW101"], on_refused=on_refused)})
        services.collect_returned("customs")
    row("refusal-not-told").logged(log, "relay_returned_letter_failed")
    assert boxes.names("FailBox") == [message.file_name]
    assert outbound(message).state == OutboundState.SENT
    services.collect_returned("customs")
    assert outbound(message).state == OutboundState.REFUSED
