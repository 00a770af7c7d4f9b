"""What all tests share: the mode, the services, enterprises and their users."""

import os

os.environ.setdefault("PORTAL_MODE", "test")

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import Client
from django.utils import timezone

from accounts.models import BoundCard, Enterprise, User
from accounts.rights import ApplicationKey, Role
from reference import queries as reference_queries
from tests.rabbitmq import rabbitmq  # noqa: F401 - a fixture for every room

PASSWORD = "Harbour2026"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Every worker of pytest-xdist has a database of its own; flushing between tests may pass the append-only trigger.

    The database refuses TRUNCATE on the audit trail even to its owner; only here, where a test's rows have to go, triggers are
    set aside for that one statement.
    """
    flush = DatabaseOperations.execute_sql_flush

    def execute_sql_flush(self: DatabaseOperations, sql_list: Sequence[str]) -> None:
        flush(self, ["SET session_replication_role = replica", *sql_list, "SET session_replication_role = origin"])

    DatabaseOperations.execute_sql_flush = execute_sql_flush


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    """No test reads what another left in Redis, or in the memory of the code tables."""
    yield
    cache.clear()
    reference_queries.forget()


def make_enterprise(number: int, name: str) -> Enterprise:
    """An enterprise with a valid credit code made from a number."""
    from tests.factories import credit_code

    code = credit_code(number)
    return Enterprise.objects.create(name=name, credit_code=code, organisation_code=code[8:17], applications=ApplicationKey.values)


def make_user(username: str, role: Role, enterprise: Enterprise | None = None, **extra: Any) -> User:
    """A user whose password is PASSWORD, who has been here before and may use all applications; `extra` says otherwise."""
    extra = {"first_login_verified_at": timezone.now(), "applications": ApplicationKey.values, **extra}
    return User.objects.create_user(username, password=PASSWORD, full_name=username, role=role, enterprise=enterprise, **extra)


def bind_card(user: User, card_no: str = "2100012345678") -> BoundCard:
    """A card of this number, bound to the user without any examination; its certificate is none."""
    assert user.enterprise is not None
    now = timezone.now()
    user.bound_card = BoundCard.unscoped.create(
        user=user,
        enterprise=user.enterprise,
        card_no=card_no,
        certificate_no="1A2B",
        certificate=b"no certificate",
        key_name="SM2",
        holder_name=user.full_name,
        enterprise_name=user.enterprise.name,
        organisation_code=user.enterprise.organisation_code,
        valid_from=now - timedelta(days=1),
        valid_to=now + timedelta(days=365),
        bound_at=now,
    )
    return user.bound_card


@pytest.fixture
def enterprise(db: None) -> Enterprise:
    return make_enterprise(1, "大连测试国际货运代理有限公司")


@pytest.fixture
def other_enterprise(db: None) -> Enterprise:
    return make_enterprise(2, "营口测试物流有限公司")


@pytest.fixture
def operator(enterprise: Enterprise) -> User:
    return make_user("operator1", Role.OPERATOR, enterprise)


@pytest.fixture
def administrator(enterprise: Enterprise) -> User:
    return make_user("admin1", Role.ENTERPRISE_ADMINISTRATOR, enterprise)


@pytest.fixture
def other_operator(other_enterprise: Enterprise) -> User:
    return make_user("operator2", Role.OPERATOR, other_enterprise)


@pytest.fixture
def staff(db: None) -> User:
    return make_user("staff1", Role.PLATFORM_STAFF, is_staff=True, is_superuser=True)


@pytest.fixture
def operator_client(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def other_client(other_operator: User) -> Client:
    client = Client()
    client.force_login(other_operator)
    return client


@pytest.fixture
def staff_client(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client
