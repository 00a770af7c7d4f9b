"""What stands on the home page: tiles by edition and service, lists with MORE (PRT-01)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.shortcuts import resolve_url
from django.urls import reverse

from portal.applications import APPLICATIONS, Application, Edition
from portal.menu import MENU
from portal.models import ContentItem, Kind
from portal.shell import Entry, Group


class TileState(StrEnum):
    """What a reader can do with a tile."""

    COMING = "coming"  # the application is not there yet
    LOGIN = "login"  # whoever logs in may be able to open it
    CLOSED = "closed"  # logged in, but without a right in it
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Tile:
    """One application as this reader finds it. `login_url` comes back to the application's list; empty unless it is asked for."""

    application: Application
    state: TileState
    entries: Sequence[Entry] = ()
    login_url: str = ""


def editions(menu: Sequence[Group], user: Any) -> list[tuple[Edition, list[Tile]]]:
    """标准版应用 and 地方特色应用, each with its tiles; `menu` is what the user may open."""
    mine = {group.key: group.entries for group in menu}
    tiles = [_tile(application, mine, user) for application in APPLICATIONS]
    return [(edition, [tile for tile in tiles if tile.application.edition == edition]) for edition in Edition]


def _tile(application: Application, mine: Mapping[str, Sequence[Entry]], user: Any) -> Tile:
    if application.right is None:
        return Tile(application, TileState.COMING)
    if not user.is_authenticated:
        first = next(item.url_name for group in MENU if group.application is application for item in group.items)
        return Tile(application, TileState.LOGIN, login_url=f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': reverse(first)})}")
    entries = mine.get(application.key.value, ())
    return Tile(application, TileState.OPEN if entries else TileState.CLOSED, entries)


@dataclass(frozen=True, slots=True)
class HomeList:
    """One list of the home page and where its MORE leads."""

    kind: Kind
    items: Sequence[ContentItem]

    @property
    def url(self) -> str:
        """All of them."""
        return reverse("content_list", args=[self.kind.value])

    @property
    def is_faq(self) -> bool:
        """Questions open in place, the others lead to pages of their own."""
        return self.kind == Kind.FAQ


def lists(newest: Mapping[Kind, Sequence[ContentItem]]) -> list[HomeList]:
    """The six lists in the order of the manuals (M2, M5)."""
    return [HomeList(kind, newest[kind]) for kind in Kind]
