"""What operators see of deliveries: the list in /admin/ and `manage.py notification_status`."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from notifications import services
from notifications.models import Delivery, DeliveryStatus
from tests.notifications.conftest import Gateway, queue

pytestmark = pytest.mark.django_db


def test_admin_shows_how_it_fared_and_never_the_text(staff_client: Client) -> None:
    failed = queue("验证码 947215")
    Delivery.objects.filter(pk=failed.pk).update(status=DeliveryStatus.FAILED, error="HTTP 404")
    waiting = queue("验证码 615243")
    address = reverse("admin:notifications_delivery_changelist")
    for path in (address, f"{address}?q=13812345678", *(f"{address}{pk}/change/" for pk in (failed.pk, waiting.pk))):
        page = staff_client.get(path)
        assert page.status_code == 200
        text = page.content.decode()
        assert "13812345678" in text
        assert "947215" not in text
        assert "615243" not in text
        assert waiting.body not in text
    only_failed = staff_client.get(address, {"status__exact": "failed"}).content.decode()
    assert "HTTP 404" in only_failed
    assert "1 发送记录" in only_failed


def test_admin_opens_also_without_the_key(staff_client: Client, settings: pytest.FixtureRequest) -> None:
    delivery = queue()
    settings.FIELD_KEYS = ["another key, as long as it has to be"]  # type: ignore[attr-defined]
    assert staff_client.get(reverse("admin:notifications_delivery_change", args=[delivery.pk])).status_code == 200


def status_of(way: str) -> dict[str, object]:
    out = StringIO()
    call_command("notification_status", "--json", stdout=out)
    (row,) = [row for row in json.loads(out.getvalue())["ways"] if row["way"] == way]
    return row


def test_status_tells_what_waits_and_what_failed(gateway: type[Gateway]) -> None:
    now = timezone.now()
    queue(at=now - timedelta(minutes=2))
    queue(at=now - timedelta(minutes=1))
    Delivery.objects.filter(pk=queue().pk).update(attempts=3, error="HTTP 503")
    for age in (timedelta(0), timedelta(days=2)):
        Delivery.objects.filter(pk=queue(at=now - age).pk).update(status=DeliveryStatus.FAILED, error="HTTP 404")
    Delivery.objects.filter(pk=queue().pk).update(status=DeliveryStatus.SENT)
    row = status_of("sms")
    assert 120 <= row.pop("oldest_waiting_seconds") < 180  # type: ignore[operator]
    assert row.pop("last_error") in {"HTTP 404", "HTTP 503"}
    assert row == {"way": "sms", "waiting": 3, "waiting_tried": 1, "most_attempts": 3, "sent_last_day": 1, "failed_last_day": 1}
    services.send_due()
    assert status_of("sms")["waiting"] == 0


def test_status_also_says_that_there_is_nothing() -> None:
    assert status_of("email") == {
        "way": "email",
        "waiting": 0,
        "oldest_waiting_seconds": None,
        "waiting_tried": 0,
        "most_attempts": 0,
        "sent_last_day": 0,
        "failed_last_day": 0,
        "last_error": "",
    }
    out = StringIO()
    call_command("notification_status", stdout=out)
    heading, *rows = out.getvalue().splitlines()
    assert heading.split()[:2] == ["way", "waiting"]
    assert [row.split()[:3] for row in rows] == [["sms", "0", "-"], ["email", "0", "-"]]
