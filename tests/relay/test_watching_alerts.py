"""Alerts: what is wrong is told once, again after hours, and when it is over; never twice, never as a flood."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import Client
from django.utils import timezone
from structlog.testing import capture_logs

from notifications.models import Delivery
from relay import alerts
from relay.models import Alert, AlertKind, InboundState, OutboundMessage, OutboundState
from relay.services.watching import watch
from relay.tasks import watch as job
from relay.trouble import look
from tests.relay.commands import typed
from tests.relay.rows import make_alert, make_inbound, make_outbound, make_pause, make_quarantined

pytestmark = [pytest.mark.django_db, pytest.mark.covers("OPS-03")]

NOW = datetime(2026, 3, 1, 8, tzinfo=timezone.get_fixed_timezone(480))
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _limits(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RELAY_ALERT_EMAILS = ["ops@example.com", "night@example.com"]
    monkeypatch.setattr("notifications.tasks.send.apply_async", lambda **_: None)


def ago(minutes: float) -> datetime:
    return NOW - minutes * MINUTE


def wait_outside(minutes: float = 20, **values: Any) -> OutboundMessage:
    """A message that waits to go out, so old."""
    return make_outbound(at=ago(minutes), state=OutboundState.QUEUED, **values)


def owe_receipt(minutes: float, **values: Any) -> OutboundMessage:
    """A message that left so long ago, of which nothing was heard."""
    return make_outbound(at=ago(minutes), state=OutboundState.SENT, sent_at=ago(minutes), **values)


def kinds(at: datetime = NOW) -> set[tuple[str, str]]:
    return {(trouble.kind.value, trouble.message_type) for trouble in look(at).troubles}


def mails() -> list[Delivery]:
    return list(Delivery.objects.filter(recipient="ops@example.com").order_by("pk"))


def opened() -> Alert:
    """A queue that is too old, and told of."""
    wait_outside()
    watch(at=NOW)
    watch(at=NOW + MINUTE)
    return Alert.objects.get(opened_at__isnull=False)


# -- what is wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: wait_outside(14), set()),
        (lambda: wait_outside(16), {("outbound_old", "SGW101")}),
        (lambda: make_outbound(at=ago(600)), set()),
        (lambda: owe_receipt(9), set()),
        (lambda: owe_receipt(11), {("partner_silent", "")}),
        (lambda: owe_receipt(16), {("partner_silent", ""), ("outbound_old", "SGW101")}),
        # Delivered long ago, and sent once more by an operator.
        (lambda: owe_receipt(50_000, delivered_before=True), set()),
        (lambda: make_inbound(at=ago(4), state=InboundState.READY, finished_at=None), set()),
        (lambda: make_inbound(at=ago(6), state=InboundState.READY, finished_at=None), {("inbound_old", "SGW102")}),
        (lambda: make_inbound(at=ago(6), state=InboundState.RECEIVED, message_type="", finished_at=None), {("inbound_old", "")}),
        (lambda: make_quarantined(at=ago(14)), set()),
        (lambda: make_quarantined(at=ago(16)), {("quarantine", "")}),
        (lambda: make_quarantined(at=ago(16), state=InboundState.DISCARDED), set()),
        (lambda: make_outbound(at=ago(100), finished_at=ago(59), state=OutboundState.REFUSED), {("refused", "SGW101")}),
        (lambda: make_outbound(at=ago(100), finished_at=ago(61), state=OutboundState.REFUSED), set()),
    ],
)
def test_what_is_found(make: Callable[[], object], expected: set[tuple[str, str]]) -> None:
    make()
    assert kinds() == expected


def test_a_partner_that_sends_anything_is_not_silent() -> None:
    owe_receipt(14)
    make_inbound(at=ago(3))
    assert kinds() == set()
    assert look(NOW).silent_seconds == {"customs": 180}


def test_a_partner_that_sends_again_what_it_sent_before_is_not_silent() -> None:
    """It makes no new row."""
    owe_receipt(14)
    make_inbound(at=ago(300), last_seen_at=ago(2))
    make_inbound(at=ago(200))
    assert kinds() == set()
    assert look(NOW).silent_seconds == {"customs": 120}
    make_inbound(at=ago(300), last_seen_at=ago(1), partner="ccpit")
    assert look(NOW).silent_seconds["customs"] == 120, "another partner speaks for itself"


def test_what_is_paused_is_no_trouble_and_its_age_begins_with_the_end_of_the_pause() -> None:
    wait_outside(60)
    owe_receipt(60)
    pause = make_pause(paused_at=ago(70))
    assert kinds() == set()
    pause.resumed_at = ago(5)
    pause.save()
    assert kinds() == set(), "it may go since five minutes"
    assert kinds(NOW + 6 * MINUTE) == {("partner_silent", "")}
    assert kinds(NOW + 11 * MINUTE) == {("partner_silent", ""), ("outbound_old", "SGW101")}


def test_a_pause_covers_its_own_type_only() -> None:
    wait_outside()
    wait_outside(message_type="RCV001", needs_receipt=False)
    make_pause(partner="", message_type="RCV001", paused_at=ago(60))
    assert kinds() == {("outbound_old", "SGW101")}


# -- opening and closing ----------------------------------------------------------------------------------


def test_told_at_the_second_look_and_then_once() -> None:
    wait_outside()
    wait_outside(18)
    watch(at=NOW)
    assert (Alert.objects.get().opened_at, mails()) == (None, [])
    with capture_logs() as logs:
        for minutes in range(1, 200, 20):
            watch(at=NOW + minutes * MINUTE)
    assert [entry["event"] for entry in logs] == ["relay_alert_opened"]
    assert logs[0] | {"kind": "outbound_old", "partner": "customs", "message_type": "SGW101", "number": 2} == logs[0]
    assert Delivery.objects.count() == 2, "one mail for each of the operators"
    assert Alert.objects.get().opened_at == NOW + MINUTE


def test_what_one_run_puts_right_is_not_told() -> None:
    """As a message of last month that an operator sends again, and whose receipt comes at once."""
    message = wait_outside(50_000)
    watch(at=NOW)
    watch(at=NOW + timedelta(seconds=1))  # a second clock
    OutboundMessage.objects.filter(pk=message.pk).update(state=OutboundState.DELIVERED, finished_at=NOW)
    watch(at=NOW + MINUTE)
    assert not Alert.objects.exists()
    assert mails() == []


def test_one_mail_for_what_opens_in_one_run() -> None:
    owe_receipt(30)
    make_quarantined(at=ago(30))
    make_inbound(at=ago(30), state=InboundState.READY, finished_at=None)
    make_outbound(at=ago(30), state=OutboundState.REFUSED)
    watch(at=NOW)
    watch(at=NOW + MINUTE)
    assert Alert.objects.filter(opened_at__isnull=False).count() == 5
    (mail,) = mails()
    assert mail.subject.startswith("[单一窗口 报文传输] 告警 5 项：")
    for kind in AlertKind:
        assert str(kind.label) in mail.body
    for line in (
        "发出报文积压：对方 customs，报文类型 SGW101，1 份，自 2026-03-01 07:30:00 起",
        "    manage.py relay_quarantine list --partner customs",
        "    manage.py relay_resend --partner customs --state refused --since 2026-03-01T07:30",
        "docs/operations/watching.md",
    ):
        assert line in mail.body


def test_reminded_after_hours() -> None:
    opened()
    watch(at=NOW + 240 * MINUTE)
    assert len(mails()) == 1
    watch(at=NOW + 241 * MINUTE)
    watch(at=NOW + 242 * MINUTE)
    assert [mail.subject.partition("] ")[2] for mail in mails()] == ["告警 1 项：发出报文积压", "告警仍未解除 1 项：发出报文积压"]
    assert "仍未解除" in mails()[1].body


def test_over_when_it_has_been_gone_for_a_while_and_told_once() -> None:
    alert = opened()
    OutboundMessage.objects.update(state=OutboundState.DELIVERED, finished_at=NOW)
    watch(at=NOW + 5 * MINUTE)
    assert len(mails()) == 1, "seen a moment ago: it may come back"
    with capture_logs() as logs:
        for minutes in (6, 7, 8):
            watch(at=NOW + minutes * MINUTE)
    assert [entry["event"] for entry in logs] == ["relay_alert_closed"]
    alert.refresh_from_db()
    assert alert.closed_at == NOW + 6 * MINUTE
    assert [mail.subject.partition("] ")[2] for mail in mails()] == ["告警 1 项：发出报文积压", "告警解除 1 项：发出报文积压"]


def test_what_comes_and_goes_is_one_alert() -> None:
    opened()
    for minutes in range(2, 60, 2):
        OutboundMessage.objects.update(state=OutboundState.DELIVERED, finished_at=NOW)
        watch(at=NOW + minutes * MINUTE)
        OutboundMessage.objects.update(state=OutboundState.QUEUED, finished_at=None)
        watch(at=NOW + (minutes + 1) * MINUTE)
    assert Alert.objects.count() == len(mails()) == 1


def test_what_comes_back_later_is_another_alert() -> None:
    opened()
    OutboundMessage.objects.update(state=OutboundState.DELIVERED, finished_at=NOW)
    watch(at=NOW + 10 * MINUTE)
    OutboundMessage.objects.update(state=OutboundState.QUEUED, finished_at=None)
    watch(at=NOW + 20 * MINUTE)
    watch(at=NOW + 21 * MINUTE)
    assert Alert.objects.count() == 2
    assert len(mails()) == 3


def test_the_database_holds_one_open_alert_of_a_kind() -> None:
    alert = opened()
    alert.pk = None
    with pytest.raises(IntegrityError, match="relay_alert_once"):
        alert.save(force_insert=True)


@pytest.mark.django_db(transaction=True)
def test_two_clocks_tell_once() -> None:
    wait_outside()
    watch(at=NOW)
    together = threading.Barrier(2)

    def look_at_once() -> None:
        try:
            together.wait(10)
            watch(at=NOW + MINUTE)
        finally:
            connection.close()

    threads = [threading.Thread(target=look_at_once) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert Alert.objects.count() == len(mails()) == 1


def test_what_cannot_be_mailed_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row and mails are one transaction: the next look tells."""

    def fail(**_: Any) -> None:
        raise RuntimeError("no")

    wait_outside()
    watch(at=NOW)
    with monkeypatch.context() as broken:
        broken.setattr("relay.services.watching.queue_email", fail)
        with pytest.raises(RuntimeError):
            watch(at=NOW + MINUTE)
    assert Alert.objects.get().opened_at is None
    watch(at=NOW + 2 * MINUTE)
    assert len(mails()) == 1


