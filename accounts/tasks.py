"""The workers' jobs for accounts."""

from importlib import import_module

from captcha.models import CaptchaStore
from celery import shared_task
from django.conf import settings

from accounts import codes
from accounts.services import card_challenges, card_warnings, dormancy
from accounts.services.login import forget_old_attempts
from accounts.signatures import sources


@shared_task(name="accounts.freeze_dormant")
def freeze_dormant() -> None:
    """Warn of dormant accounts, freeze those that were warned of (ACC-12)."""
    dormancy.warn_dormant()
    dormancy.freeze_dormant()


@shared_task(name="accounts.forget_old")
def forget_old() -> None:
    """Delete what has had its time: SMS codes, challenges, picture codes, sessions, the login history of more than a year ago."""
    codes.forget_old()
    card_challenges.forget_old()
    forget_old_attempts()
    CaptchaStore.remove_expired()
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


@shared_task(name="accounts.warn_card_ends")
def warn_card_ends() -> None:
    """Warn of bound cards whose certificate ends (CARD-08); by day, since it sends SMS."""
    card_warnings.warn_of_ends()


@shared_task(name="accounts.refresh_revocation_lists")
def refresh_revocation_lists() -> None:
    """Fetch anew the CRLs that were fetched before, so that no login waits for it."""
    sources.refresh_lists()
