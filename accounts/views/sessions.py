"""登录设备: one's own sessions, and ending them (ACC-14)."""

from typing import Any

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views import View
from django.views.generic import TemplateView

from accounts.rights import Right
from accounts.services import sessions
from accounts.views.own import own_user
from core.views import WorkPageMixin


class SessionsView(WorkPageMixin, TemplateView):
    """Where the user is logged in."""

    title, right = _("登录设备"), Right.ACCOUNT_OWN
    template_name = "accounts/security/sessions.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(sessions=sessions.own_sessions(self.request, own_user(self.request)), **kwargs)


class _EndView(WorkPageMixin, View):
    """Ends sessions by POST; the question before it stands in the list."""

    right = Right.ACCOUNT_OWN
    http_method_names = ["post"]


class EndSessionView(_EndView):
    """退出 of one session. Somebody else's does not exist; the one that this request belongs to ends by 退出登录."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        try:
            sessions.end_session(user=own_user(request), pk=pk)
        except UserSession.DoesNotExist:
            raise Http404(f"no session {pk} of this user") from None
        messages.success(request, str(_("该设备上的登录已退出。")))
        return HttpResponseRedirect(reverse("accounts:sessions"))


class EndOtherSessionsView(_EndView):
    """退出其他全部."""

    def post(self, request: HttpRequest) -> HttpResponse:
        ended = sessions.end_other_sessions(user=own_user(request), except_key=request.session.session_key)
        messages.success(request, str(_("其他设备上的登录已全部退出。") if ended else _("没有其他设备在登录。")))
        return HttpResponseRedirect(reverse("accounts:sessions"))
