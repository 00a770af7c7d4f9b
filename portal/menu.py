"""The left menu and the tiles of the home page: one declaration of what there is and which right opens it."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.rights import Right


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One entry: what it is called, its icon (static/portal/icons.txt), its URL name, the right that opens it."""

    label: str | Promise
    icon: str
    url_name: str
    right: str


@dataclass(frozen=True, slots=True)
class MenuGroup:
    """Entries of one application. `summary` is what the home page's tile says of it."""

    label: str | Promise
    icon: str
    summary: str | Promise
    items: Sequence[MenuItem]


MENU: Sequence[MenuGroup] = (
    MenuGroup(
        label=_("智能卡口散杂货"),
        icon="truck",
        summary=_("车辆进入海关监管场所前，录入并申报车牌号、电子车牌、IC卡或条形码等绑定介质信息。"),
        items=(
            MenuItem(_("新增"), "square-plus", "smartgate:new", Right.SMARTGATE_EDIT),
            MenuItem(_("查询"), "search", "smartgate:list", Right.SMARTGATE_VIEW),
        ),
    ),
)
