"""A card needs a moment after it is put in: asked too early it says nothing, and is asked again."""

from typing import Any

import pytest

from card_bridge.errors import CardLostError

pytest.importorskip("smartcard", reason="pyscard is not installed. Type: make test")
from card_bridge.backends import pcsc


def connection_that_gives(*answers: object) -> Any:
    """A connection whose attempts to reach the card come to these."""
    waiting = list(answers)

    def attempt() -> object:
        answer = waiting.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    connection = pcsc._Connection(None, "reader")
    connection._open = attempt
    return connection


def test_a_card_that_is_being_powered_up_is_asked_again() -> None:
    assert connection_that_gives(CardLostError("no power yet"), CardLostError("no power yet"), "card").open() == "card"


def test_a_card_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcsc, "SETTLING_SECONDS", 0.0)
    with pytest.raises(CardLostError, match="silent"):
        connection_that_gives(CardLostError("silent"), CardLostError("silent"), "card").open()


def test_a_card_that_went_away_meanwhile_was_pulled_out() -> None:
    with pytest.raises(CardLostError, match="pulled out"):
        connection_that_gives(CardLostError("pulled out"), pcsc._EmptyReaderError("empty")).open()


def test_a_card_that_another_program_keeps_is_not_waited_for() -> None:
    with pytest.raises(pcsc.CardBusyError):
        connection_that_gives(pcsc.CardBusyError("busy"), "card").open()
