"""What the provider does with a text, chosen by the last four digits of the number, so that one running simulator shows every case."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How texts to one number fare.

    `status` is the answer, for ever or for the first `times` tries of a text. `holds`: there is no answer within the time in which
    anybody waits for one, and the text is not taken.
    """

    name: str
    ending: str
    status: int
    times: int | None = None
    holds: bool = False


BEHAVIOURS = (
    Behaviour("the number does not exist", "0404", 404),
    Behaviour("out of order at the first two tries", "0503", 503, times=2),
    Behaviour("always out of order", "0500", 500),
    Behaviour("never answers in time", "0408", 504, holds=True),
)
_BY_ENDING = {behaviour.ending: behaviour for behaviour in BEHAVIOURS}


def behaviour_for(mobile: str) -> Behaviour | None:
    """What the number asks for; None when its texts are simply taken."""
    return _BY_ENDING.get(mobile[-4:])
