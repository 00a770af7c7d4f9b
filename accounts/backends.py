"""How a user proves who he is."""

from typing import Any

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.db.models import F
from django.http import HttpRequest

from accounts.closed import may_be_used
from accounts.models import User


def password_is_right(user: User | None, password: str) -> bool:
    """Whether this is the user's password, whatever state the account is in. For nobody the same work is done as for somebody.

    The demo's password opens nothing outside the demo, even when somebody carried a demo account over.
    """
    if password == settings.DEMO_PASSWORD and not settings.DEMO_MODE:
        return False
    if user is None:
        User().set_password(password)
        return False
    return user.check_password(password)


class PortalBackend(ModelBackend):
    """User name and password; brings the enterprise along, and when the bound card's certificate ends: every page asks for them."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        if username is None or password is None:
            return None
        user = User.objects.named(username)
        return user if password_is_right(user, password) and self.user_can_authenticate(user) else None

    def user_can_authenticate(self, user: User | AnonymousUser | None) -> bool:
        return isinstance(user, User) and may_be_used(user)

    def get_user(self, user_id: int) -> User | None:
        known = User.objects.select_related("enterprise").annotate(card_valid_to=F("bound_card__valid_to"))
        user = known.filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None
