"""What django-allauth tells by signals, and nothing else can tell."""

from typing import Any

from allauth.mfa.signals import authentication_failed
from django.dispatch import receiver

from accounts.models import User
from accounts.services import second_factor


@receiver(authentication_failed)
def wrong_code(sender: Any, *, user: User, authenticator: Any, reauthentication: bool = False, **_unused: Any) -> None:
    """A code that was wrong leaves an entry in the audit trail."""
    second_factor.note_failure(user, factor=authenticator.type, again=reauthentication)
