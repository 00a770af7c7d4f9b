"""Certificates that end: the banner, and one SMS and e-mail for each certificate (CARD-08)."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import tasks
from accounts.models import BoundCard, Enterprise, User
from accounts.services import bound_cards, card_warnings
from notifications.models import Delivery
from tests.accounts.card_holders import card_of, read
from tests.accounts.pages import sms_to, trail, tree_of
from tests.conftest import bind_card

pytestmark = [pytest.mark.django_db, pytest.mark.covers("CARD-08")]
NOW = timezone.now()
LIST = "/smartgate/filings/"


@pytest.fixture
def owner(operator: User) -> User:
    """Has a card, a phone and an address."""
    operator.mobile, operator.email = "13904110001", "li@example.com"
    operator.save()
    bind_card(operator)
    return operator


def ends(days: float) -> None:
    BoundCard.unscoped.update(valid_to=NOW + timedelta(days=days))


def banner(client: Any, path: str = LIST) -> str:
    return "".join("".join(part.itertext()) for part in tree_of(client.get(path)).xpath("//*[@id='card-end']")).strip()


def test_told_once_by_sms_and_mail(owner):
    ends(29.9)
    assert card_warnings.warn_of_ends(at=NOW) == ["2100012345678"]
    (text,) = sms_to("13904110001")
    assert "2100012345678" in text
    assert "将于" in text
    assert Delivery.objects.get(recipient="li@example.com").subject == "辽宁单一窗口：IC卡证书到期提醒"
    (entry,) = trail("accounts.card.warn_end")
    assert (entry.actor_name, entry.enterprise_id) == ("系统", owner.enterprise_id)
    assert card_warnings.warn_of_ends(at=NOW) == []
    tasks.warn_card_ends()
    assert Delivery.objects.count() == 2
    assert len(trail("accounts.card.warn_end")) == 1


def test_the_daily_job_warns(owner):
    ends(1)
    tasks.warn_card_ends()
    assert len(sms_to("13904110001")) == 1


@pytest.mark.parametrize(("days", "warned"), [(30.001, False), (29.999, True), (0.001, True)])
def test_thirty_days_before(owner, days, warned):
    ends(days)
    assert bool(card_warnings.warn_of_ends(at=NOW)) is warned


def test_as_many_days_as_the_operator_says(owner, settings):
    settings.CARD_END_WARNING_DAYS = 7
    ends(8)
    assert not card_warnings.warn_of_ends(at=NOW)
    ends(6)
    assert card_warnings.warn_of_ends(at=NOW)


def test_one_that_has_ended_before_anybody_was_told(owner):
    ends(-3)
    card_warnings.warn_of_ends(at=NOW)
    (text,) = sms_to("13904110001")
    assert "已于" in text


def test_the_renewed_certificate_is_warned_of_anew(owner, trusted_cards):
    ends(3)
    card_warnings.warn_of_ends(at=NOW)
    bound = BoundCard.unscoped.get()
    renewed = read(card_of(owner.enterprise, trusted_cards, card_no=bound.card_no, id_no="", name=bound.holder_name, days=20))
    assert bound_cards.renew(bound, renewed)
    assert card_warnings.warn_of_ends(at=NOW) == [bound.card_no]
    assert len(sms_to("13904110001")) == 2


@pytest.mark.parametrize("closed", [{"is_active": False}, {"frozen_at": NOW}])
def test_who_cannot_log_in_is_told_later(owner, closed):
    ends(3)
    User.objects.update(**closed)
    assert not card_warnings.warn_of_ends(at=NOW)
    User.objects.update(is_active=True, frozen_at=None)
    assert card_warnings.warn_of_ends(at=NOW)


def test_a_closed_enterprise_is_told_nothing(owner):
    ends(3)
    Enterprise.objects.update(is_active=False)
    assert not card_warnings.warn_of_ends(at=NOW)


def test_dying_in_the_middle_sends_nothing_and_forgets_nothing(owner, monkeypatch):
    ends(3)
    with monkeypatch.context() as broken:
        broken.setattr("accounts.services.card_warnings.audit.record", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            card_warnings.warn_of_ends(at=NOW)
    assert not Delivery.objects.exists()
    assert card_warnings.warn_of_ends(at=NOW)


class TestBanner:
    def test_on_every_work_page_of_its_owner_only(self, owner, operator_client, other_client):
        ends(10)
        for path in (LIST, "/accounts/cards/", "/accounts/profile/"):
            assert "将于" in banner(operator_client, path)
            assert not banner(other_client, path)

    def test_not_before_it_is_time_and_in_other_words_afterwards(self, owner, operator_client):
        ends(40)
        assert not banner(operator_client)
        ends(-1)
        assert "已于" in banner(operator_client)

    def test_it_costs_no_query(self, owner, operator_client, other_client):
        """Neither for who has a card nor for who has none: its end comes with the user."""
        ends(10)
        for client in (operator_client, other_client):
            client.get(LIST)
            with CaptureQueriesContext(
                connection,
            ) as asked:
                client.get(LIST)
            about = [query["sql"] for query in asked.captured_queries if "accounts_boundcard" in query["sql"]]
            assert len(about) == 1
            assert "accounts_user" in about[0]
            assert 'accounts_boundcard"."certificate"' not in about[0]
