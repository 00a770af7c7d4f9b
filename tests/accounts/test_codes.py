"""SMS codes: how long, how often, for what, and that only one of two gets in."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts import codes
from accounts.models import SmsCode, SmsPurpose
from core import broker
from notifications.models import Delivery

MOBILE, IP = "13812345678", "192.0.2.1"
NOW = timezone.now().replace(microsecond=0)
PURPOSE = SmsPurpose.REGISTRATION
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifications.tasks.send.apply_async", lambda *_args, **_options: None)
    monkeypatch.setattr(broker, "_quiet_until", 0.0)


def send(*, mobile: str = MOBILE, purpose: SmsPurpose = PURPOSE, ip: str = IP, at: datetime = NOW) -> str:
    """Ask for a code; the six digits, as they stand in the SMS."""
    codes.send_code(purpose=purpose, mobile=mobile, ip=ip, at=at)
    delivery = Delivery.objects.latest("pk")
    assert delivery.recipient == mobile
    (digits,) = re.findall(r"[0-9]{6}", delivery.body)
    return str(digits)


def works(code: str, *, mobile: str = MOBILE, purpose: SmsPurpose = PURPOSE, at: datetime = NOW) -> bool:
    """Use the code; whether it was good."""
    try:
        codes.use_code(purpose=purpose, mobile=mobile, code=code, at=at)
    except ValidationError as refusal:
        # One text for all that can be wrong.
        return "请重新获取验证码" not in refusal.messages[0]
    return True


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def refused(job: Callable[[], Any]) -> str:
    """The code of the refusal to send; empty when it was sent."""
    try:
        job()
    except codes.TooManyCodesError as refusal:
        return str(refusal.code)
    return ""


@pytest.mark.covers("ACC-02")
def test_a_code_opens_once() -> None:
    code = send()
    assert works(code)
    assert not works(code)


def test_a_code_lives_five_minutes_and_so_does_its_sms() -> None:
    code = send()
    assert Delivery.objects.get().expires_at == NOW + timedelta(minutes=5)
    assert not works(code, at=NOW + timedelta(minutes=5))
    assert works(code, at=NOW + timedelta(minutes=4, seconds=59))


@pytest.mark.parametrize(("tries", "opens"), [(4, True), (5, False)])
def test_five_tries(tries: int, opens: bool) -> None:
    code = send()
    for _ in range(tries):
        assert not works(wrong(code))
    assert works(code) is opens


def test_tries_count_though_what_surrounds_them_fails() -> None:
    code = send()
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            _use_and_fail(wrong(code))
    assert not works(code)


def _use_and_fail(code: str) -> None:
    works(code)
    raise ZeroDivisionError


@pytest.mark.django_db(transaction=True)
def test_a_try_inside_a_transaction_is_a_mistake_of_the_programmer() -> None:
    code = send()
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        works(code)


def test_a_code_opens_nothing_else() -> None:
    code = send()
    for purpose in SmsPurpose:
        if purpose != PURPOSE:
            assert not works(code, purpose=purpose)
    assert not works(code, mobile="13900000000")
    assert works(code)


def test_a_newer_code_voids_the_older_of_its_purpose_only() -> None:
    first = send()
    other = send(purpose=SmsPurpose.PASSWORD_RESET, at=NOW + timedelta(seconds=61))
    later = NOW + timedelta(seconds=122)
    second = send(at=later)
    assert first == second or not works(first, at=later)
    assert works(second, at=later)
    assert works(other, purpose=SmsPurpose.PASSWORD_RESET, at=later)


def test_a_number_waits_a_minute_for_the_next_code() -> None:
    send()
    with pytest.raises(codes.TooManyCodesError, match="请 31 秒后再"):
        send(at=NOW + timedelta(seconds=30))
    assert refused(lambda: send(at=NOW + timedelta(seconds=59))) == "too_soon"
    assert refused(lambda: send(at=NOW + timedelta(seconds=60))) == ""
    assert refused(lambda: send(mobile="13900000000", at=NOW + timedelta(seconds=60))) == ""


def test_who_has_just_registered_need_not_wait_for_the_code_of_the_first_login() -> None:
    send()
    assert refused(lambda: send(at=NOW + timedelta(seconds=1), purpose=SmsPurpose.FIRST_LOGIN)) == ""


def test_a_number_gets_ten_codes_a_day() -> None:
    for minute in range(10):
        send(at=NOW + timedelta(minutes=minute), ip=f"192.0.2.{minute}")
    assert refused(lambda: send(at=NOW + timedelta(minutes=10))) == "too_many_for_number"
    assert refused(lambda: send(at=NOW + timedelta(hours=23))) == "too_many_for_number"
    assert refused(lambda: send(at=NOW + timedelta(days=1))) == ""


def test_a_stranger_keeps_no_owner_of_a_number_from_his_first_login() -> None:
    """For a registration anybody may name any number; for 账号验证 only who has logged in and gave it."""
    for minute in range(10):
        send(at=NOW + timedelta(minutes=minute), ip=f"192.0.2.{minute}")
    assert refused(lambda: send(at=NOW + timedelta(minutes=10), purpose=SmsPurpose.PASSWORD_RESET)) == "too_many_for_number"
    for minute in range(10):
        send(at=NOW + timedelta(minutes=minute), purpose=SmsPurpose.FIRST_LOGIN, ip=f"192.0.2.{100 + minute}")
    assert refused(lambda: send(at=NOW + timedelta(minutes=10), purpose=SmsPurpose.FIRST_LOGIN)) == "too_many_for_number"


def test_an_address_gets_so_many_an_hour(settings: Any) -> None:
    settings.SMS_CODES_PER_ADDRESS_AND_HOUR = 3
    for number in range(3):
        send(mobile=f"1380000000{number}")
    assert refused(lambda: send(mobile="13800000009")) == "too_many_for_address"
    assert refused(lambda: send(mobile="13800000009", ip="192.0.2.9")) == ""
    assert refused(lambda: send(mobile="13800000008", at=NOW + timedelta(hours=1))) == ""


def test_what_is_refused_leaves_the_code_before_it_good() -> None:
    code = send()
    assert refused(lambda: send(at=NOW + timedelta(seconds=10))) == "too_soon"
    assert works(code, at=NOW + timedelta(seconds=20))
    assert Delivery.objects.count() == 1


def test_pretending_counts_the_same_and_sends_nothing(settings: Any) -> None:
    settings.SMS_CODES_PER_ADDRESS_AND_HOUR = 2

    def pretend(mobile: str = MOBILE, at: datetime = NOW) -> str:
        return refused(lambda: codes.pretend_to_send(purpose=PURPOSE, mobile=mobile, ip=IP, at=at))

    assert pretend() == ""
    assert pretend(at=NOW + timedelta(seconds=30)) == "too_soon"
    assert refused(lambda: send(at=NOW + timedelta(seconds=30))) == "too_soon"
    assert pretend(mobile="13900000000") == ""
    assert pretend(mobile="13900000001") == "too_many_for_address"
    assert not Delivery.objects.exists()
    assert not works("")
    assert not works("000000")


def test_pretending_leaves_a_real_code_good() -> None:
    code = send()
    codes.pretend_to_send(purpose=PURPOSE, mobile=MOBILE, ip=IP, at=NOW + timedelta(minutes=2))
    assert works(code, at=NOW + timedelta(minutes=2))


@pytest.mark.parametrize("code", ["", " ", "12345", "1234567", "１２３４５６", "abcdef", "\x00" * 6, "1" * 10_000])
def test_what_is_no_code_opens_nothing(code: str) -> None:
    send()
    assert not works(code)


_SENT = st.tuples(st.sampled_from(SmsPurpose), st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.from_regex(r"[0-9]{6}", fullmatch=True))


@hypothesis_settings(max_examples=200, deadline=None)
@given(left=_SENT, right=_SENT)
def test_a_digest_is_of_one_code_for_one_purpose_and_number(left: tuple[Any, ...], right: tuple[Any, ...]) -> None:
    assert (codes._digest(*left) == codes._digest(*right)) is (left == right)
    assert re.fullmatch(r"[0-9a-f]{64}", codes._digest(*left))


def test_codes_are_six_digits_from_all_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(codes.secrets, "randbelow", lambda below: asked.append(below) or 7)
    assert send() == "000007"
    assert asked == [1_000_000]


def test_the_database_keeps_a_keyed_digest_and_not_the_code(settings: Any) -> None:
    code = send()
    kept = SmsCode.objects.get()
    assert code not in kept.digest
    assert kept.digest == codes._digest(PURPOSE, MOBILE, code)
    settings.SECRET_KEY = "another key that nobody knows either"
    assert kept.digest != codes._digest(PURPOSE, MOBILE, code)
    with connection.cursor() as cursor:
        cursor.execute("SELECT c::text FROM accounts_smscode c UNION ALL SELECT d::text FROM notifications_delivery d")
        assert all(code not in str(row[0]).replace(MOBILE, "") for row in cursor.fetchall())


def test_codes_that_no_limit_counts_are_forgotten() -> None:
    send(at=NOW - timedelta(days=2, minutes=1))
    send(at=NOW - timedelta(hours=23))
    assert codes.forget_old(at=NOW) == 1
    assert SmsCode.objects.count() == 1


def at_once(count: int, job: Callable[[], Any]) -> list[Any]:
    """Run the job in threads that start together; what each gave."""
    barrier = Barrier(count)

    def run(_number: int) -> Any:
        barrier.wait()
        try:
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.django_db(transaction=True)
def test_two_uses_at_the_same_moment_and_one_wins() -> None:
    code = send()
    assert sorted(at_once(6, lambda: works(code))) == [False] * 5 + [True]


@pytest.mark.django_db(transaction=True)
def test_guesses_at_the_same_moment_have_five_tries_together() -> None:
    code = send()
    assert at_once(8, lambda: works(wrong(code))) == [False] * 8
    assert SmsCode.objects.get().tries == 5
    assert not works(code)


@pytest.mark.django_db(transaction=True)
def test_requests_at_the_same_moment_get_one_code() -> None:
    results = at_once(6, lambda: refused(lambda: codes.send_code(purpose=PURPOSE, mobile=MOBILE, ip=IP, at=NOW)))
    assert sorted(results) == ["", *["too_soon"] * 5]
    assert Delivery.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_address_that_asks_for_many_numbers_at_once_is_still_counted(settings: Any) -> None:
    settings.SMS_CODES_PER_ADDRESS_AND_HOUR = 2
    numbers = iter([f"1380000000{number}" for number in range(6)])
    results = at_once(6, lambda: refused(lambda: codes.send_code(purpose=PURPOSE, mobile=next(numbers), ip=IP, at=NOW)))
    assert sorted(results) == ["", "", *["too_many_for_address"] * 4]
