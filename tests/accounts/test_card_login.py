"""卡介质 login (CARD-02): challenges over HTTP, and what a card's signature opens."""

import pytest
from django.test import Client

from accounts.models import CardChallenge, CardPurpose
from accounts.services import card_challenges
from accounts.signatures.refusals import ChallengeRefusedError

pytestmark = [pytest.mark.django_db, pytest.mark.covers("CARD-02")]
CHALLENGE = "/accounts/card/challenge/"


def use(client, value, *, purpose=CardPurpose.LOGIN, user=None):
    key = client.session.session_key
    card_challenges.use(purpose=purpose, value=value, bound_to=f"{key} {user.pk}" if user else key)


def test_a_visitor_gets_a_challenge_for_his_own_session(client):
    value = client.post(CHALLENGE, {"purpose": "login"}).json()["challenge"]
    with pytest.raises(ChallengeRefusedError):
        use(client, value, purpose=CardPurpose.BIND)
    use(client, value)


def test_a_challenge_to_bind_is_for_who_is_logged_in(client, operator, operator_client, other_operator):
    refused = client.post(CHALLENGE, {"purpose": "bind"})
    assert refused.status_code == 403
    assert "请重新登录" in refused.json()["error"]
    value = operator_client.post(CHALLENGE, {"purpose": "bind"}).json()["challenge"]
    with pytest.raises(ChallengeRefusedError):
        use(operator_client, value, purpose=CardPurpose.BIND, user=other_operator)
    use(operator_client, value, purpose=CardPurpose.BIND, user=operator)


@pytest.mark.parametrize("purpose", ["", "authorise", "pay"])
def test_there_is_no_challenge_for_anything_else(operator_client, purpose):
    refused = operator_client.post(CHALLENGE, {"purpose": purpose})
    assert refused.status_code == 400
    assert refused.json()["error"]
    assert not CardChallenge.objects.exists()


def test_a_challenge_comes_with_the_form_of_a_page_only():
    assert Client(enforce_csrf_checks=True).post(CHALLENGE, {"purpose": "login"}).status_code == 403


def test_a_browser_gets_twenty_challenges_a_minute(client):
    answers = [client.post(CHALLENGE, {"purpose": "login"}).status_code for _ in range(21)]
    assert answers == [200] * 20 + [429]
    assert "1 分钟" in client.post(CHALLENGE, {"purpose": "login"}).json()["error"]
    assert Client().post(CHALLENGE, {"purpose": "login"}).status_code == 200


def test_an_address_gets_so_many_challenges_a_minute(settings):
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"card_challenge": "3/m/ip"}
    answers = [Client().post(CHALLENGE, {"purpose": "login"}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert not answers[-1].cookies, "nobody beyond the limit gets a session"
    assert Client(REMOTE_ADDR="10.2.3.4").post(CHALLENGE, {"purpose": "login"}).status_code == 200
