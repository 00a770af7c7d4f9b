"""What the work area remembers of one user's session: the strip of opened pages and the drafts that were saved (PRT-03).

Both live in the session, so that the strip is there without a script and is the same in every window of the session.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.http import HttpRequest

#: More pages than this push the oldest one out of the strip.
OPENED_PAGES_LIMIT = 12
#: Longer titles would fill the strip by themselves; longer addresses have no business in a session.
TITLE_LIMIT = 40
PATH_LIMIT = 1000

_OPENED = "opened_pages"
_SAVED = "saved_drafts"


@dataclass(frozen=True, slots=True)
class OpenedPage:
    """One page of the strip. `path` may carry a query (a list with its filters); `key` is the path alone."""

    title: str
    path: str

    @property
    def key(self) -> str:
        return page_key(self.path)


def page_key(path: str) -> str:
    """The path without its query: one list is one page of the strip, whatever it is filtered by.

    What a browser sends and is no address is its own key, which no page has.
    """
    try:
        return urlsplit(path).path
    except ValueError:
        return path


def opened_pages(request: HttpRequest) -> list[OpenedPage]:
    """The opened pages in the order in which they were opened."""
    return [OpenedPage(title, path) for title, path in request.session.get(_OPENED, [])]


def open_page(request: HttpRequest, title: str, path: str) -> None:
    """Put a page into the strip, or bring its title and query up to date where it stands already.

    The session is written only when something changed: coming back to an opened page costs no write.
    """
    if len(path) > PATH_LIMIT:
        path = page_key(path)
    page = OpenedPage(title[:TITLE_LIMIT], path)
    before = opened_pages(request)
    pages = [page if known.key == page.key else known for known in before]
    if page not in pages:
        pages.append(page)
    _keep(request, before, pages[-OPENED_PAGES_LIMIT:])


def close_page(request: HttpRequest, path: str) -> str | None:
    """Take one page out of the strip.

    Gives the path of the page beside it (the next one, else the one before) for whoever stood on the closed page,
    or None when the strip is empty now.
    """
    before = opened_pages(request)
    keys = [page.key for page in before]
    key = page_key(path)
    if key not in keys:
        return before[-1].path if before else None
    at = keys.index(key)
    pages = before[:at] + before[at + 1 :]
    _keep(request, before, pages)
    return pages[min(at, len(pages) - 1)].path if pages else None


def close_others(request: HttpRequest, path: str) -> None:
    """关闭其他选项卡: leave only the page with this path."""
    before = opened_pages(request)
    _keep(request, before, [page for page in before if page.key == page_key(path)])


def close_all(request: HttpRequest) -> None:
    """关闭全部选项卡."""
    _keep(request, opened_pages(request), [])


def draft_saved(request: HttpRequest, path: str) -> None:
    """Say that what was typed on the page at `path` is stored: the browser may forget its copy of it."""
    saved: list[str] = request.session.get(_SAVED, [])
    key = page_key(path)
    if key not in saved:
        request.session[_SAVED] = [*saved, key]


def take_saved_drafts(request: HttpRequest) -> list[str]:
    """The paths noted by `draft_saved` since the last page; they are handed over once, like messages."""
    if _SAVED not in request.session:
        return []
    saved: list[str] = request.session.pop(_SAVED)
    return saved


def _keep(request: HttpRequest, before: list[OpenedPage], pages: list[OpenedPage]) -> None:
    if pages != before:
        request.session[_OPENED] = [[page.title, page.path] for page in pages]
