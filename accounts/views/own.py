"""Who asks, in views behind the login."""

from typing import cast

from django.http import HttpRequest

from accounts.models import User


def own_user(request: HttpRequest) -> User:
    """The logged-in user; for views that nobody else reaches."""
    return cast("User", request.user)
