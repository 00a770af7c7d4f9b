"""State tables: which event moves a record from which state to which, as data.

An application writes its table once, in `states.py`; services, views, templates and tests read it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _


class ActionRefused(Exception):  # noqa: N818 - a decision, not an error of the program
    """What was asked for is not allowed now; the text is for the user: what is wrong and what to do."""


class ForbiddenTransition(ActionRefused):
    """The state table has no way from this state by this event."""

    def __init__(self, state: str, event: str, text: str) -> None:
        super().__init__(text)
        self.state = state
        self.event = event


@dataclass(frozen=True, slots=True)
class Transition:
    """From any of `sources`, `event` leads to `target`."""

    sources: frozenset[str]
    event: str
    target: str


class StateTable:
    """The transitions of one kind of record.

    `initial` is the state a record is born in; `labels` gives the states' Chinese names for messages.
    Raises ValueError when two transitions give one state and event different targets.
    """

    def __init__(self, *, initial: str, labels: Mapping[str, str | Promise], transitions: Iterable[Transition]) -> None:
        self.initial = initial
        self.labels = labels
        self._targets: dict[tuple[str, str], str] = {}
        for transition in transitions:
            for source in transition.sources:
                key = (source, transition.event)
                if self._targets.setdefault(key, transition.target) != transition.target:
                    raise ValueError(f"two targets for {key}")

    def allows(self, state: str, event: str) -> bool:
        """Whether the table has a way from `state` by `event`."""
        return (state, event) in self._targets

    def target(self, state: str, event: str, *, doing: str) -> str:
        """The state `event` leads to; `doing` names the action in the message (申报, 删除 …).

        Raises ForbiddenTransition when there is no such way.
        """
        try:
            return self._targets[state, event]
        except KeyError:
            raise self.refusal(state, event, doing=doing) from None

    def refusal(self, state: str, event: str, *, doing: str) -> ForbiddenTransition:
        """The exception, with its text for the user, for something the state does not allow."""
        label = self.labels.get(state, state)
        text = _("当前状态为“%(state)s”，不能%(doing)s。请刷新页面查看最新状态。") % {"state": label, "doing": doing}
        return ForbiddenTransition(state, event, text)

    def sources(self, event: str) -> frozenset[str]:
        """All states from which `event` leads somewhere."""
        return frozenset(state for state, known in self._targets if known == event)

    def items(self) -> Iterable[tuple[str, str, str]]:
        """All (state, event, target), for tests and documentation made from the table."""
        return [(state, event, target) for (state, event), target in self._targets.items()]
