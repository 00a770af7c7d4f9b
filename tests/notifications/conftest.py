"""A gateway of the tests' own, which does as it is told and remembers what it was given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from core import broker
from notifications import services
from notifications.models import Delivery


@dataclass
class Sent:
    """What the gateway was given."""

    reference: UUID
    recipient: str
    subject: str
    body: str


class Gateway:
    """Takes everything, unless `does` raises."""

    taken: ClassVar[list[Sent]] = []
    tries: ClassVar[list[UUID]] = []
    does: ClassVar[Callable[[], Any] | None] = None

    def send(self, *, reference: UUID, recipient: str, subject: str, body: str) -> None:
        type(self).tries.append(reference)
        if (does := type(self).does) is not None:
            does()
        type(self).taken.append(Sent(reference, recipient, subject, body))


@pytest.fixture
def gateway(settings: Any) -> type[Gateway]:
    settings.NOTIFICATION_GATEWAYS = dict.fromkeys(("sms", "email"), "tests.notifications.conftest.Gateway")
    Gateway.taken, Gateway.tries, Gateway.does = [], [], None
    return Gateway


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The deliveries a worker would have been woken for; no broker is asked."""
    heard: list[int] = []
    monkeypatch.setattr("notifications.tasks.send.apply_async", lambda args, **_: heard.append(args[0]))
    monkeypatch.setattr(broker, "_quiet_until", 0.0)
    return heard


def queue(text: str = "验证码 123456", **options: Any) -> Delivery:
    """An SMS queued in a transaction of its own."""
    with transaction.atomic():
        return services.queue_sms(mobile="13812345678", text=text, **options)


def now_of(delivery: Delivery) -> Delivery:
    """The delivery as the database has it now."""
    return Delivery.objects.get(pk=delivery.pk)


def make_due(delivery: Delivery) -> None:
    """As if its waiting time were over."""
    Delivery.objects.filter(pk=delivery.pk).update(due_at=timezone.now())
