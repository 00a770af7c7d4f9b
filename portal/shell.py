"""What every page of the portal needs to draw its frame: menu, strip of opened pages, fold state, theme (PRT-03)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise

from accounts.services import card_warnings
from accounts.services.card_warnings import CardEnd
from core import shell
from portal import queries
from portal.applications import BY_KEY
from portal.menu import MENU, MenuItem, words_for
from portal.queries import Announcement

THEME_COOKIE = "portal_theme"
THEMES = ("auto", "light", "dark")
MENU_COOKIE = "portal_menu"
MENU_STATES = ("open", "folded")


@dataclass(frozen=True, slots=True)
class Entry:
    """A menu entry that this user may open."""

    label: str | Promise
    icon: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The entries of one group that this user may open; never empty."""

    key: str
    label: str | Promise
    icon: str
    entries: Sequence[Entry]
    is_application: bool


class WorkArea:
    """The frame around a page. Everything is worked out when a template asks, so a page without a frame pays nothing."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @property
    def theme(self) -> str:
        """light, dark, or auto for what the reader's device prefers."""
        chosen = self._request.COOKIES.get(THEME_COOKIE)
        return chosen if chosen in THEMES else "auto"

    @property
    def menu_state(self) -> str:
        """open, or folded to a row of icons."""
        chosen = self._request.COOKIES.get(MENU_COOKIE)
        return chosen if chosen in MENU_STATES else "open"

    @cached_property
    def user(self) -> Any:
        """The logged-in user, or None: a page for what went wrong may come before anybody is known."""
        user = getattr(self._request, "user", None)
        return user if user is not None and user.is_authenticated else None

    @cached_property
    def user_name(self) -> str:
        """What the top bar calls the user."""
        return (self.user.full_name or self.user.get_username()) if self.user else ""

    @cached_property
    def menu(self) -> list[Group]:
        """Groups with the entries that the user's rights open; groups without any are left out."""
        groups = []
        for group in MENU:
            mine = [item for item in group.items if self.user and self.user.has_right(item.right)]
            entries = [self._entry(item) for item in mine]
            if entries:
                groups.append(Group(group.key, words_for(group.label, self.user), group.icon, entries, group.application is not None))
        return groups

    @property
    def opens_applications(self) -> bool:
        """Whether this user may open anything but the pages of his own account."""
        return any(group.is_application for group in self.menu)

    @cached_property
    def announcements(self) -> Sequence[Announcement]:
        """系统公告 of the application that this page belongs to (PRT-02); none on pages of no application."""
        match = self._request.resolver_match
        application = BY_KEY.get(match.app_name) if match else None
        if self.user is None or application is None or application.right is None or not self.user.has_right(application.right):
            return ()
        return queries.announcements(application.key.value)

    @cached_property
    def opened_pages(self) -> list[shell.OpenedPage]:
        """The strip of opened pages."""
        return shell.opened_pages(self._request) if self.user else []

    @cached_property
    def card_end(self) -> CardEnd | None:
        """What to warn of when the certificate of the user's card ends (CARD-08). The backend brings its end along with the user."""
        return card_warnings.end_of(getattr(self.user, "card_valid_to", None))

    @property
    def current_key(self) -> str:
        """The key of the page being shown, see `core.shell.OpenedPage`."""
        return shell.page_key(self._request.path)

    def saved_drafts(self) -> list[str]:
        """Paths of the entry pages whose contents were stored since the last page; handed over once."""
        return shell.take_saved_drafts(self._request) if self.user else []

    def _entry(self, item: MenuItem) -> Entry:
        url = reverse(item.url_name)
        return Entry(words_for(item.label, self.user), item.icon, url, is_current=self._request.path == url)


def work_area(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `work_area` in every template."""
    return {"work_area": WorkArea(request)}
