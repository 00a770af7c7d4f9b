"""How much is measured."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Scale:
    """Rows of the data set, times each page is asked for, filings sent through the relay, codes of the long code table, seconds of a
    steady load, messages between two measures of a worker's memory.

    As many codes as the official file has, or more, means that file where it is at hand.
    """

    rows: int = 5_000_000
    rounds: int = 40
    filings: int = 3_000
    codes: int = 30_000
    seconds: int = 15
    messages: int = 100_000

    #: With fewer there is nothing to page through.
    fewest_rows: ClassVar[int] = 2_000
