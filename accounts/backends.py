"""How a user proves who he is."""

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from accounts.models import User


class PortalBackend(ModelBackend):
    """User name and password; brings the enterprise along, since every page asks for it.

    The demo's password opens nothing outside the demo, even when somebody carried a demo account over.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if password == settings.DEMO_PASSWORD and not settings.DEMO_MODE:
            return None
        return super().authenticate(request, username=username, password=password, **kwargs)

    def user_can_authenticate(self, user: User | AnonymousUser | None) -> bool:
        if not super().user_can_authenticate(user):
            return False
        return not isinstance(user, User) or user.enterprise is None or user.enterprise.is_active

    def get_user(self, user_id: int) -> User | None:
        user = User.objects.select_related("enterprise").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
