"""The left menu, and what the home page's tiles lead to: one declaration of what there is and which right opens it."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.rights import Right
from portal.applications import SMARTGATE, Application


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One entry: what it is called, its icon (static/portal/icons.txt), its URL name, the right that opens it."""

    label: str | Promise
    icon: str
    url_name: str
    right: str


@dataclass(frozen=True, slots=True)
class MenuGroup:
    """Entries of one application."""

    application: Application
    items: Sequence[MenuItem]


MENU: Sequence[MenuGroup] = (
    MenuGroup(
        application=SMARTGATE,
        items=(
            MenuItem(_("新增"), "square-plus", "smartgate:new", Right.SMARTGATE_EDIT),
            MenuItem(_("查询"), "search", "smartgate:list", Right.SMARTGATE_VIEW),
        ),
    ),
)


def page_choices() -> list[tuple[str, str]]:
    """Pages that an announcement can open: URL name and what staff choose it by."""
    return [(item.url_name, f"{group.application.label} · {item.label}") for group in MENU for item in group.items]


def page(url_name: str) -> MenuItem | None:
    """The menu entry with this URL name; None when there is no such page any more."""
    return next((item for group in MENU for item in group.items if item.url_name == url_name), None)
