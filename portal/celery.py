"""The Celery application: workers and beat start from here."""

import os
import signal
import socket
from typing import Any

from celery import Celery, signals
from django_structlog.celery.steps import DjangoStructLogInitStep

from core import alive

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()


@signals.celeryd_init.connect
@signals.beat_init.connect
def refuse_wrong_settings(**_kwargs: object) -> None:
    """Worker and beat, like the web process, do not start on settings that are wrong.

    Raises SystemExit: Celery logs every other exception of a signal's receiver and goes on.
    """
    from django.core.exceptions import ImproperlyConfigured

    from portal.startup import refuse_wrong_settings as refuse

    try:
        refuse()
    except ImproperlyConfigured as error:
        raise SystemExit(str(error)) from None


@signals.heartbeat_sent.connect
def say_that_the_worker_lives(sender: Any, **_kwargs: object) -> None:
    """Every other second from the worker's own loop: a worker that is killed, hangs, or has lost its broker says nothing."""
    eventer = sender.eventer
    for queue in eventer.app.amqp.queues.consume_from:
        alive.say(f"worker.{queue}", eventer.hostname)


@signals.beat_init.connect
def tell_of_beat(**_kwargs: object) -> None:
    """Beat lives as long as it hands out jobs."""

    def say_that_beat_lives(**_kwargs: object) -> None:
        alive.say("beat", f"{socket.gethostname()}:{os.getpid()}")

    signals.after_task_publish.connect(say_that_beat_lives, weak=False)


@signals.worker_process_init.connect
def leave_ending_to_the_worker(**_kwargs: object) -> None:
    """A pool process ignores SIGTERM: its worker gets the same signal when a whole group is ended, lets the task that runs finish, and then
    ends the pool. Killed in the middle, the task would be reported as lost and run once more.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
