"""The operators' console in /admin/: what it shows and how safely, what it does, who may, and what it costs."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from accounts.rights import Role
from core.models import AuditEntry
from relay.admin_pages import PAGE_SIZE
from relay.models import InboundMessage, InboundState, OutboundMessage, OutboundState, Pause
from tests.accounts.pages import tree_of
from tests.conftest import make_user
from tests.relay.rows import make_inbound, make_outbound, make_pause, make_quarantined

pytestmark = [pytest.mark.django_db, pytest.mark.covers("RLY-04")]


@pytest.fixture(autouse=True)
def _partners(settings: Any) -> None:
    settings.RELAY_PARTNERS = {"customs": {"channel": "directory"}, "ccpit": {"channel": "directory"}}


OUT = "/admin/relay/outboundmessage/"
IN = "/admin/relay/inboundmessage/"
CONSOLE = "/admin/relay/pause/"


def text_of(response: Any) -> str:
    """What one reads on the page."""
    return re.sub(r"\s+", " ", str(tree_of(response).xpath("string(//main)")))


def ids_on(response: Any) -> list[str]:
    """The rows of a list, by what their link says."""
    return [link.text for link in tree_of(response).xpath("//main//div[contains(@class,'operators-table')]//td[1]/a")]


def staff_with(*names: str) -> Client:
    """A member of staff with just these permissions."""
    user: User = make_user("staff2", Role.PLATFORM_STAFF, is_staff=True)
    for name in names:
        room, _, codename = name.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=room, codename=codename))
    client = Client()
    client.force_login(user)
    return client


# -- Looking --------------------------------------------------------------------------------------


def test_the_console_tells_how_it_fares(staff_client: Client) -> None:
    make_outbound(state=OutboundState.QUEUED, at=timezone.now() - timedelta(seconds=90))
    make_quarantined()
    make_pause(message_type="SGW101")
    make_pause(partner="", resumed_at=timezone.now(), resumed_by="李四", resume_reason="好了")
    page = text_of(staff_client.get(CONSOLE))
    assert "海关停机" in page
    assert "（暂停）" in page
    assert re.search(r"SGW101 （暂停） 1 0 9\d", page), page
    assert "李四" in page
    hrefs = tree_of(staff_client.get(CONSOLE)).xpath("//td/a/@href")
    assert f"{OUT}?partner=customs&message_type=SGW101&state=queued" in hrefs
    assert f"{IN}?partner=customs&message_type=&state=quarantined" in hrefs


def test_filters(staff_client: Client) -> None:
    now = timezone.now()
    old = make_outbound(subject="smartgate.filing:1", at=now - timedelta(days=2))
    waiting = make_outbound(state=OutboundState.SENT, at=now - timedelta(minutes=30), partner="ccpit")
    failing = make_outbound(state=OutboundState.QUEUED, attempts=3, message_type="RCV001")
    for query, expected in (
        ("", [failing, waiting, old]),
        ("state=delivered", [old]),
        ("state=open", [failing, waiting]),
        ("state=failing", [failing]),
        ("message_type=RCV001", [failing]),
        ("partner=customs", [failing, old]),
        ("age=over-day", [old]),
        ("age=over-5-minutes", [waiting, old]),
        ("age=last-hour", [failing, waiting]),
        ("subject=smartgate.filing:1", [old]),
        (f"message_id={waiting.message_id}", [waiting]),
        ("state=open&age=over-day", []),
    ):
        assert ids_on(staff_client.get(f"{OUT}?{query}")) == [str(row.message_id) for row in expected], query


@pytest.mark.parametrize("query", ["state=wrong", "message_id=x", "subject=" + "x" * 200, "partner=nobody"])
def test_a_condition_that_cannot_be_says_so_and_shows_nothing(staff_client: Client, query: str) -> None:
    make_outbound()
    response = staff_client.get(f"{OUT}?{query}")
    assert response.status_code == 200
    assert ids_on(response) == []
    assert tree_of(response).xpath("//ul[contains(@class,'errorlist')]")


@pytest.mark.parametrize("query", ["after=lost", "before=x", "after=" + "x" * 3000])
def test_a_lost_place_begins_anew(staff_client: Client, query: str) -> None:
    message = make_outbound()
    assert ids_on(staff_client.get(f"{OUT}?{query}")) == [str(message.message_id)]


def test_pages_follow_each_other_without_counting_or_passing_over(staff_client: Client) -> None:
    now = timezone.now()
    rows = [make_outbound(at=now - timedelta(minutes=number), state=OutboundState.SENT) for number in range(2 * PAGE_SIZE + 5)]
    make_outbound(at=now)
    expected = [str(row.message_id) for row in rows]
    seen: list[str] = []
    address = f"{OUT}?state=sent"
    with CaptureQueriesContext(connection) as queries:
        while address:
            response = staff_client.get(address)
            seen += ids_on(response)
            links = tree_of(response).xpath("//nav[@class='operators-pages']/a[text()='较早']/@href")
            address = OUT + links[0] if links else ""
    assert seen == expected
    about = [query["sql"] for query in queries if "relay_outboundmessage" in query["sql"]]
    assert about
    assert not [sql for sql in about if "COUNT(" in sql or "OFFSET" in sql or '"content"' in sql]
    back = tree_of(response).xpath("//nav[@class='operators-pages']/a[text()='较新']/@href")
    assert ids_on(staff_client.get(OUT + back[0])) == expected[PAGE_SIZE : 2 * PAGE_SIZE]


@pytest.mark.parametrize("address", [OUT, IN, CONSOLE])
def test_more_rows_cost_no_more_queries(staff_client: Client, address: str) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert staff_client.get(address).status_code == 200
        return len(queries)

    def more() -> None:
        make_outbound(state=OutboundState.QUEUED, attempts=1)
        make_quarantined(content=timezone.now().isoformat().encode())
        make_pause(resumed_at=timezone.now())

    more()
    cost()
    few = cost()
    for _ in range(20):
        more()
    assert cost() == few
    assert few < 30


def test_a_message_with_its_attempts_and_answers(staff_client: Client) -> None:
    message = make_outbound(content="<甲/>".encode())
    message.attempt_rows.create(at=timezone.now(), outcome="error", error="磁盘已满", worker="w:1")
    answer = make_inbound(original=message, file_name="answer.xml")
    page = staff_client.get(f"{OUT}{message.pk}/change/")
    assert "<甲/>" in text_of(page)
    assert "磁盘已满" in text_of(page)
    assert f'href="{IN}{answer.pk}/change/"' in page.content.decode()
    back = staff_client.get(f"{IN}{answer.pk}/change/").content.decode()
    assert f'href="{OUT}{message.pk}/change/"' in back


def test_bytes_are_shown_safely(staff_client: Client) -> None:
    script = make_quarantined("<script>alert(1)</script>\u202e".encode(), file_name="<b>x</b>", reason_text="<img src=x>")
    page = staff_client.get(f"{IN}{script.pk}/change/").content.decode()
    for evil in ("<script>alert", "<b>x</b>", "<img src=x>", "\u202e"):
        assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}" in page
    assert "&lt;b&gt;x&lt;/b&gt;" in staff_client.get(IN).content.decode()
    binary = make_quarantined(bytes(range(256)) * 1000)
    shown = text_of(staff_client.get(f"{IN}{binary.pk}/change/"))
    assert "十六进制" in shown
    assert "显示 4096 字节，共 256000 字节" in shown
    assert len(staff_client.get(f"{IN}{binary.pk}/change/").content) < 100_000


def test_a_large_message_is_not_read_whole(staff_client: Client) -> None:
    large = make_quarantined("文".encode() * 1_000_000)
    with CaptureQueriesContext(connection) as queries:
        page = staff_client.get(f"{IN}{large.pk}/change/")
    assert len(page.content) < 200_000
    assert not [
        query["sql"] for query in queries if re.search(r'SELECT (?!SUBSTR).*"content"', query["sql"]) and "SUBSTR" not in query["sql"]
    ]


def test_downloads_are_bytes_and_nothing_else(staff_client: Client) -> None:
    message = make_quarantined(b"<html><script>x</script>", file_name='x"\r\nSet-Cookie: a=b.html')
    response = staff_client.get(f"{IN}{message.pk}/content/")
    assert response.content == b"<html><script>x</script>"
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == f'attachment; filename="inboundmessage-{message.pk}.bin"'
    assert response["X-Content-Type-Options"] == "nosniff"
    unread = make_quarantined(b"", sha256=None, kept_as="inbound-x")
    assert staff_client.get(f"{IN}{unread.pk}/content/").status_code == 404
    assert "内容不在此处" in text_of(staff_client.get(f"{IN}{unread.pk}/change/"))


def test_a_time_that_only_the_database_can_hold(staff_client: Client) -> None:
    message = make_quarantined(reason_code="UNREADABLE_ROW")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE relay_inboundmessage SET send_time = '12026-01-01T00:00:00Z' WHERE id = %s", [message.pk])
    assert staff_client.get(IN).status_code == 200
    assert "12026-01-01" in text_of(staff_client.get(f"{IN}{message.pk}/change/"))
    assert staff_client.get(f"{IN}{message.pk}/history/").status_code == 200


@pytest.mark.parametrize("address", [f"{OUT}x/change/", f"{OUT}999999999/change/", f"{OUT}{'9' * 30}/change/", f"{IN}0/content/"])
def test_what_is_not_there(staff_client: Client, address: str) -> None:
    assert staff_client.get(address).status_code == 404


# -- Doing ----------------------------------------------------------------------------------------


def test_pausing_and_resuming(staff_client: Client, staff: User) -> None:
    assert not Pause.objects.exists()
    assert staff_client.get(f"{CONSOLE}begin/").status_code == 200
    asked = staff_client.post(f"{CONSOLE}begin/", {"partner": "customs", "message_type": "", "reason": " "})
    assert (asked.status_code, Pause.objects.count()) == (200, 0)
    done = staff_client.post(f"{CONSOLE}begin/", {"partner": "customs", "message_type": "", "reason": "停机"}, follow=True)
    assert "已暂停：customs *" in done.content.decode()
    row = Pause.objects.get()
    assert (row.paused_by, row.reason) == (staff.username, "停机")
    twice = staff_client.post(f"{CONSOLE}begin/", {"partner": "customs", "message_type": "", "reason": "停机"})
    assert "已由 staff1 于" in text_of(twice)
    end = f"{CONSOLE}{row.pk}/end/"
    assert "原因：停机" in text_of(staff_client.get(end))
    assert Pause.objects.filter(resumed_at__isnull=True).exists()
    staff_client.post(end, {"reason": "好了"})
    row.refresh_from_db()
    assert (row.resumed_by, row.resume_reason) == (staff.username, "好了")
    assert "该暂停已经结束" in text_of(staff_client.post(end, {"reason": ""}))
    actors = AuditEntry.unscoped.filter(object_type="relay.pause").values_list("action", "actor_id", "actor_name").order_by("pk")
    assert list(actors) == [("relay.pause.begin", staff.pk, "staff1"), ("relay.pause.end", staff.pk, "staff1")]


def test_resending_one(staff_client: Client) -> None:
    message = make_outbound()
    address = f"{OUT}{message.pk}/resend/"
    assert "重新发送" in text_of(staff_client.get(address))
    message.refresh_from_db()
    assert message.state == OutboundState.DELIVERED, "the question changes nothing"
    staff_client.post(address, {"reason": "海关丢失"})
    message.refresh_from_db()
    assert message.state == OutboundState.QUEUED
    entry = AuditEntry.unscoped.get(action="relay.message.resend")
    assert (entry.actor_name, entry.reason) == ("staff1", "海关丢失")
    assert staff_client.post(address, {"reason": ""}).status_code == 302, "twice is no mistake"
    assert AuditEntry.unscoped.filter(action="relay.message.resend").count() == 1


def test_what_cannot_go_again_says_why(staff_client: Client) -> None:
    gone = make_outbound(content=b"", sha256=b"x" * 32, emptied_at=timezone.now())
    response = staff_client.post(f"{OUT}{gone.pk}/resend/", {"reason": ""})
    assert "内容已按保存期限清除" in text_of(response)
    assert f'href="{OUT}{gone.pk}/resend/"' not in staff_client.get(f"{OUT}{gone.pk}/change/").content.decode()


def test_resending_what_was_chosen_sends_just_what_was_shown(staff_client: Client) -> None:
    shown = [make_outbound(partner="ccpit"), make_outbound(partner="ccpit")]
    other = make_outbound()
    address = f"{OUT}resend/?partner=ccpit"
    question = staff_client.get(address)
    assert "将重发下列报文中的 2 份" in text_of(question)
    (ids,) = tree_of(question).xpath("//input[@name='message_ids']/@value")
    later = make_outbound(partner="ccpit")
    done = staff_client.post(address, {"message_ids": ids, "reason": ""}, follow=True)
    assert "已重发 2 份报文。" in done.content.decode()
    states = dict(OutboundMessage.objects.values_list("pk", "state"))
    assert [states[row.pk] for row in shown] == [OutboundState.QUEUED] * 2
    assert [states[row.pk] for row in (other, later)] == [OutboundState.DELIVERED] * 2


def test_resending_needs_a_condition_and_at_most_so_many(staff_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.admin.RESEND_AT_A_TIME", 2)
    for _ in range(3):
        make_outbound()
    assert staff_client.get(f"{OUT}resend/").status_code == 403
    assert "一次最多 2 份" in text_of(staff_client.get(f"{OUT}resend/?state=delivered"))
    assert "没有可以重发的报文" in text_of(staff_client.get(f"{OUT}resend/?state=refused"))
    assert staff_client.post(f"{OUT}resend/", {"message_ids": "x y"}).status_code == 200
    assert not AuditEntry.unscoped.exists()


def test_settling(staff_client: Client) -> None:
    message = make_outbound(state=OutboundState.SENT, subject="smartgate.filing:1", message_type="RCV001", needs_receipt=False)
    assert "无须处置" in text_of(staff_client.post(f"{OUT}{message.pk}/settle/", {"heard": "delivered", "reason": "x"}))
    assert staff_client.post(f"{OUT}{message.pk}/settle/", {"heard": "wrong", "reason": "x"}).status_code == 200
    message.refresh_from_db()
    assert message.state == OutboundState.SENT


def test_retrying_and_discarding(staff_client: Client) -> None:
    message = make_quarantined()
    staff_client.post(f"{IN}{message.pk}/discard/", {"reason": ""})
    assert InboundMessage.objects.get().state == InboundState.QUARANTINED
    staff_client.post(f"{IN}{message.pk}/discard/", {"reason": "测试"})
    row = InboundMessage.objects.get()
    assert (row.state, row.outcome) == (InboundState.DISCARDED, "测试")
    assert "不在隔离之中" in text_of(staff_client.post(f"{IN}{message.pk}/discard/", {"reason": "测试"}))
    staff_client.post(f"{IN}{message.pk}/retry/")
    assert InboundMessage.objects.get().state == InboundState.RECEIVED
    assert "不在隔离之中" in text_of(staff_client.post(f"{IN}{message.pk}/retry/"))
    assert [entry.actor_name for entry in AuditEntry.unscoped.all()] == ["staff1", "staff1"]


# -- Who may ----------------------------------------------------------------------------------------


def test_who_may_only_look_sees_no_buttons_and_does_nothing(db: None) -> None:
    client = staff_with("relay.view_outboundmessage", "relay.view_inboundmessage", "relay.view_pause")
    out, came, pause = make_outbound(), make_quarantined(), make_pause()
    for address in (OUT, IN, CONSOLE, f"{OUT}{out.pk}/change/", f"{IN}{came.pk}/change/", f"{OUT}{out.pk}/content/"):
        response = client.get(address)
        assert response.status_code == 200, address
        assert not re.search(r'href="[^"]*/(resend|settle|retry|discard|begin|end)/', response.content.decode()), address
    for address in (
        f"{OUT}{out.pk}/resend/",
        f"{OUT}{out.pk}/settle/",
        f"{OUT}resend/?state=delivered",
        f"{IN}{came.pk}/retry/",
        f"{IN}{came.pk}/discard/",
        f"{CONSOLE}begin/",
        f"{CONSOLE}{pause.pk}/end/",
    ):
        assert client.get(address).status_code == 403, address
        assert client.post(address, {"reason": "x", "partner": "", "message_type": "", "heard": "delivered"}).status_code == 403, address
    assert not AuditEntry.unscoped.exists()


def test_who_may_operate_and_not_look_at_these_does_neither(db: None) -> None:
    client = staff_with("relay.operate")
    message = make_outbound()
    for address in (OUT, IN, CONSOLE, f"{OUT}{message.pk}/change/", f"{OUT}{message.pk}/content/", f"{OUT}{message.pk}/resend/"):
        assert client.get(address).status_code == 403, address


def test_every_doing_is_protected_against_other_sites(staff: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert client.post(f"{CONSOLE}begin/", {"partner": "", "message_type": "", "reason": "x"}).status_code == 403
    assert not Pause.objects.exists()
