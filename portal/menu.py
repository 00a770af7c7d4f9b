"""The left menu, and what the home page's tiles lead to: one declaration of what there is and which right opens it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.rights import Right
from portal.applications import SMARTGATE, Application


@dataclass(frozen=True, slots=True)
class Words:
    """What one thing is called for whom: the manual has a word of its own for an enterprise's administrator and for its operators."""

    administrator: str | Promise
    operator: str | Promise
    others: str | Promise


Label = str | Promise | Words


def words_for(label: Label, user: Any) -> str | Promise:
    """The label as `user` reads it."""
    if not isinstance(label, Words):
        return label
    if user.has_right(Right.ENTERPRISE_MANAGE):
        return label.administrator
    return label.operator if user.has_right(Right.ENTERPRISE_VIEW) else label.others


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One entry: what it is called, its icon (static/portal/icons.txt), its URL name, the right that opens it."""

    label: Label
    icon: str
    url_name: str
    right: str


@dataclass(frozen=True, slots=True)
class MenuGroup:
    """Entries under one heading: of an application, which is a tile of the home page as well, or of the portal itself."""

    key: str
    label: Label
    icon: str
    items: Sequence[MenuItem]
    application: Application | None = None


def _of(application: Application, *items: MenuItem) -> MenuGroup:
    return MenuGroup(application.key.value, application.label, application.icon, items, application)


#: 管理员账号信息管理 and 操作员账号信息管理 (M2, ACC-10).
ACCOUNT = MenuGroup(
    "accounts",
    Words(_("管理员账号信息管理"), _("操作员账号信息管理"), _("账号信息")),
    "user-cog",
    (
        MenuItem(Words(_("企业管理员信息"), _("企业操作员信息"), _("用户信息")), "user-circle", "accounts:profile", Right.ACCOUNT_OWN),
        MenuItem(_("我的操作员"), "users", "accounts:operators", Right.ENTERPRISE_MANAGE),
        MenuItem(_("我的IC卡"), "id", "accounts:cards", Right.ENTERPRISE_VIEW),
        MenuItem(_("我的资质"), "license", "accounts:qualifications", Right.ENTERPRISE_VIEW),
        MenuItem(_("我的应用权限"), "apps", "accounts:applications", Right.ENTERPRISE_VIEW),
        MenuItem(_("登录安全"), "shield-lock", "accounts:security", Right.ACCOUNT_OWN),
        MenuItem(_("审计记录"), "history", "accounts:audit", Right.AUDIT_READ),
    ),
)
MENU: Sequence[MenuGroup] = (
    _of(
        SMARTGATE,
        MenuItem(_("新增"), "square-plus", "smartgate:new", Right.SMARTGATE_EDIT),
        MenuItem(_("批量导入"), "file-import", "smartgate:imports", Right.SMARTGATE_EDIT),
        MenuItem(_("批量申报"), "send", "smartgate:batches", Right.SMARTGATE_DECLARE),
        MenuItem(_("查询"), "search", "smartgate:list", Right.SMARTGATE_VIEW),
        MenuItem(_("业务数据统计"), "chart-bar", "smartgate:statistics", Right.SMARTGATE_VIEW),
        MenuItem(_("常用车辆"), "truck", "smartgate:vehicles", Right.SMARTGATE_VIEW),
        MenuItem(_("常用提单"), "license", "smartgate:bills", Right.SMARTGATE_VIEW),
    ),
    ACCOUNT,
)


def page_choices() -> list[tuple[str, str]]:
    """Pages that an announcement can open: URL name and what staff choose it by."""
    return [(item.url_name, f"{_for_staff(group.label)} · {_for_staff(item.label)}") for group in MENU for item in group.items]


def page(url_name: str) -> MenuItem | None:
    """The menu entry with this URL name; None when there is no such page any more."""
    return next((item for group in MENU for item in group.items if item.url_name == url_name), None)


def _for_staff(label: Label) -> str | Promise:
    return label.others if isinstance(label, Words) else label
