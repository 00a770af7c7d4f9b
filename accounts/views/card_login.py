"""卡介质: logging in with a card, and the challenges that cards sign (CARD-02)."""

from typing import Any

import structlog
from allauth.account.internal.flows.login import perform_login, record_authentication
from allauth.account.models import Login
from allauth.core import ratelimit
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.generic import View
from redis.exceptions import RedisError

from accounts.adapters import LOGIN_ATTEMPT
from accounts.forms.card import CardSignatureForm
from accounts.models import CardPurpose
from accounts.services import card_challenges, card_login
from accounts.services.login import LoginRefused
from accounts.views.login import LoginPage
from core import audit

log = structlog.get_logger(__name__)


class CardLoginView(LoginPage):
    """卡介质: the bound card signs a challenge of this browser's session. Second factor and gates follow as after the password."""

    form_class = CardSignatureForm  # type: ignore[assignment]  # which is no AuthenticationForm
    template_name = "accounts/card_login.html"

    def form_valid(self, form: Any) -> HttpResponse:
        try:
            user, attempt = card_login.check_card(
                challenge=form.cleaned_data["challenge"],
                bound_to=card_challenges.holder(self.request),
                presented=form.presented(),
                ip=audit.client_address(self.request),
                user_agent=self.request.headers.get("User-Agent", ""),
            )
        except LoginRefused as refusal:
            form.add_error(None, refusal)
            return self.form_invalid(form)
        self.request.session[LOGIN_ATTEMPT] = attempt.pk
        # Noted as django-allauth notes a password; from here it leads on: to a second factor, or in.
        record_authentication(self.request, user, "card", card_no=user.bound_card.card_no)
        response: HttpResponse = perform_login(self.request, Login(user=user, redirect_url=self.get_success_url()))
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        # The panel's fields are hidden: what is wrong with them is said once, on top.
        context["refusals"] = list(dict.fromkeys(text for texts in context["form"].errors.values() for text in texts))
        return context


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
        if not _is_within_limit(request, "card_challenge"):
            return _refusal(_("请求过于频繁，请 1 分钟后再试。"), 429)
        if not request.session.session_key:
            request.session.create()
        if not _is_within_limit(request, "card_challenge_session", key=request.session.session_key):
            return _refusal(_("请求过于频繁，请 1 分钟后再试。"), 429)
        return JsonResponse({"challenge": card_challenges.issue(purpose=CardPurpose(purpose), bound_to=card_challenges.holder(request))})


def _is_within_limit(request: HttpRequest, action: str, *, key: str | None = None) -> bool:
    """Whether one more challenge may be given out. While Redis is away nobody counts them; attempts to log in the database counts."""
    try:
        return bool(ratelimit.consume(request, action=action, key=key))
    except RedisError as error:
        log.warning("card_challenges_not_counted", error=str(error))
        return True


def _refusal(text: str, status: int) -> JsonResponse:
    return JsonResponse({"error": text}, status=status)