def test_without_operators_to_mail_it_is_logged_and_shown(settings: Any) -> None:
    settings.RELAY_ALERT_EMAILS = []
    with capture_logs() as logs:
        opened()
    assert [entry["event"] for entry in logs] == ["relay_alert_opened"]
    assert not Delivery.objects.exists()


def test_a_type_that_a_partner_made_up_cannot_forge_a_mail() -> None:
    make_quarantined(at=ago(30), message_type="A\r\nBcc")
    watch(at=NOW)
    watch(at=NOW + MINUTE)
    (mail,) = mails()
    assert "A??Bcc" in mail.body
    assert "\n" not in mail.subject


def test_what_a_mail_says_to_type_is_what_the_page_says(settings: Any) -> None:
    page = (settings.BASE_DIR / "docs" / "operations" / "watching.md").read_text()
    rows = {row.partition("`")[2].partition("`")[0]: row for row in page.splitlines() if row.startswith("| `")}
    for kind in AlertKind:
        for command in alerts.commands(make_alert(kind=kind, since=NOW)):
            assert command.replace(" 2026-03-01T08:00", " …").removeprefix("    ") in rows[kind.value], command


def test_the_command_about_what_was_refused_selects_it() -> None:
    """--since goes by when a message was made: this one ten minutes before the alert begins."""
    message = make_outbound(at=ago(30), finished_at=ago(20), state=OutboundState.REFUSED, message_type="RCV001")
    make_outbound(at=ago(300), finished_at=ago(290), state=OutboundState.REFUSED, message_type="RCV001")
    watch(at=NOW)
    watch(at=NOW + MINUTE)
    (alert,) = alerts.open_alerts()
    assert alert.since == ago(20), "what it tells is since when"
    (command,) = [command for command in alerts.commands(alert) if "relay_resend" in command]
    assert [row["message_id"] for row in typed(*command.split()[1:], "--json").json["messages"]] == [str(message.message_id)]


