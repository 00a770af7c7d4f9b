"""Who operates, as the audit trail names him, and what he is told when it cannot be done."""

from typing import Protocol

from core.workflow import ActionRefused


class Operator(Protocol):
    """A member of staff, or somebody at a shell of the machine (`relay.management.operating.ShellOperator`)."""

    @property
    def pk(self) -> int | None:
        """The number of the account; None for who has none."""

    def get_username(self) -> str:
        """The name that the trail keeps."""


class OperationRefused(ActionRefused):
    """What the operator asked for was not done, and nothing changed. `code` is stable, for programs; the text is for him."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
