"""What an entry page tells before 申报 and refuses nothing for: warnings that the user reads and passes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caution:
    """One warning. `code` is its stable name, for the audit trail; `field` and `line` (from 1) say where.

    `url` leads to what it speaks of, where there is something that the user may see.
    """

    code: str
    text: str
    field: str = ""
    line: int | None = None
    url: str = ""
    url_label: str = ""

    @property
    def target(self) -> str:
        """Id of what to go to on the page."""
        if self.line is not None:
            return f"line-{self.line}"
        return f"id_{self.field}" if self.field else "entry-form"
