"""Every role × every right × opened or not × granted or not, out of the table; and nothing decides by role but the table (ACC-13)."""

import re
from itertools import product
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import Enterprise, User
from accounts.rights import ENTERPRISE_ROLES, RIGHTS, ApplicationKey, Right, Role
from tests.accounts.pages import client_of, tree_of

#: A role in a comparison, whichever side it stands on.
COMPARES = re.compile(
    r"""\brole\b\s*(?:==|!=|\bin\b|\bnot in\b)|(?:==|!=)\s*(?:\w+\.)*Role\.|\bRole\.\w+\s*(?:==|!=)|\bis_administrator\b"""
)
#: Comparisons that decide no right, and why they are there.
NO_RIGHT = {
    "accounts/services/bound_cards.py": "whose card can name an enterprise: its own users'",
    "accounts/services/card_authorisations.py": "who signs for an enterprise: its own users",
    "accounts/gates.py": "who has to prove his phone first",
    "accounts/closed.py": "whom to turn to when an account is closed",
    "accounts/services/registration.py": "which registration founded the enterprise",
    "accounts/services/review.py": "which registration founded the enterprise",
    "accounts/services/single_sign_on.py": "which accounts the standard edition's may be bound to",
    "accounts/services/second_factor.py": "who must have a second factor",
    "accounts/models/people.py": "where the table is asked",
    "accounts/rights.py": "the table itself",
    "portal/demo.py": "what demo accounts are made with",
}


@pytest.mark.covers("ACC-13")
@pytest.mark.parametrize(("role", "right"), list(product(Role, Right)))
@pytest.mark.parametrize("is_opened", [True, False])
@pytest.mark.parametrize("is_granted", [True, False])
def test_a_right_is_held_as_the_table_opening_and_granting_say(role, right, is_opened, is_granted):
    others = [key.value for key in ApplicationKey if key != right.application]
    mine = [right.application.value] if right.application else []
    enterprise = Enterprise(applications=others + (mine if is_opened else []), is_active=True) if role in ENTERPRISE_ROLES else None
    user = User(role=role, enterprise=enterprise, applications=others + (mine if is_granted else []))
    expected = right in RIGHTS[role]
    if right.application and role in ENTERPRISE_ROLES:
        expected = expected and is_opened and (is_granted or role == Role.ENTERPRISE_ADMINISTRATOR)
    assert user.has_right(right) == expected


@pytest.mark.covers("ACC-13")
@pytest.mark.parametrize("role", Role)
def test_a_closed_account_or_enterprise_has_no_right(role):
    closed = [User(role=role, is_active=False), User(role=role, frozen_at=timezone.now())]
    if role in ENTERPRISE_ROLES:
        closed = [User(role=role, enterprise=Enterprise(applications=ApplicationKey.values, is_active=False))]
    assert not [right for user in closed for right in Right if user.has_right(right)]


def test_every_role_and_every_right_is_in_the_table():
    assert set(RIGHTS) == set(Role)
    assert set().union(*RIGHTS.values()) == set(Right)


@pytest.mark.covers("ACC-13")
def test_nothing_but_the_table_compares_roles():
    rooms = ("accounts", "core", "notifications", "portal", "reference", "relay", "smartgate")
    found = {
        f"{path}: {line.strip()}"
        for room in rooms
        for path in (file.relative_to(settings.BASE_DIR) for file in Path(settings.BASE_DIR, room).rglob("*.py"))
        if "migrations" not in path.parts and str(path) not in NO_RIGHT
        for line in (Path(settings.BASE_DIR) / path).read_text(encoding="utf-8").splitlines()
        if COMPARES.search(line)
    }
    assert found == set()


def test_the_search_finds_comparisons_and_nothing_else():
    for line in (
        "if user.role == Role.OPERATOR:",
        "x = user.role in ENTERPRISE_ROLES",
        "Role.CUSTOMS != kind",
        "if user.is_administrator:",
    ):
        assert COMPARES.search(line), line
    assert not COMPARES.search("User.objects.filter(role=Role.OPERATOR)")


@pytest.mark.django_db
@pytest.mark.covers("ACC-10", "ACC-13")
def test_what_is_taken_away_is_gone_with_the_next_request_in_menu_rows_and_pages(operator, operator_client):
    page = operator_client.get("/smartgate/filings/").content.decode()
    assert 'href="/smartgate/filings/new/"' in page
    User.objects.filter(pk=operator.pk).update(applications=[])
    assert operator_client.get("/smartgate/filings/").status_code == 403
    # The strip keeps the pages that were opened; the menu and the tiles do not offer them any more.
    assert "/smartgate/" not in " ".join(tree_of(operator_client.get("/accounts/profile/")).xpath("//nav[@id='menu']//a/@href"))
    assert 'href="/smartgate/' not in client_of(operator).get("/").content.decode()
