"""The two agreements that who registers reads and accepts (ACC-03, M2 业务开通): text files by version, never changed once published.

`<kind>/<version>.txt`: the first line is the title, each further line a paragraph. A new wording is a new file with a later name;
the version that somebody accepted can be read as long as its file is there. The wording of 2017-09 is that of the manual, its second
print, with the ends of 7.1 to 7.3 that are cut off there taken from the first; where both prints are cut, an ellipsis says so.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

_ROOT = Path(__file__).resolve().parent
#: In the order in which the form names them.
KINDS = ("service", "port_logistics")
_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?")
#: "1. " and the manual's words for "Chapter one".
_HEADING = re.compile(r"[0-9]+\.\s|\u7b2c.+\u7ae0\s")


class UnknownAgreementError(LookupError):
    """No agreement of this kind, or none with this version."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph of an agreement."""

    text: str
    is_heading: bool


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version of one agreement; `sha256` is that of its file."""

    kind: str
    version: str
    title: str
    paragraphs: tuple[Paragraph, ...]
    sha256: str


def versions(kind: str) -> list[str]:
    """The versions of one agreement, the newest last. Raises UnknownAgreementError."""
    if kind not in KINDS:
        raise UnknownAgreementError(kind)
    return sorted(path.stem for path in (_ROOT / kind).glob("*.txt"))


def newest() -> dict[str, str]:
    """kind → version of what is to be accepted now."""
    return {kind: versions(kind)[-1] for kind in KINDS}


@lru_cache(maxsize=32)
def agreement(kind: str, version: str) -> Agreement:
    """One version of one agreement. Raises UnknownAgreementError."""
    if not _VERSION.fullmatch(version) or version not in versions(kind):
        raise UnknownAgreementError(f"{kind} {version}")
    content = (_ROOT / kind / f"{version}.txt").read_bytes()
    title, *lines = content.decode("utf-8").splitlines()
    paragraphs = tuple(Paragraph(line, is_heading=_HEADING.match(line) is not None) for line in lines)
    return Agreement(kind, version, title, paragraphs, hashlib.sha256(content).hexdigest())


def acceptance(shown: Mapping[str, str], at: datetime) -> list[dict[str, Any]]:
    """What `Registration.agreements` keeps of the versions that were shown and accepted. Raises UnknownAgreementError."""
    return [
        {"agreement": kind, "version": version, "sha256": agreement(kind, version).sha256, "accepted_at": at.isoformat()}
        for kind, version in shown.items()
    ]


def named(accepted: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was accepted, by title and version, as people read it. Raises UnknownAgreementError for one whose file is gone."""
    read = [agreement(one["agreement"], one["version"]) for one in accepted]
    return [_("《%(title)s》%(version)s") % {"title": one.title, "version": one.version} for one in read]
