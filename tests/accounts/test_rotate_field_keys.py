"""`manage.py rotate_field_keys`: after it the old key is not needed any more, for every encrypted value there is (ACC-11)."""

import json
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import BoundCard, Qualification, User
from core import rotation
from core.fields import EncryptedTextField, decrypt, encrypt
from notifications.services import queue_sms
from smartgate.base_data.models import UsualVehicle
from tests.accounts.pages import ID_NO
from tests.conftest import bind_card
from tests.smartgate.factories import make_vehicle

pytestmark = pytest.mark.django_db
OLD, NEW = "the-old-key-of-this-test-0123456789", "the-new-key-of-this-test-0123456789"


@pytest.fixture
def _old_key(settings: Any) -> None:
    settings.FIELD_KEYS = [OLD]


@pytest.fixture
def stored(_old_key: None, operator: User) -> User:
    """One value in each column, encrypted with the old key."""
    User.objects.filter(pk=operator.pk).update(id_no=ID_NO)
    enterprise = operator.enterprise
    enterprise.legal_person_id_no = ID_NO
    enterprise.save()
    Qualification.unscoped.create(enterprise=enterprise, eciq_password="eciq", origin_platform_password="platform")
    bind_card(operator)
    BoundCard.unscoped.update(holder_id_no=ID_NO)
    make_vehicle(operator, driver_name="王师傅", driver_mobile="13904110001")
    queue_sms(mobile="13904110001", text="text")
    Authenticator.objects.create(user=operator, type="totp", data={"secret": encrypt("totp secret")})
    Authenticator.objects.create(
        user=operator,
        type="recovery_codes",
        data={"seed": encrypt("seed"), "used_mask": 5, "migrated_codes": [encrypt("one"), encrypt("two")]},
    )
    return operator


def run(*arguments: str) -> dict[str, Any]:
    from io import StringIO

    out = StringIO()
    call_command("rotate_field_keys", "--json", *arguments, stdout=out)
    return {column["label"]: column for column in json.loads(out.getvalue())["columns"]}


@pytest.mark.covers("ACC-11")
def test_the_old_key_can_be_taken_away_afterwards(stored, settings):
    settings.FIELD_KEYS = [NEW, OLD]
    outcome = run()
    assert {label: column["rotated"] for label, column in outcome.items()} == {
        "accounts_boundcard.holder_id_no": 1,
        "accounts_enterprise.legal_person_id_no": 1,
        "accounts_qualification.eciq_password": 1,
        "accounts_qualification.origin_platform_password": 1,
        "accounts_user.id_no": 1,
        "mfa_authenticator.data": 2,
        "notifications_delivery.body": 1,
        "smartgate_usualvehicle.driver_mobile": 1,
        "smartgate_usualvehicle.driver_name": 1,
    }
    settings.FIELD_KEYS = [NEW]
    user = User.objects.get(pk=stored.pk)
    qualification = Qualification.unscoped.get(pk=user.enterprise_id)
    assert (user.id_no, user.enterprise.legal_person_id_no, user.bound_card.holder_id_no) == (ID_NO, ID_NO, ID_NO)
    assert (qualification.eciq_password, qualification.origin_platform_password) == ("eciq", "platform")
    vehicle = UsualVehicle.unscoped.get()
    assert (vehicle.driver_name, vehicle.driver_mobile) == ("王师傅", "13904110001")
    data = Authenticator.objects.get(type="recovery_codes").data
    assert decrypt(Authenticator.objects.get(type="totp").data["secret"]) == "totp secret"
    assert (decrypt(data["seed"]), data["used_mask"], [decrypt(code) for code in data["migrated_codes"]]) == ("seed", 5, ["one", "two"])
    assert all(column["rotated"] == 0 for column in run().values())


def test_every_encrypted_column_of_the_portal_is_found():
    declared = {
        f"{model._meta.db_table}.{field.column}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, EncryptedTextField)
    }
    assert {values.label for values in rotation.all_values()} == declared | {"mfa_authenticator.data"}


def test_what_no_key_fits_is_named_left_and_does_not_stop_the_rest(stored, settings, administrator, capsys):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_user SET id_no = 'garbage' WHERE id = %s", [administrator.pk])
    settings.FIELD_KEYS = [NEW, OLD]
    with pytest.raises(CommandError, match="1 values fit none"):
        call_command("rotate_field_keys")
    told = capsys.readouterr()
    assert "accounts_user.id_no: 1 rotated, 0 current, 1 unreadable" in told.out
    assert f"no key fits the rows {administrator.pk}" in told.err
    assert "garbage" not in told.out + told.err
    with connection.cursor() as cursor:
        cursor.execute("SELECT id_no FROM accounts_user WHERE id = %s", [administrator.pk])
        assert cursor.fetchone() == ("garbage",)
    settings.FIELD_KEYS = [NEW]
    assert User.objects.get(pk=stored.pk).id_no == ID_NO


def test_broken_off_it_goes_on_where_it_was(stored, settings, monkeypatch):
    for number in range(7):
        queue_sms(mobile=f"1390411000{number}", text="text")
    settings.FIELD_KEYS = [NEW, OLD]
    monkeypatch.setattr(rotation, "_BATCH", 2)
    calls = 0
    store = rotation._store

    def failing(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 8:
            raise RuntimeError("power cut")
        store(*arguments)

    monkeypatch.setattr(rotation, "_store", failing)
    with pytest.raises(RuntimeError):
        call_command("rotate_field_keys", verbosity=0)
    monkeypatch.setattr(rotation, "_store", store)
    again = run()
    assert sum(column["rotated"] for column in again.values()) > 0
    assert all(column["rotated"] == 0 for column in run().values())
