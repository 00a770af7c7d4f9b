"""/metrics: what Prometheus reads, who may, and what it says while a part is away."""

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from core import alive
from portal import celery, health
from portal import metrics as page
from relay.models import InboundState, OutboundState
from tests.races import wait_until
from tests.relay.rows import make_alert, make_inbound, make_outbound, make_pause, make_quarantined
from tests.watching import forget_counts, read

pytestmark = [pytest.mark.django_db, pytest.mark.covers("OPS-03")]

TOKEN = "Zk1v7Rm3Xw9Tb5Yc2Nf6Hd4Jg0LsPaUe-_~"
NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _nothing_counted() -> None:
    forget_counts()


def scrape(client: Client, **extra: Any) -> dict[str, float]:
    answer = client.get("/metrics", **extra)
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    return read(answer.content.decode())


# -- what it says -----------------------------------------------------------------------------------------


def test_the_state_of_the_exchange(client: Client) -> None:
    now = timezone.now()
    make_outbound(state=OutboundState.QUEUED, at=now - timedelta(seconds=100))
    make_outbound(state=OutboundState.QUEUED, at=now - timedelta(seconds=50))
    make_outbound(state=OutboundState.SENT, at=now - timedelta(seconds=2000), sent_at=now - timedelta(seconds=1990))
    make_outbound(state=OutboundState.REFUSED, at=now - timedelta(seconds=10))
    make_outbound()
    make_inbound(state=InboundState.READY, finished_at=None, at=now - timedelta(seconds=700))
    make_inbound(at=now - timedelta(hours=2))
    make_quarantined(message_type="XYZ999", at=now - timedelta(hours=1))
    make_quarantined(b"more junk", at=now - timedelta(seconds=650))
    make_pause(message_type="RCV001", paused_at=now - timedelta(seconds=300))
    make_alert()
    found = scrape(client)
    assert found["relay_messages{direction=out,message_type=SGW101,partner=customs,state=queued}"] == 2
    assert found["relay_messages{direction=out,message_type=SGW101,partner=customs,state=sent}"] == 1
    assert found["relay_messages{direction=out,message_type=SGW101,partner=customs,state=refused}"] == 1
    assert found["relay_messages{direction=out,message_type=RCV001,partner=customs,state=queued}"] == 0
    assert found["relay_messages{direction=in,message_type=SGW102,partner=customs,state=ready}"] == 1
    assert found["relay_messages{direction=in,message_type=other,partner=customs,state=quarantined}"] == 1, "no name a partner made up"
    assert found["relay_messages{direction=in,message_type=none,partner=customs,state=quarantined}"] == 1
    assert 100 <= found["relay_oldest_seconds{direction=out,message_type=SGW101,partner=customs,state=queued}"] < 160
    assert 300 <= found["relay_paused_seconds{message_type=RCV001,partner=customs}"] < 360
    # Something came 650 s ago: the partner is silent since then, not since the message left.
    assert 650 <= found["relay_partner_silent_seconds{partner=customs}"] < 760
    assert {name: number for name, number in found.items() if name.startswith("relay_trouble")} == {
        "relay_trouble{kind=outbound_old,message_type=SGW101,partner=customs}": 3,
        "relay_trouble{kind=inbound_old,message_type=SGW102,partner=customs}": 1,
        "relay_trouble{kind=partner_silent,message_type=none,partner=customs}": 1,
        "relay_trouble{kind=quarantine,message_type=other,partner=customs}": 1,
        "relay_trouble{kind=refused,message_type=SGW101,partner=customs}": 1,
    }
    assert found["relay_alerts_open{kind=quarantine}"] == 1
    assert found["relay_alerts_open{kind=refused}"] == 0
    assert found["portal_up{part=database}"] == found["portal_up{part=redis}"] == 1


def test_it_reads_only_what_is_not_finished(client: Client) -> None:
    """Each question has a condition with an index of its own; the number of questions does not grow with the rows."""
    for number in range(20):
        make_outbound(state=OutboundState.SENT, sent_at=timezone.now(), subject=f"smartgate.filing:{number}")
        make_quarantined(b"%d" % number)
    with CaptureQueriesContext(connection) as questions:
        scrape(client)
    asked = [query["sql"] for query in questions if "relay_" in query["sql"]]
    assert len(asked) < 18
    for sql in asked:
        assert "WHERE" in sql, sql


