"""gunicorn's settings, for a desk and for production: `python -m gunicorn --config devserver/gunicorn.py portal.wsgi`.

Values come from the environment like all others (docs/operations/settings.md); all logging goes where the portal's goes.
"""

import os
from datetime import timedelta
from typing import Any

import structlog
from gunicorn.glogging import Logger

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

from django.conf import settings  # after the line above, which it needs


class StructuredLogger(Logger):  # gunicorn carries no types
    """Access lines as structured events beside the application's own, with the same fields for every request."""

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """One event for one answered request; `duration_ms` counts from the first byte read to the last one sent."""
        if not self.cfg.accesslog:
            return
        path = environ.get("RAW_URI", "").partition("?")[0]  # a query may carry what should not be in a log
        structlog.get_logger("gunicorn.access").info(
            "access",
            method=environ.get("REQUEST_METHOD"),
            path=path,
            status=int(str(resp.status).split(None, 1)[0]),
            bytes=getattr(resp, "sent", None),
            duration_ms=round(request_time.total_seconds() * 1000, 1),
            ip=environ.get("REMOTE_ADDR"),
        )


bind = os.environ.get("WEB_BIND") or f"127.0.0.1:{os.environ.get('PORT') or 8000}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
threads = int(os.environ.get("WEB_THREADS") or 4)
#: Load the portal once, before forking: starts in half the time, and what is wrong with it is said once.
preload_app = True
#: Its control socket has one place per user, where two servers side by side would meet.
control_socket_disable = True
#: A worker that does not report for so long is killed. Longer work belongs to Celery.
timeout = int(os.environ.get("WEB_TIMEOUT_SECONDS") or 30)
#: What running requests get when the server is told to stop; below honcho's five seconds on a desk.
graceful_timeout = 3 if settings.DEMO_MODE else 25
#: Longer than the idle time of usual proxies' pooled connections would race with them; shorter costs a handshake each.
keepalive = 5
#: Workers are replaced now and then, not all at once.
max_requests = 10_000
max_requests_jitter = 1_000
#: The heartbeat file on a disk can block a worker for longer than its timeout.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None
#: Whose X-Forwarded-* headers are believed, by address.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS") or "127.0.0.1"

#: On a desk django-structlog's line for each request is enough to read.
accesslog = None if settings.DEMO_MODE else "-"
logger_class = StructuredLogger
_portal: dict[str, Any] = settings.LOGGING
logconfig_dict = {
    **_portal,
    "loggers": {
        **_portal["loggers"],
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True, "qualname": "gunicorn.error"},
        "gunicorn.access": {"level": "INFO", "handlers": [], "propagate": True, "qualname": "gunicorn.access"},
    },
}