# -- where it is seen -------------------------------------------------------------------------------------


@pytest.mark.covers("RLY-04")
def test_the_console_shows_what_is_open_and_what_to_type(staff_client: Client) -> None:
    alert = opened()
    page = staff_client.get("/admin/relay/pause/").content.decode()
    assert "发出报文积压：对方 customs，报文类型 SGW101，1 份" in page
    assert "manage.py relay_resend --partner customs --state queued --yes" in page
    listed = staff_client.get("/admin/relay/alert/").content.decode()
    assert "发出报文积压" in listed
    assert staff_client.get(f"/admin/relay/alert/{alert.pk}/change/").headers["Location"] == "/admin/relay/alert/"
    Alert.objects.update(closed_at=NOW)
    assert "没有告警。" in staff_client.get("/admin/relay/pause/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_relay_status_shows_what_is_open() -> None:
    opened()
    shown = typed("relay_status", "--json").json["alerts"]
    assert [(alert["kind"], alert["partner"], alert["message_type"], alert["number"]) for alert in shown] == [
        ("outbound_old", "customs", "SGW101", 1)
    ]
    assert "alert: outbound_old: customs SGW101: 1 since 2026-" in typed("relay_status").out
    Alert.objects.update(closed_at=NOW)
    assert typed("relay_status", "--json").json["alerts"] == []


def test_the_job_looks() -> None:
    wait_outside()
    job()
    assert Alert.objects.get().kind == AlertKind.OUTBOUND_OLD
