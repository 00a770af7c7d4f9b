"""卡介质: the challenges that cards sign (CARD-02)."""

from typing import Any

from allauth.core import ratelimit
from django.http import HttpRequest, JsonResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.generic import View

from accounts.models import CardPurpose
from accounts.services import card_challenges


@method_decorator(never_cache, name="dispatch")
class ChallengeView(View):
    """A new challenge for a card, as JSON: {"challenge": 64 hex digits}, or {"error": text} with 400, 403 or 429.

    A visitor gets one for logging in, whoever is logged in also one for binding a card. It is good in this browser's session only.
    """

    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> JsonResponse:
        purpose = request.POST.get("purpose", "")
        if purpose not in (CardPurpose.LOGIN, CardPurpose.BIND):
            return _refusal(_("请求有误，请刷新页面后重试。"), 400)
        if purpose == CardPurpose.BIND and not request.user.is_authenticated:
            return _refusal(_("登录已失效，请重新登录后再绑卡。"), 403)
        # The address first: whoever is over its limit gets no session either.
        if not ratelimit.consume(request, action="card_challenge"):
            return _refusal(_("请求过于频繁，请 1 分钟后再试。"), 429)
        if not request.session.session_key:
            request.session.create()
        if not ratelimit.consume(request, action="card_challenge_session", key=request.session.session_key):
            return _refusal(_("请求过于频繁，请 1 分钟后再试。"), 429)
        return JsonResponse({"challenge": card_challenges.issue(purpose=CardPurpose(purpose), bound_to=card_challenges.holder(request))})


def _refusal(text: str, status: int) -> JsonResponse:
    return JsonResponse({"error": text}, status=status)
