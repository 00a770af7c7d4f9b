"""Two windows at once, on real transactions: no second 动态口令, and the last required factor stays."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from accounts.services import second_factor
from core.models import AuditEntry
from tests.smartgate.test_races import at_once, refusals

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.covers("ACC-14")]


def test_a_totp_set_up_in_two_windows_is_one(operator):
    def add() -> None:
        with second_factor.adding(operator, second_factor.TOTP):
            TOTP.activate(operator, generate_totp_secret())

    assert refusals(at_once(add, add, add)) == 2
    assert Authenticator.objects.filter(user=operator).count() == 1
    assert AuditEntry.unscoped.filter(action="accounts.second_factor.add").count() == 1


def test_of_two_last_factors_removed_in_two_windows_one_stays(staff, settings):
    settings.STAFF_SECOND_FACTOR_REQUIRED = True
    factors = [Authenticator.objects.create(user=staff, type="webauthn", data={"name": name, "credential": {}}) for name in ("甲", "乙")]

    def remove(factor: Authenticator) -> None:
        with second_factor.removing(factor):
            Authenticator.objects.filter(pk=factor.pk).delete()

    assert refusals(at_once(*[lambda factor=factor: remove(factor) for factor in factors])) == 1
    assert Authenticator.objects.filter(user=staff).count() == 1


def test_a_user_cannot_have_any_number_of_passkeys(operator):
    for number in range(second_factor.MOST_PASSKEYS):
        Authenticator.objects.create(user=operator, type="webauthn", data={"name": str(number), "credential": {}})

    def add() -> None:
        with second_factor.adding(operator, second_factor.PASSKEY, name="x"):
            pytest.fail("must not be reached")

    assert "最多可添加 10 个" in str(at_once(add)[0])
