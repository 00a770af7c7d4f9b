"""How the work area looks to one reader (theme, folded menu) and closing pages of the strip, as plain POST forms.

With a script the preferences are set by static/portal/js/shell.js, in the same cookies.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.urls import path, reverse
from django.views.decorators.http import require_POST

from core import shell
from core.http import safe_next
from portal.shell import MENU_COOKIE, MENU_STATES, THEME_COOKIE, THEMES

YEAR_SECONDS = 365 * 24 * 3600


@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    """Remember `theme` and/or `menu` in cookies, so that the server draws the next page right from the start.

    Cookies and not the account: a phone and a desk want different things, and visitors have a theme, too. Not HttpOnly: they are no
    secret, and the script writes them.
    """
    chosen = [(THEME_COOKIE, request.POST.get("theme"), THEMES), (MENU_COOKIE, request.POST.get("menu"), MENU_STATES)]
    if any(value is not None and value not in allowed for _, value, allowed in chosen):
        return HttpResponseBadRequest()
    response = HttpResponseRedirect(safe_next(request, reverse("home")))
    for cookie, value, _ in chosen:
        if value is not None:
            response.set_cookie(cookie, value, max_age=YEAR_SECONDS, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax")
    return response


@require_POST
def close_pages(request: HttpRequest) -> HttpResponse:
    """Close pages of the strip: `close=<path>`, `close_others=<path to keep>` or `close_all=1`; `next` is where the user stands.

    Whoever stood on a closed page lands on the one beside it, or on the home page when none is left.
    """
    home = reverse("home")
    here = safe_next(request, home)
    if "close_all" in request.POST:
        shell.close_all(request)
        return HttpResponseRedirect(home)
    if "close_others" in request.POST:
        kept = request.POST["close_others"]
        shell.close_others(request, kept)
        return HttpResponseRedirect(here)
    closed = request.POST.get("close", "")
    beside = shell.close_page(request, closed)
    if shell.page_key(closed) == shell.page_key(here):
        here = beside or home
    return HttpResponseRedirect(here)


urlpatterns = [
    path("preferences/", preferences, name="preferences"),
    path("opened-pages/", close_pages, name="opened_pages"),
]
