"""The two agreements, to be read by everybody (ACC-03)."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts import agreements


@require_safe
def agreement(request: HttpRequest, kind: str, version: str = "") -> HttpResponse:
    """One version of one agreement; without a version the newest."""
    try:
        versions = agreements.versions(kind)
        shown = agreements.agreement(kind, version or versions[-1])
    except agreements.UnknownAgreementError:
        raise Http404 from None
    return render(request, "accounts/agreement.html", {"agreement": shown, "is_newest": shown.version == versions[-1]})
