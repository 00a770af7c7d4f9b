"""What an entry page shows of a declaration that is to be signed; how it is signed is the application's business."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: In a record's address: show the question of 申报, with what is to be signed.
ASK = "declare"
#: Id of the element that holds the text.
TEXT_ID = "sign-text"


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What is to be signed to declare the stored record, and the template that asks for the signature.

    The template finds `context` as `signing.context` and puts what it asks for into the page's form. Where the user cannot sign,
    `is_possible` is false, and it says why.
    """

    text: str
    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    is_possible: bool = True


class NotDeclared(Exception):  # noqa: N818 - a decision, not an error of the program
    """`EntryPage.declare` stored everything and could not declare it; the question stays open with this text, word for word."""
