"""Charts as numbers: where the columns, lines and labels of an SVG stand. Templates draw them; beside each stands its table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

#: Units of the drawing; the page scales it to its width, so a phone has a narrower one, whose letters stay as large.
WIDE, NARROW, HEIGHT = 960.0, 360.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 8.0, 10.0, 26.0
#: Room for a day's label.
_LABEL_WIDTH = 90.0
#: Steps of a scale, times a power of ten.
_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Bar:
    """A column of the chart."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place: of an axis."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class DayChart:
    """Filings by day: columns, the scale's lines with their numbers, the days below."""

    width: float
    height: float
    bars: Sequence[Bar]
    lines: Sequence[Label]
    days: Sequence[Label]
    left: float
    right: float


def scale(most: int) -> list[int]:
    """Round numbers from 0 to at least `most`, at most six of them, in even steps."""
    power = 1
    while True:
        for step in (base * power for base in _STEPS):
            if step * 5 >= most:
                top = max(1, -(-most // step))
                return [step * number for number in range(top + 1)]
        power *= 10


def day_chart(days: Sequence[tuple[date, int]], width: float = WIDE) -> DayChart:
    """The chart of every day's filings, so many units wide."""
    ticks = scale(max((filings for _day, filings in days), default=0))
    inner_width, inner_height = width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    pitch = inner_width / max(1, len(days))
    # A gap between columns, unless there are so many that it would be all one sees.
    gap = min(pitch * 0.25, 8.0)
    floor = TOP + inner_height

    def column(number: int, filings: int) -> Bar:
        height = inner_height * filings / ticks[-1]
        return Bar(round(LEFT + number * pitch + gap / 2, 2), round(floor - height, 2), round(pitch - gap, 2), round(height, 2))

    every = -(-len(days) // int(inner_width / _LABEL_WIDTH))
    return DayChart(
        width,
        HEIGHT,
        [column(number, filings) for number, (_day, filings) in enumerate(days) if filings],
        [Label(LEFT - 6, round(floor - inner_height * tick / ticks[-1], 2), f"{tick:,}") for tick in ticks],
        [
            Label(round(LEFT + (number + 0.5) * pitch, 2), HEIGHT - 8, f"{day:%m-%d}")
            for number, (day, _filings) in enumerate(days)
            if number % every == 0
        ],
        LEFT,
        width - RIGHT,
    )
