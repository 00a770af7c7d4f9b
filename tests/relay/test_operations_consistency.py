"""The frame of `check_consistency`: one moment, nothing changed, streamed; and settling at once with a receipt."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import InternalError, connection

from relay import consistency, services
from relay.management.operating import ShellOperator
from relay.models import OutboundState
from relay.services import operations
from tests.relay.commands import typed
from tests.relay.conftest import Application, Boxes, outbound, queue
from tests.relay.messages import technical
from tests.relay.rows import make_outbound, make_pause

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("boxes", "application"), pytest.mark.covers("OPS-04")]


def test_a_check_cannot_change_anything() -> None:
    with pytest.raises(InternalError, match="read-only"), consistency.one_moment():
        make_pause()


def test_all_checks_see_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another worker commits while the checks run is not there for any of them."""

    def elsewhere() -> None:
        try:
            make_outbound(partner="nobody", state=OutboundState.QUEUED)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, consistency.one_moment():
        assert list(consistency.findings("relay.unknown_partner")) == []
        pool.submit(elsewhere).result()
        assert list(consistency.findings("relay.unknown_partner")) == []
    with consistency.one_moment():
        assert len(list(consistency.findings("relay.unknown_partner"))) == 1


def test_more_findings_than_are_held_at_a_time() -> None:
    for _ in range(3):
        make_outbound(partner="nobody", state=OutboundState.QUEUED)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO relay_pause (partner, message_type, reason, paused_by, paused_at, resumed_by, resume_reason)"
            " SELECT 'p' || n, '', 'x', 'os:x', now() - interval '2 days', '', '' FROM generate_series(1, 1200) AS n"
        )
    answer = typed("check_consistency", "--json")
    assert answer.status == 3
    assert answer.json["counts"] == {"relay.long_pause": 1200, "relay.unknown_partner": 3}
    assert len(answer.json["findings"]) == 1203


def test_a_name_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "_checks", {})
    one = consistency.Check("room.check", "SELECT 1", "", "", "")
    consistency.register(one, one)
    with pytest.raises(ImproperlyConfigured):
        consistency.register(consistency.Check("room.check", "SELECT 2", "", "", ""))
    assert consistency.names() == ["room.check"]


@pytest.mark.parametrize("delivered", [True, False])
def test_a_receipt_and_an_operator_at_once_end_a_message_once(boxes: Boxes, application: Application, delivered: bool) -> None:
    message = queue()
    services.dispatch("customs")
    boxes.take_all()
    boxes.put(technical(message.message_id))
    barrier = Barrier(2)

    def settle() -> None:
        try:
            operations.settle(message_id=message.message_id, delivered=delivered, reason="x", operator=ShellOperator("os:x"))
        except operations.OperationRefused as refusal:
            assert refusal.code == "DELIVERED", "the receipt was quicker"  # noqa: PT017 - which of the two was first is open

    def run(job: object) -> None:
        barrier.wait()
        try:
            job()  # type: ignore[operator]
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(run, job) for job in (settle, lambda: services.receive("customs"))]:
            future.result()
    row = outbound(message)
    assert row.finished_at is not None
    assert row.lease_token is None
    if row.state == OutboundState.REFUSED:
        assert application.refused
        assert not application.delivered
    else:
        assert application.delivered
        assert not application.refused
