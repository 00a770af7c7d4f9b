"""Login and logout."""

from typing import Any

from django.conf import settings
from django.contrib.auth import views as auth_views

from accounts.forms.login import LoginForm


class LoginView(auth_views.LoginView):
    """User name and password, then to the page that was asked for (ACC-07)."""

    form_class = LoginForm
    template_name = "accounts/login.html"
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["demo_mode"] = settings.DEMO_MODE
        context["notice"] = self.request.session.pop("login_notice", "")
        return context


class LogoutView(auth_views.LogoutView):
    """退出登录; a POST, since it changes something."""
