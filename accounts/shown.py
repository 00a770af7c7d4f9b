"""Marks of what a page showed: who saves says by one what he saw, so that nobody overwrites unseen what another changed meanwhile.

For records without a version of their own; a mark tells nothing of the values it stands for.
"""

import json
from collections.abc import Mapping
from typing import Any

from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext as _

from core import audit
from core.workflow import ActionRefused


class ChangedMeanwhile(ActionRefused):
    """Somebody else changed it after the page was shown."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text or _("内容在您打开本页后已被他人修改，本次没有保存。页面上仍是您填写的内容，请核对后再次点击“保存”。"))


def mark_of(values: Mapping[str, Any]) -> str:
    """The mark of these values."""
    return salted_hmac("accounts.shown", json.dumps(audit.plain(values), sort_keys=True), algorithm="sha256").hexdigest()[:32]


def require_unchanged(values: Mapping[str, Any], mark: str) -> None:
    """Raises ChangedMeanwhile when `values` are not those that the mark was made of."""
    if not constant_time_compare(mark_of(values), mark):
        raise ChangedMeanwhile
