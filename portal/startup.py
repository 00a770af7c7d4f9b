"""Refusing to start on settings that are wrong.

`manage.py` commands run Django's checks by themselves; gunicorn and Celery do not, so both call this.
"""

from django.core import checks
from django.core.exceptions import ImproperlyConfigured


def refuse_wrong_settings() -> None:
    """Run the portal's own settings checks.

    Raises ImproperlyConfigured with every message when a check finds an error.
    """
    errors = [message for message in checks.run_checks(tags=["settings"]) if message.is_serious()]
    if errors:
        raise ImproperlyConfigured("\n".join(str(error) for error in errors))
