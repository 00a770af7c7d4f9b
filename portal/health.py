"""Whether the portal lives, and whether it can serve (OPS-03).

`/healthz` touches nothing: a balancer asks it whether to restart the process. `/readyz` asks whether to send users here.
"""

from collections.abc import Callable

import structlog
from django.core.cache import cache
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core.deadlines import PROBE_SECONDS, database_within

log = structlog.get_logger(__name__)


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _migrations() -> None:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        raise RuntimeError(f"{len(pending)} migrations are not applied")


def _redis() -> None:
    cache.get("readyz")


CHECKS: dict[str, Callable[[], None]] = {"database": _database, "migrations": _migrations, "redis": _redis}


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers."""
    return HttpResponse("ok", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, migrations and Redis are there; else 503. Names what fails; the reason goes to the log only."""
    result: dict[str, str] = {}
    with database_within(PROBE_SECONDS):
        for name, check in CHECKS.items():
            try:
                check()
                result[name] = "ok"
            except Exception:  # whatever is wrong with a part, the answer is that it is not ready
                log.exception("readyz_failed", part=name)
                result[name] = "failed"
    ready = all(state == "ok" for state in result.values())
    return JsonResponse({"ready": ready, "parts": result}, status=200 if ready else 503)
