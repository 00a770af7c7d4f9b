"""Who may do what: the one table of roles and rights (ACC-13).

Views, menus and row actions ask `User.has_right`; nothing else decides by role. A right is a stable dotted name.
"""

from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    """What kind of user someone is; the labels are the manuals' words."""

    ENTERPRISE_ADMINISTRATOR = "enterprise_administrator", _("企业管理员")
    OPERATOR = "operator", _("操作员")
    TERMINAL = "terminal", _("港务/场站人员")
    CUSTOMS = "customs", _("海关人员")
    CCPIT = "ccpit", _("贸促会人员")
    PLATFORM_STAFF = "platform_staff", _("平台工作人员")


class Right(StrEnum):
    """One thing a user may or may not do."""

    REFERENCE_LOOKUP = "reference.lookup"
    SMARTGATE_VIEW = "smartgate.view"
    SMARTGATE_EDIT = "smartgate.edit"
    SMARTGATE_DECLARE = "smartgate.declare"


_EVERYONE = frozenset({Right.REFERENCE_LOOKUP})
_ENTERPRISE = _EVERYONE | {Right.SMARTGATE_VIEW, Right.SMARTGATE_EDIT, Right.SMARTGATE_DECLARE}

RIGHTS: dict[Role, frozenset[Right]] = {
    Role.ENTERPRISE_ADMINISTRATOR: _ENTERPRISE,
    Role.OPERATOR: _ENTERPRISE,
    Role.TERMINAL: _EVERYONE,
    Role.CUSTOMS: _EVERYONE,
    Role.CCPIT: _EVERYONE,
    Role.PLATFORM_STAFF: _EVERYONE,
}

#: Roles whose users belong to an enterprise; the others work for an authority or the platform.
ENTERPRISE_ROLES = frozenset({Role.ENTERPRISE_ADMINISTRATOR, Role.OPERATOR})


def rights_of(role: str) -> frozenset[Right]:
    """The rights of a role; none for a role this table does not know."""
    return RIGHTS.get(Role(role), frozenset()) if role in Role.values else frozenset()
