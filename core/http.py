"""Redirects: where a request may be sent, and how a request of the script (htmx) is sent there."""

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails


def safe_next(request: HttpRequest, default: str) -> str:
    """Where a posted form wants to go back to (`next`); `default` when it says nothing or names another host."""
    return safe_url(request, request.POST.get("next", ""), default)


def safe_url(request: HttpRequest, wanted: str, default: str) -> str:
    """Where a request wants to go, however it says so; `default` when it says nothing or names another host."""
    return wanted if _is_ours(request, wanted) else default


def wants_part(request: HttpRequest) -> bool:
    """Whether the script asked, for a part of a page that it puts into the page being shown."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and not htmx.history_restore_request


def leave_page(request: HttpRequest, url: str) -> HttpResponse:
    """Send the reader to another page.

    The script would follow an ordinary redirect by itself and put that page into a part of this one; it is told to leave the page.
    """
    return HttpResponseClientRedirect(url) if wants_part(request) else HttpResponseRedirect(url)


def to_login(request: HttpRequest) -> HttpResponse:
    """Send a visitor to the login page; from there he comes back to the page that he stands on."""
    return leave_page(request, redirect_to_login(_standing_on(request)).url)


def _standing_on(request: HttpRequest) -> str:
    here = request.get_full_path()
    if not wants_part(request):
        return safe_next(request, here)
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]
    # Asked first: an address that cannot be parsed is nobody's.
    if not _is_ours(request, htmx.current_url or ""):
        return here
    return htmx.current_url_abs_path or here


def _is_ours(request: HttpRequest, url: str) -> bool:
    return url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()}, require_https=request.is_secure())
