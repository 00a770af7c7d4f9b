"""The login history (ACC-14): what it says of place and device, whose it is, and the note about an unusual login."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import LoginAttempt, LoginMethod, LoginOutcome
from accounts.services.history import describe, tell_of_unknown_login
from notifications.models import Delivery

pytestmark = [pytest.mark.django_db, pytest.mark.covers("ACC-14")]
HISTORY = "/accounts/security/history/"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
NEWER_CHROME = CHROME.replace("130", "141")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)


def attempt(user, *, ip="59.46.1.1", agent=CHROME, days_ago=0, outcome=LoginOutcome.SUCCEEDED, method=LoginMethod.PASSWORD):
    place, device = describe(ip, agent)
    return LoginAttempt.objects.create(
        at=timezone.now() - timedelta(days=days_ago),
        account="digest",
        user=user,
        method=method,
        outcome=outcome,
        ip=ip,
        place=place,
        device=device,
        user_agent=agent,
    )


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (CHROME, "Chrome 130 / Windows"),
        (FIREFOX, "Firefox 128 / Linux"),
        (IPHONE, "Mobile Safari 17 / iOS"),
        ("nonsense", "无法识别的设备"),
        ("", ""),
        ("x" * 100_000, "无法识别的设备"),
    ],
)
def test_the_device_is_browser_and_system(agent, device):
    assert describe("", agent)[1] == device


@pytest.mark.parametrize(
    ("ip", "place"),
    [
        ("127.0.0.1", "本机"),
        ("::1", "本机"),
        ("10.1.2.3", "内网"),
        ("192.168.0.9", "内网"),
        ("fd00::1", "内网"),
        ("59.46.1.1", "外网"),
        ("::ffff:59.46.1.1", "外网"),
        ("2408:8000::1", "外网"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_the_place_is_what_the_address_says_by_itself(ip, place):
    assert describe(ip, "")[0] == place


def test_the_history_shows_ones_own_attempts_and_nobody_elses(operator_client, operator, other_operator):
    attempt(operator)
    attempt(operator, outcome=LoginOutcome.FAILED, agent=FIREFOX, ip="10.9.9.9")
    attempt(operator, method=LoginMethod.PASSKEY)
    attempt(other_operator, ip="203.0.113.77")
    page = operator_client.get(HISTORY).content.decode()
    for text in ("59.46.1.1", "外网", "Chrome 130 / Windows", "身份验证未通过", "Firefox 128 / Linux", "内网", "通行密钥"):
        assert text in page
    assert "203.0.113.77" not in page


def test_the_history_is_filtered(operator_client, operator):
    attempt(operator)
    attempt(operator, outcome=LoginOutcome.FAILED, ip="10.9.9.9")
    page = operator_client.get(f"{HISTORY}?outcome=failed").content.decode()
    assert "10.9.9.9" in page
    assert "59.46.1.1" not in page


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, False),
        ({"agent": NEWER_CHROME}, False),
        ({"ip": "59.46.200.7"}, False),
        ({"agent": FIREFOX}, True),
        ({"ip": "123.5.6.7"}, True),
        ({"ip": "10.0.0.8"}, True),
    ],
    ids=["the same", "browser brought up to date", "same provider's next address", "device", "far address", "office network"],
)
def test_a_login_unlike_the_earlier_ones_is_told(operator, changed, told):
    operator.mobile, operator.email = "13904110001", "operator1@example.com"
    operator.save()
    attempt(operator, days_ago=5)
    assert tell_of_unknown_login(attempt(operator, **changed)) is told
    assert set(Delivery.objects.values_list("way", flat=True)) == ({"sms", "email"} if told else set())


def test_what_was_seen_long_ago_or_failed_is_unknown_again(operator):
    operator.mobile = "13904110001"
    operator.save()
    attempt(operator, days_ago=5)
    attempt(operator, agent=FIREFOX, days_ago=91)
    attempt(operator, agent=FIREFOX, days_ago=1, outcome=LoginOutcome.FAILED)
    assert tell_of_unknown_login(attempt(operator, agent=FIREFOX))
    assert "Firefox 128 / Linux" in Delivery.objects.get().body


def test_a_first_login_and_a_portal_that_does_not_want_it_tell_nothing(operator, settings):
    operator.mobile = "13904110001"
    operator.save()
    assert not tell_of_unknown_login(attempt(operator))
    settings.LOGIN_NOTICE = False
    assert not tell_of_unknown_login(attempt(operator, agent=FIREFOX))
    assert not Delivery.objects.exists()
