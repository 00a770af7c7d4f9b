"""What is queued is sent once, after the commit, and tried again until it is of no use; its text is nowhere to be found afterwards."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from core import broker
from notifications import services, tasks
from notifications.gateways import GatewayError
from notifications.models import Delivery, DeliveryStatus
from tests.notifications.conftest import Gateway, make_due, now_of, queue

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "947215"


def stored_body(delivery: Delivery) -> str:
    """What the column really holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM notifications_delivery WHERE id = %s", [delivery.pk])
        return str(cursor.fetchone()[0])


def refuse(permanent: bool = False) -> Any:
    def refusal() -> None:
        raise GatewayError("HTTP 503", permanent=permanent)

    return refusal


def in_threads(count: int, job: Any) -> list[Any]:
    """Run the job in threads that start together; what each gave or raised. Their connections are closed."""
    barrier = Barrier(count)

    def run(_number: int) -> Any:
        barrier.wait()
        try:
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_queued_with_the_transaction_and_sent_after_it(gateway: type[Gateway], woken: list[int]) -> None:
    with transaction.atomic():
        delivery = services.queue_sms(mobile="13812345678", text=f"验证码 {SECRET}")
        assert woken == []
    assert woken == [delivery.pk]
    tasks.send(delivery.pk)
    (sent,) = gateway.taken
    assert (sent.reference, sent.recipient, sent.body) == (delivery.reference, "13812345678", f"验证码 {SECRET}")
    assert (now_of(delivery).status, now_of(delivery).attempts, now_of(delivery).error) == (DeliveryStatus.SENT, 1, "")
    assert now_of(delivery).sent_at is not None


