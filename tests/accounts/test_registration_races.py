"""Two at once, on real transactions: one registers, the other is told; one reviewer decides, the other is told."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client

from accounts import agreements
from accounts.models import Enterprise, Registration, ReviewStatus, User
from accounts.services import registration as services
from accounts.services.review import approve_registration, reject_registration
from core.workflow import ActionRefused
from notifications.models import Delivery, Way
from tests.accounts.registering import DONE, MOBILE, REGISTER, services_data, text, to_step_3
from tests.factories import credit_code, identity_number

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs in threads that start together; their results, or the refusals they raised."""
    barrier = Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return job()
        except ActionRefused as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def user(username="wanghai01", mobile=MOBILE) -> services.UserDetails:
    return services.UserDetails(
        username=username, password_hash="!", full_name="王海", id_no=identity_number(1), mobile=mobile, email="a@example.com"
    )


def opening() -> services.Opening:
    return services.Opening(
        services=["manifest"],
        applications=["smartgate"],
        inspection_registration_no="",
        customs_registration_no="",
        ic_card_no="",
        agreements=agreements.newest(),
    )


def register(*, number=77, username="wanghai01", submission: UUID | None = None) -> Registration:
    enterprise = services.EnterpriseDetails(
        name="大连新注册国际货运代理有限公司",
        credit_code=credit_code(number),
        enterprise_types=["trader"],
        legal_person_name="王海",
        legal_person_id_no=identity_number(1),
        office_phone="0411-82732333",
        office_address="港湾街1号",
    )
    return services.register_enterprise(
        submission=submission or uuid4(), enterprise=enterprise, user=user(username), opening=opening(), ip="127.0.0.1"
    )


def fields_refused(results: list[Any]) -> list[str]:
    return [result.field for result in results if isinstance(result, services.RegistrationRefusedError)]


@pytest.mark.parametrize(
    ("other", "field"),
    [
        ({"username": "another1"}, "credit_code"),
        ({"number": 78, "username": "WANGHAI01"}, "username"),
    ],
)
def test_of_two_that_register_the_same_one_wins_and_the_other_is_told(other, field):
    results = at_once(register, lambda: register(**other))
    assert fields_refused(results) == [field]
    assert (Enterprise.objects.count(), User.objects.count(), Registration.objects.count()) == (1, 1, 1)
    assert Delivery.objects.filter(way=Way.EMAIL).count() == 1


@pytest.mark.covers("ACC-05")
def test_one_code_registered_in_two_browsers_at_the_same_moment():
    first, second = Client(), Client()
    to_step_3(first)
    to_step_3(second, username="another1", mobile="13904110002")
    answers = at_once(lambda: first.post(REGISTER, services_data()), lambda: second.post(REGISTER, services_data()))
    assert sorted(answer.status_code for answer in answers) == [200, 302]
    won, lost = sorted(answers, key=lambda answer: -answer.status_code)
    assert won["Location"] == DONE
    assert "该企业已注册" in text(lost)
    assert 'value="大连新注册国际货运代理有限公司"' in text(lost)
    assert Enterprise.objects.count() == 1


def test_one_submission_twice_at_once_is_one_registration():
    submission = uuid4()
    results = at_once(*[lambda: register(submission=submission)] * 3)
    assert len({result.pk for result in results}) == 1
    assert Registration.objects.count() == 1


@pytest.mark.covers("ACC-06")
@pytest.mark.parametrize("second", ["approve", "reject"])
def test_of_two_reviewers_at_once_the_second_is_told(staff, settings, second):
    settings.REGISTRATION_REVIEW = "manual"
    waiting = register()

    def approve():
        return approve_registration(actor=staff, registration_id=waiting.pk)

    def reject():
        return reject_registration(actor=staff, registration_id=waiting.pk, reason="资料不全")

    results = at_once(approve, approve if second == "approve" else reject)
    assert sum(isinstance(result, ActionRefused) for result in results) == 1
    waiting.refresh_from_db()
    assert waiting.status != ReviewStatus.PENDING
    assert User.objects.filter(username="wanghai01").exists() == (waiting.status == ReviewStatus.APPROVED)
    # One text when it was sent in, one for the decision.
    assert Delivery.objects.filter(way=Way.SMS).count() == 2


def test_an_operator_comes_wholly_before_or_wholly_after_the_rejection(staff, settings):
    settings.REGISTRATION_REVIEW = "manual"
    waiting = register()
    results = at_once(
        lambda: reject_registration(actor=staff, registration_id=waiting.pk, reason="资料不全"),
        lambda: services.register_operator(
            submission=uuid4(), founding_id=waiting.pk, user=user("oper0001"), opening=opening(), ip="127.0.0.1"
        ),
    )
    assert isinstance(results[0], Registration)
    assert not User.objects.filter(username__in=["wanghai01", "oper0001"]).exists()
    assert not Enterprise.objects.exists()
    assert not Registration.objects.filter(status=ReviewStatus.PENDING).exists()
