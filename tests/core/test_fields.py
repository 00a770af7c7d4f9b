"""Encrypted fields: what can be asked of them."""

import pytest
from django.db.models import F

from accounts.models import User

pytestmark = pytest.mark.django_db


def test_an_encrypted_value_is_not_looked_up(operator):
    User.objects.filter(pk=operator.pk).update(id_no="21021119900307425X")
    assert list(User.objects.exclude(id_no="")) == [operator]
    assert not User.objects.filter(id_no=None).exists()
    for value in ("21021119900307425X", F("full_name")):
        with pytest.raises(TypeError, match="encrypted"):
            User.objects.filter(id_no=value)