def test_what_is_rolled_back_is_not_sent(gateway: type[Gateway], woken: list[int]) -> None:
    def fail() -> None:
        with transaction.atomic():
            services.queue_sms(mobile="13812345678", text="x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    tasks.sweep()
    assert (woken, gateway.tries, Delivery.objects.count()) == ([], [], 0)


def test_sent_once_however_often_a_worker_is_told(gateway: type[Gateway]) -> None:
    delivery = queue()
    for _ in range(3):
        tasks.send(delivery.pk)
        tasks.sweep()
    assert gateway.tries == [delivery.reference]


@pytest.mark.parametrize("told", [True, False])
def test_two_workers_at_once_send_it_once(gateway: type[Gateway], told: bool) -> None:
    delivery = queue()
    in_threads(4, lambda: services.send_one(delivery.pk if told else None))
    assert gateway.tries == [delivery.reference]


def test_workers_share_what_waits(gateway: type[Gateway]) -> None:
    deliveries = {queue(str(number)).reference for number in range(20)}
    assert sum(in_threads(4, services.send_due)) == 20
    assert len(gateway.tries) == 20
    assert set(gateway.tries) == deliveries


def test_a_try_that_fails_is_repeated_later_and_later_under_the_same_reference(gateway: type[Gateway]) -> None:
    gateway.does = refuse()
    delivery, waits = queue(), []
    for _ in range(10):
        make_due(delivery)
        before = timezone.now()
        tasks.sweep()
        waits.append(round((now_of(delivery).due_at - before).total_seconds()))
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert set(gateway.tries) == {delivery.reference}
    assert (now_of(delivery).status, now_of(delivery).attempts, now_of(delivery).error) == (DeliveryStatus.WAITING, 10, "HTTP 503")
    tasks.send(delivery.pk)
    assert len(gateway.tries) == 10, "not before its time"
    gateway.does = None
    make_due(delivery)
    tasks.sweep()
    assert (now_of(delivery).status, now_of(delivery).error) == (DeliveryStatus.SENT, "")


def test_what_will_never_be_taken_is_given_up_at_once(gateway: type[Gateway]) -> None:
    gateway.does = refuse(permanent=True)
    delivery = queue()
    tasks.send(delivery.pk)
    assert (now_of(delivery).status, now_of(delivery).error, stored_body(delivery)) == (DeliveryStatus.FAILED, "HTTP 503", "")
    assert now_of(delivery).sent_at is None


def test_what_is_of_no_use_any_more_is_not_sent(gateway: type[Gateway]) -> None:
    delivery = queue(at=timezone.now() - timedelta(minutes=6), keeps=timedelta(minutes=5))
    tasks.sweep()
    assert gateway.tries == []
    assert (now_of(delivery).status, now_of(delivery).error, stored_body(delivery)) == (DeliveryStatus.FAILED, "expired", "")


def test_no_wait_is_longer_than_the_text_is_of_use(gateway: type[Gateway]) -> None:
    gateway.does = refuse()
    delivery = queue(keeps=timedelta(seconds=1))
    tasks.send(delivery.pk)
    assert now_of(delivery).due_at == now_of(delivery).expires_at


def test_the_body_is_encrypted_while_it_waits_and_gone_afterwards(gateway: type[Gateway]) -> None:
    delivery = queue(f"验证码 {SECRET}")
    waiting = stored_body(delivery)
    assert waiting
    assert SECRET not in waiting
    assert "验证码" not in waiting
    tasks.send(delivery.pk)
    assert stored_body(delivery) == ""


def test_a_worker_that_dies_while_sending_costs_a_second_try(gateway: type[Gateway]) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    gateway.does = die
    delivery = queue()
    with pytest.raises(Killed):
        tasks.send(delivery.pk)
    gateway.does = None
    tasks.sweep()
    assert len(gateway.tries) == 1, "it may still be under way"
    lease = now_of(delivery).due_at - timezone.now()
    assert timedelta(seconds=30) < lease < timedelta(minutes=2)
    make_due(delivery)
    tasks.sweep()
    assert gateway.tries == [delivery.reference] * 2
    assert now_of(delivery).status == DeliveryStatus.SENT


def test_who_was_too_slow_does_not_free_what_another_has_claimed(gateway: type[Gateway]) -> None:
    delivery = queue()

    def fail_after_another_has_claimed() -> None:
        make_due(delivery)
        services._claim(delivery.pk)
        raise GatewayError("ReadTimeout")

    gateway.does = fail_after_another_has_claimed
    tasks.send(delivery.pk)
    assert now_of(delivery).due_at > timezone.now() + timedelta(seconds=20), "the other's lease stands"
    assert now_of(delivery).error == ""


def test_a_broker_that_is_away_costs_the_request_nothing_but_time(
    gateway: type[Gateway], settings: Any, monkeypatch: pytest.MonkeyPatch, woken: list[int]
) -> None:
    def unreachable(*_args: Any, **_options: Any) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr("notifications.tasks.send.apply_async", unreachable)
    delivery = queue()
    assert broker.quiet(), "the next requests do not even ask"
    queue()
    tasks.sweep()
    assert now_of(delivery).status == DeliveryStatus.SENT
    assert len(gateway.taken) == 2


def test_a_body_that_no_key_opens_does_not_stand_in_the_way(gateway: type[Gateway], settings: Any) -> None:
    locked = queue()
    settings.FIELD_KEYS = ["another key, as long as it has to be"]
    open_ = queue()
    tasks.sweep()
    assert (now_of(open_).status, now_of(locked).status) == (DeliveryStatus.SENT, DeliveryStatus.FAILED)
    assert "FIELD_KEYS" in now_of(locked).error


def test_a_gateway_with_a_fault_stops_nobody_and_tells_nothing(gateway: type[Gateway], caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError(f"cannot send 验证码 {SECRET}")

    gateway.does = fail
    first, second = queue(), queue()
    with caplog.at_level(logging.DEBUG):
        tasks.sweep()
    assert [now_of(delivery).error for delivery in (first, second)] == ["RuntimeError"] * 2
    assert SECRET not in caplog.text


def test_a_sweep_ends_though_the_gateway_is_slow(gateway: type[Gateway]) -> None:
    gateway.does = lambda: Event().wait(0.2) and None
    for _ in range(5):
        queue()
    assert services.send_due(seconds=0.3) == 2


def test_what_ended_long_ago_is_forgotten(gateway: type[Gateway], settings: Any) -> None:
    old = timezone.now() - timedelta(days=settings.NOTIFICATION_KEEP_DAYS, minutes=1)
    sent, waiting, recent = queue(at=old, keeps=timedelta(days=365)), queue(at=old, keeps=timedelta(days=365)), queue()
    Delivery.objects.exclude(pk=waiting.pk).update(status=DeliveryStatus.SENT)
    tasks.forget_old()
    assert set(Delivery.objects.values_list("pk", flat=True)) == {waiting.pk, recent.pk}
    assert sent.pk


def test_tasks_carry_an_id_and_run_in_a_queue_of_their_own(settings: Any, woken: list[int]) -> None:
    from portal.celery import app

    delivery = queue(f"验证码 {SECRET}")
    assert woken == [delivery.pk]
    assert app.amqp.router.route({}, "notifications.send")["queue"].name == "notifications"
    assert {"notifications.sweep", "notifications.forget_old"} <= {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
