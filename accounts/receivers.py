"""What Django and django-allauth tell by signals, and nothing else can tell."""

from typing import Any

from allauth.account.signals import password_changed
from allauth.account.signals import user_logged_in as logged_in_through_allauth
from allauth.mfa.signals import authentication_failed
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from accounts import registration_storage, standard_edition
from accounts.models import User
from accounts.services import second_factor, sessions


@receiver(authentication_failed)
def wrong_code(sender: Any, *, user: User, authenticator: Any, reauthentication: bool = False, **_unused: Any) -> None:
    """A code that was wrong leaves an entry in the audit trail."""
    second_factor.note_failure(user, factor=authenticator.type, again=reauthentication)


@receiver(user_logged_in)
def leave_registration(sender: Any, *, request: HttpRequest | None, **_unused: Any) -> None:
    """Whoever logs in, by whatever way, leaves a registration under way behind."""
    if request is not None:
        registration_storage.forget(request.session)


@receiver(logged_in_through_allauth)
def session_begun(sender: Any, *, request: HttpRequest, **_unused: Any) -> None:
    """allauth has made a row for the session; it is to keep one."""
    sessions.note_begun(request)


@receiver(password_changed)
def session_goes_on(sender: Any, *, request: HttpRequest, **_unused: Any) -> None:
    """allauth has made a row for the session's new key; the standard edition still knows the session."""
    standard_edition.note_in_list(request)
