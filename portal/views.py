"""The home page and the pages for what went wrong."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from core.http import leave_page, wants_part
from portal import home, queries
from portal.content import PublicPage
from portal.shell import WorkArea


class HomeView(PublicPage):
    """What the portal offers and what is new; for a visitor and for a user (PRT-01)."""

    template_name = "home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        return super().get_context_data(
            editions=home.editions(WorkArea(self.request).menu, user), lists=home.lists(queries.newest(user)), **kwargs
        )


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400: more fields than one form has, or a request that no page of the portal makes."""
    return render(request, "400.html", status=400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: logged in, but without the right."""
    return render(request, "403.html", status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: no such page, or a record that is not the user's."""
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500: touches neither database nor session, which may be what failed."""
    return HttpResponse(render_to_string("500.html", {"request_id": request.META.get("HTTP_X_REQUEST_ID", "")}), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form that was open too long or came from elsewhere; the script's requests get the page anew, with a token that holds."""
    if wants_part(request) and request.htmx.current_url_abs_path:  # type: ignore[attr-defined]
        return leave_page(request, request.htmx.current_url_abs_path)  # type: ignore[attr-defined]
    return render(request, "csrf.html", status=403)
