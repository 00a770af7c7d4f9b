"""Who may do what: the one table of roles and rights, and which right belongs to which application (ACC-13).

Views, menus and row actions ask `User.has_right`; nothing else decides by role. A right is a stable dotted name. Rights of an
application are held by an enterprise's users only while the enterprise has opened it and, for an operator, while 我的应用权限
grants it to him.
"""

from collections.abc import Collection
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


class ApplicationKey(TextChoices):
    """This portal's applications: the name in the database and the URL namespace; the labels are the manuals' words."""

    SMARTGATE = "smartgate", _("智能卡口散杂货")
    ORIGIN_CERT = "origin_cert", _("贸促会原产地证申报")
    INSPECTION = "inspection", _("海关查验信息推送")
    HSCODE_LIBRARY = "hscode_library", _("规范申报企业专属库")


class Right(StrEnum):
    """One thing a user may or may not do. What stands before the dot is the application, or a part of the portal all share."""

    REFERENCE_LOOKUP = "reference.lookup"
    ACCOUNT_OWN = "accounts.own"
    ENTERPRISE_VIEW = "accounts.view_enterprise"
    ENTERPRISE_MANAGE = "accounts.manage_enterprise"
    AUDIT_READ = "accounts.read_audit"
    SMARTGATE_VIEW = "smartgate.view"
    SMARTGATE_EDIT = "smartgate.edit"
    SMARTGATE_DECLARE = "smartgate.declare"

    @property
    def application(self) -> ApplicationKey | None:
        """The application this right is of; None for what belongs to no application."""
        prefix = self.value.partition(".")[0]
        return ApplicationKey(prefix) if prefix in ApplicationKey.values else None


_EVERYONE = frozenset({Right.REFERENCE_LOOKUP, Right.ACCOUNT_OWN})
_ENTERPRISE = _EVERYONE | {Right.ENTERPRISE_VIEW, Right.SMARTGATE_VIEW, Right.SMARTGATE_EDIT, Right.SMARTGATE_DECLARE}

RIGHTS: dict[Role, frozenset[Right]] = {
    Role.ENTERPRISE_ADMINISTRATOR: _ENTERPRISE | {Right.ENTERPRISE_MANAGE, Right.AUDIT_READ},
    Role.OPERATOR: _ENTERPRISE,
    Role.TERMINAL: _EVERYONE,
    Role.CUSTOMS: _EVERYONE,
    Role.CCPIT: _EVERYONE,
    Role.PLATFORM_STAFF: _EVERYONE | {Right.AUDIT_READ},
}

#: Roles whose users belong to an enterprise; the others work for an authority or the platform.
ENTERPRISE_ROLES = frozenset({Role.ENTERPRISE_ADMINISTRATOR, Role.OPERATOR})


def rights_of(role: str, applications: Collection[str] | None = None) -> frozenset[Right]:
    """The rights of a role; none for a role this table does not know.

    `applications` are those that are open to the user; None for users to whom no enterprise opens any (authorities, the platform).
    """
    rights = RIGHTS.get(Role(role), frozenset()) if role in Role.values else frozenset()
    if applications is None:
        return rights
    return frozenset(right for right in rights if right.application is None or right.application in applications)
