"""Taking times so that they can be compared: subjects take turns, so a busy machine is as busy for each of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

WARM_UP_ROUNDS = 2
#: Whoever has used this much is asked no more; a second-long query must not be asked forty times.
BUDGET_SECONDS = 4.0
#: But this often it is asked whatever it takes.
FEWEST_ROUNDS = 3


@dataclass(slots=True)
class Timing:
    """Wall-clock milliseconds of one subject, and the processor time of our own process (not the database's) in them."""

    samples: list[float] = field(default_factory=list)
    processor_samples: list[float] = field(default_factory=list)

    @property
    def processor(self) -> float:
        """Median of the processor time: what a busy machine does not make longer, or not by much."""
        return statistics.median(self.processor_samples)

    @property
    def median(self) -> float:
        """Half of them took longer."""
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        """One in twenty took longer (with fewer than twenty: the longest)."""
        return sorted(self.samples)[min(len(self.samples) - 1, int(len(self.samples) * 0.95))]

    @property
    def best(self) -> float:
        """The least disturbed one."""
        return min(self.samples)


def in_turns(subjects: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Call each subject `rounds` times, one after the other in every round; the first calls warm up and do not count."""
    timings = {name: Timing() for name in subjects}
    spent = dict.fromkeys(subjects, 0.0)
    warm_up = min(WARM_UP_ROUNDS, rounds)
    for number in range(rounds + warm_up):
        for name, subject in subjects.items():
            if spent[name] > BUDGET_SECONDS and len(timings[name].samples) >= min(FEWEST_ROUNDS, rounds):
                continue
            begun, used = time.perf_counter(), time.process_time()
            subject()
            took, used = time.perf_counter() - begun, time.process_time() - used
            spent[name] += took
            if number >= warm_up:
                timings[name].samples.append(took * 1000)
                timings[name].processor_samples.append(used * 1000)
    return timings