def test_requests_are_counted_by_the_name_of_their_address(client: Client, operator_client: Client) -> None:
    operator_client.get("/smartgate/filings/4711/")
    client.get("/smartgate/filings/4711/")
    client.get("/nowhere/at/all")
    client.generic("BREW", "/healthz")
    found = scrape(client)
    assert found["portal_requests_total{method=GET,status=404,view=smartgate:detail}"] == 1
    assert found["portal_requests_total{method=GET,status=302,view=smartgate:detail}"] == 1
    assert found["portal_requests_total{method=GET,status=404,view=none}"] == 1
    assert found["portal_requests_total{method=other,status=405,view=healthz}"] == 1
    assert found["portal_request_seconds_count{view=smartgate:detail}"] == 2
    assert not [name for name in found if "4711" in name or "nowhere" in name]


# -- who may read it --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "status"),
    [
        ({}, 200),
        ({"REMOTE_ADDR": "::1"}, 200),
        ({"REMOTE_ADDR": "10.0.0.7"}, 403),
        ({"REMOTE_ADDR": ""}, 403),
        # A proxy on this machine: the request comes from here, the asker from anywhere.
        ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 403),
        ({"HTTP_FORWARDED": "for=203.0.113.7"}, 403),
        ({"HTTP_X_REAL_IP": "203.0.113.7"}, 403),
        ({"HTTP_X_FORWARDED_PROTO": "https"}, 403),
    ],
)
def test_without_a_token_only_this_machine(client: Client, extra: dict[str, str], status: int) -> None:
    assert client.get("/metrics", **extra).status_code == status


def test_behind_a_proxy_of_ours_nobody_without_a_token(client: Client, settings: Any) -> None:
    settings.BEHIND_TLS_PROXY = True
    assert client.get("/metrics").status_code == 403


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (None, 403),
        (f"Bearer {TOKEN}x", 403),
        (f"Bearer {TOKEN[:-1]}", 403),
        (f"Basic {TOKEN}", 403),
        (f"Token Bearer {TOKEN}", 403),
        ("Bearer", 403),
        ("Bearer 海关", 403),
    ],
)
def test_with_a_token_who_brings_it_from_wherever(client: Client, settings: Any, authorization: str | None, status: int) -> None:
    settings.METRICS_TOKEN = TOKEN
    settings.BEHIND_TLS_PROXY = True
    extra = {"REMOTE_ADDR": "203.0.113.7"} | ({"HTTP_AUTHORIZATION": authorization} if authorization else {})
    answer = client.get("/metrics", **extra)
    assert answer.status_code == status
    if status == 403:
        assert b"relay_" not in answer.content
        assert client.get("/metrics").status_code == 403, "this machine neither"


# -- while a part is away ---------------------------------------------------------------------------------


def test_without_redis_it_says_so_and_tells_the_rest(client: Client, settings: Any) -> None:
    make_outbound(state=OutboundState.QUEUED)
    there, settings.REDIS_URL = settings.REDIS_URL, NOBODY
    begun = time.monotonic()
    found = scrape(client)
    assert time.monotonic() - begun < 10
    assert (found["portal_up{part=redis}"], found["portal_up{part=database}"]) == (0, 1)
    assert found["relay_messages{direction=out,message_type=SGW101,partner=customs,state=queued}"] == 1
    assert not [name for name in found if name.startswith(("portal_workers", "portal_requests"))], "unknown is not none"
    settings.REDIS_URL = there
    again = scrape(client)
    assert again["portal_requests_total{method=GET,status=200,view=metrics}"] == 1, "what was counted meanwhile is not lost"


