"""What every page of the work area has in common."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_cache_control
from django.utils.functional import Promise

from core.http import to_login, wants_part
from core.shell import open_page


class WorkPageMixin:
    """A page behind the login: who may open it, what it is called, its place in the strip of opened pages.

    A class gives `title` (Chinese, translatable) and `right` (a name from `accounts.rights.Right`). Visitors are sent to the
    login page and come back; a user without the right gets 403.
    The script is sent there, too, when the session ended: the login page must not be put into a part of the page it works on.
    """

    title: str | Promise = ""
    right: str = ""
    #: Pages that are a step of another (a confirmation) do not get a place of their own in the strip.
    keeps_place = True
    #: The strip leads back to the page with its query.
    keeps_query = True
    request: HttpRequest

    def page_title(self) -> str:
        """The title as shown; pages of one record add its number."""
        return str(self.title)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase
        if not request.user.is_authenticated:
            response = to_login(request)
        elif not request.user.has_right(self.right):
            raise PermissionDenied
        else:
            response = super().dispatch(request, *args, **kwargs)  # type: ignore[misc]
        # Going back after a save or a logout must not show what the browser kept.
        patch_cache_control(response, no_store=True, private=True)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        context["page_title"] = self.page_title()
        if self.keeps_place and self.request.method == "GET" and not wants_part(self.request):
            open_page(self.request, self.page_title(), self.request.get_full_path() if self.keeps_query else self.request.path)
        return context
