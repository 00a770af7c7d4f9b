"""Typing an operator's command, as a shell would: what it prints and its exit status."""

import json
import sys
from dataclasses import dataclass
from io import StringIO
from typing import Any
from unittest import mock

from django.core.management import ManagementUtility


@dataclass(frozen=True)
class Typed:
    """What came of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as JSON: exactly one document."""
        return json.loads(self.out)


def typed(*words: object) -> Typed:
    """`manage.py …`, with the exit status that a shell would see."""
    out, err = StringIO(), StringIO()
    status = 0
    with mock.patch.object(sys, "stdout", out), mock.patch.object(sys, "stderr", err):
        try:
            ManagementUtility(["manage.py", *map(str, words)]).execute()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(bool(end.code))
    return Typed(status, out.getvalue(), err.getvalue())