@pytest.mark.django_db(transaction=True)
def test_without_postgresql_it_says_so_and_tells_the_rest(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.get("/healthz")
    connections["default"].close()
    monkeypatch.setitem(connections["default"].settings_dict, "HOST", "/nowhere")
    found = scrape(client)
    monkeypatch.undo()
    assert (found["portal_up{part=redis}"], found["portal_up{part=database}"]) == (1, 0)
    assert found["portal_requests_total{method=GET,status=200,view=healthz}"] == 1
    assert not [name for name in found if name.startswith("relay_messages")]


@pytest.mark.parametrize("part", page.PARTS)
def test_why_a_part_is_away_is_not_for_the_reader(client: Client, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    def broken() -> list[Any]:
        raise OSError("connection to 10.1.2.3 refused")

    monkeypatch.setitem(page.PARTS, part, broken)
    answer = client.get("/metrics")
    assert b"10.1.2.3" not in answer.content
    assert read(answer.content.decode())[f"portal_up{{part={part}}}"] == 0


def asked(*statements: str) -> Callable[[], list[Any]]:
    """Instead of the gauges."""

    def ask() -> list[Any]:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        return []

    return ask


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statements", [["SELECT pg_sleep(20)"], ["SELECT pg_sleep(0.3)"] * 60], ids=["one", "many short ones"])
def test_questions_that_take_long_are_given_up_together(client: Client, monkeypatch: pytest.MonkeyPatch, statements: list[str]) -> None:
    monkeypatch.setattr(page, "PROBE_SECONDS", 0.5)
    monkeypatch.setattr("relay.gauges.families", asked(*statements))
    begun = time.monotonic()
    found = scrape(client)
    assert time.monotonic() - begun < 5
    assert (found["portal_up{part=database}"], found["portal_up{part=redis}"]) == (0, 1)
    wait_until(nothing_sleeps)
    monkeypatch.undo()
    assert scrape(client)["portal_up{part=database}"] == 1, "the next has a connection again"


def nothing_sleeps() -> bool:
    """Whether the server has given up, too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'")
        return not cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "said"), [("/metrics", 'portal_up{part="database"} 0.0'), ("/readyz", '"database": "failed"')])
def test_a_server_that_is_frozen_holds_nobody(client: Client, monkeypatch: pytest.MonkeyPatch, path: str, said: str) -> None:
    """It times nothing out itself, and its machine answers for it."""
    for module in (page, health):
        monkeypatch.setattr(module, "PROBE_SECONDS", 0.5)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    os.kill(backend, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        answer = client.get(path)
        assert time.monotonic() - begun < 5
    finally:
        os.kill(backend, signal.SIGCONT)
    assert said in answer.content.decode()
    assert scrape(client)["portal_up{part=database}"] == 1


def test_a_database_that_is_gone_without_a_word_is_noticed() -> None:
    options = connection.settings_dict["OPTIONS"]
    assert 2 <= options["connect_timeout"] <= 5
    assert options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"] <= 60
    assert options["tcp_user_timeout"] <= 60_000


# -- who is alive -----------------------------------------------------------------------------------------


def heart(hostname: str, *queues: str) -> Any:
    """As Celery's heartbeat hands itself over."""
    app = SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=dict.fromkeys(queues))))
    return SimpleNamespace(eventer=SimpleNamespace(hostname=hostname, app=app))


def test_workers_and_beat_are_there_as_long_as_they_say_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "_said", {})
    celery.say_that_the_worker_lives(heart("worker@one", "portal", "relay"))
    celery.say_that_the_worker_lives(heart("worker@two", "relay"))
    alive.say("beat", "one:1")
    found = scrape(client)
    assert {queue: found[f"portal_workers_alive{{queue={queue}}}"] for queue in ("portal", "relay", "notifications")} == {
        "portal": 1,
        "relay": 2,
        "notifications": 0,
    }
    assert found["portal_beats_alive{}"] == 1
    # Nobody has said anything since.
    now = alive._now()
    monkeypatch.setattr(alive, "_now", lambda: now + alive.SILENT_SECONDS + 1)
    found = scrape(client)
    assert found["portal_workers_alive{queue=relay}"] == found["portal_beats_alive{}"] == 0
    assert alive.SILENT_SECONDS + alive.SAY_SECONDS < 30


def test_saying_it_costs_one_question_in_a_while_and_never_fails(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "_said", {})
    settings.REDIS_URL = NOBODY
    alive.say("beat", "one:1")
    asked: list[int] = []
    monkeypatch.setattr(alive, "redis", lambda: asked.append(1))
    alive.say("beat", "one:1")
    assert asked == []
