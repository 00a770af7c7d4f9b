"""How the audit pages name what happens to code tables."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from core import audit

ACTIONS: dict[str, str | Promise] = {
    "reference.table.load": _("装入代码表"),
    "reference.code.change": _("修改代码"),
    "reference.code.end": _("停用代码"),
}
VALUES: dict[str, str | Promise] = {"new": _("新增条数"), "changed": _("变更条数"), "ended": _("停用条数")}


def register() -> None:
    """Once, when Django starts."""
    audit.register_actions(ACTIONS)
    audit.register_values(VALUES)
