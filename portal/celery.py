"""The Celery application: workers and beat start from here."""

import os

from celery import Celery, signals
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()


@signals.celeryd_init.connect
def refuse_wrong_settings(**_kwargs: object) -> None:
    """A worker, like the web process, does not start on settings that are wrong."""
    from portal.startup import refuse_wrong_settings as refuse

    refuse()
