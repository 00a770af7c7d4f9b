"""Login and logout."""

from typing import Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django.conf import settings
from django.contrib.auth import views as auth_views
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts import known_browsers, standard_edition
from accounts.adapters import LOGIN_ATTEMPT
from accounts.forms.login import LoginForm
from accounts.forms.picture_code import asks_for_picture, picture_part
from accounts.services import login as services
from core import audit


class LoginPage(auth_views.LoginView):
    """Base of the tabs of the login page: afterwards to the page that was asked for; who is logged in goes there at once."""

    redirect_authenticated_user = True

    def get_form_kwargs(self) -> dict[str, Any]:
        """The forms do not authenticate by themselves."""
        kwargs = super().get_form_kwargs()
        del kwargs["request"]
        return kwargs

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["demo_mode"] = settings.DEMO_MODE
        context["notice"] = self.request.session.pop("login_notice", "")
        return context


class LoginView(LoginPage):
    """用户名密码: user name, password and picture code (ACC-07)."""

    form_class = LoginForm  # type: ignore[assignment]  # which is no AuthenticationForm
    template_name = "accounts/login.html"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if asks_for_picture(request):
            form = LoginForm(initial={"username": request.POST.get("username", "")[:150]})
            return picture_part(request, form) or self.render_to_response(self.get_context_data(form=form))
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        username = form.cleaned_data["username"]
        try:
            user, attempt = services.check_password(
                username=username,
                password=form.cleaned_data["password"],
                ip=audit.client_address(self.request),
                user_agent=self.request.headers.get("User-Agent", ""),
                known_browser=known_browsers.knows(self.request, username),
            )
        except services.LoginRefused as refusal:
            form.add_error(None, refusal)
            return self.form_invalid(form)
        self.request.session[LOGIN_ATTEMPT] = attempt.pk
        # From here django-allauth leads on: to a second factor, or in.
        response: HttpResponse = perform_password_login(
            self.request, {"username": user.username}, Login(user=user, redirect_url=self.get_success_url())
        )
        return response


class LogoutView(auth_views.LogoutView):
    """退出登录; a POST, since it changes something. A session that came through 中央标准版 ends there, too (ACC-09)."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        id_token = standard_edition.kept_id_token(request)
        response = super().post(request, *args, **kwargs)
        elsewhere = standard_edition.end_session_url(request, id_token) if id_token else ""
        return HttpResponseRedirect(elsewhere) if elsewhere else response
