"""What the pages of accounts have in common."""

from typing import Any, cast

from django.http import HttpRequest
from django.views.generic import TemplateView

from accounts.models import User
from core.views import WorkPageMixin


class AccountPage(WorkPageMixin, TemplateView):
    """A page of the account group; `user` is who asks."""

    request: HttpRequest
    kwargs: dict[str, Any]

    @property
    def user(self) -> User:
        """WorkPageMixin lets nobody in who is not logged in."""
        return cast("User", self.request.user)
