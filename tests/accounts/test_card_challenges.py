"""Challenges for cards: 32 random bytes, one use, two minutes, one purpose, one browser."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import CardChallenge, CardPurpose
from accounts.services import card_challenges
from accounts.signatures.refusals import ChallengeRefusedError

BROWSER = "session-1"


def issue(purpose: CardPurpose = CardPurpose.LOGIN) -> str:
    return card_challenges.issue(purpose=purpose, bound_to=BROWSER)


@pytest.mark.django_db
class TestChallenges:
    @pytest.mark.covers("CARD-02")
    def test_thirty_two_random_bytes_once(self) -> None:
        values = {issue() for _ in range(20)}
        assert len(values) == 20
        assert all(len(bytes.fromhex(value)) == 32 for value in values)
        value = values.pop()
        card_challenges.use(purpose=CardPurpose.LOGIN, value=value, bound_to=BROWSER)
        with pytest.raises(ChallengeRefusedError, match="2 分钟"):
            card_challenges.use(purpose=CardPurpose.LOGIN, value=value, bound_to=BROWSER)

    @pytest.mark.parametrize("seconds", [-1, 120, 3600])
    def test_two_minutes(self, seconds: int) -> None:
        now = timezone.now()
        value = card_challenges.issue(purpose=CardPurpose.LOGIN, bound_to=BROWSER, at=now)
        with pytest.raises(ChallengeRefusedError):
            card_challenges.use(purpose=CardPurpose.LOGIN, value=value, bound_to=BROWSER, at=now + timedelta(seconds=seconds))
        card_challenges.use(purpose=CardPurpose.LOGIN, value=value, bound_to=BROWSER, at=now + timedelta(seconds=119))

    def test_for_one_purpose_and_one_browser(self) -> None:
        value = issue()
        for purpose, browser in ((CardPurpose.BIND, BROWSER), (CardPurpose.LOGIN, "session-2"), (CardPurpose.LOGIN, "")):
            with pytest.raises(ChallengeRefusedError):
                card_challenges.use(purpose=purpose, value=value, bound_to=browser)
        card_challenges.use(purpose=CardPurpose.LOGIN, value=value, bound_to=BROWSER)

    @pytest.mark.parametrize("value", ["", "0" * 64, "x" * 100_000, "中文", "\0" * 64])
    def test_what_was_never_given_out(self, value: str) -> None:
        issue()
        with pytest.raises(ChallengeRefusedError):
            card_challenges.use(purpose=CardPurpose.LOGIN, value=value, bound_to=BROWSER)

    def test_old_ones_go_and_no_session_key_is_kept(self) -> None:
        issue()
        assert BROWSER not in str(CardChallenge.objects.values())
        assert card_challenges.forget_old() == 0
        assert card_challenges.forget_old(at=timezone.now() + timedelta(days=2)) == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_gets_in() -> None:
    value = issue()

    def attempt(_number: int) -> bool:
        try:
            card_challenges.use(purpose=CardPurpose.LOGIN, value=value, bound_to=BROWSER)
        except ChallengeRefusedError:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1
