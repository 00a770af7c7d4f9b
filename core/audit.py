"""The audit trail: every write of a service leaves an entry in the same transaction (`architecture.md` §4).

Entries carry the request's id, address and browser when there is a request; `bind_request` is called by the session
middleware once a request, and a worker's tasks carry the request id through django-structlog.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import models, transaction
from django.http import HttpRequest
from django.utils import timezone

from core.models import AuditEntry
from core.workflow import ActionRefused

_origin: ContextVar[tuple[str, str]] = ContextVar("audit_origin", default=("", ""))
SYSTEM = "系统"


def bind_request(request: HttpRequest) -> None:
    """Remember where the current request comes from, for the entries written while it is served."""
    _origin.set((client_address(request)[:64], request.headers.get("User-Agent", "")[:300]))


def client_address(request: HttpRequest) -> str:
    """Where a request comes from. Behind our own proxy that is the last entry of X-Forwarded-For, which the proxy wrote; those before
    it are what the client claims.
    """
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.BEHIND_TLS_PROXY else ""
    return forwarded.rpartition(",")[2].strip() or str(request.META.get("REMOTE_ADDR", ""))


def unbind_request() -> None:
    """Forget it again: a thread serves one request after another."""
    _origin.set(("", ""))


def current_request_id() -> str:
    """Id of the request (or of the message being handled) in whose course this runs, or an empty string."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))[:64]


def object_type(obj: models.Model) -> str:
    """Stable name of a record's kind, as it stands in the trail: `smartgate.filing`."""
    return obj._meta.label_lower


def record(
    *,
    action: str,
    obj: models.Model,
    actor: Any | None,
    enterprise_id: int | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    refused: bool = False,
    reason: str = "",
) -> AuditEntry:
    """Write one entry; call it in the transaction that makes the change.

    `action` is a stable dotted name (`smartgate.filing.declare`). `actor` is a user, or None when a message or a job acts.
    `before` and `after` hold the fields that changed, plain values.
    """
    ip, user_agent = _origin.get()
    return AuditEntry.objects.create(
        at=timezone.now(),
        actor_id=actor.pk if actor is not None else None,
        actor_name=actor.get_username() if actor is not None else SYSTEM,
        enterprise_id=enterprise_id,
        action=action,
        refused=refused,
        object_type=object_type(obj),
        object_id=str(obj.pk),
        object_label=str(obj)[:200],
        before=plain(before),
        after=plain(after),
        reason=reason[:500],
        request_id=current_request_id(),
        ip=ip,
        user_agent=user_agent,
    )


@contextmanager
def refusals_recorded(*, action: str, obj: models.Model, actor: Any | None, enterprise_id: int | None) -> Iterator[None]:
    """Write an entry when the body is refused, after its transaction is rolled back, and let the refusal pass on.

    Must be the outermost block of a service: inside a transaction the entry would be lost with it.
    """
    try:
        yield
    except ActionRefused as refusal:
        with transaction.atomic():
            record(action=action, obj=obj, actor=actor, enterprise_id=enterprise_id, refused=True, reason=str(refusal))
        raise


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two mappings reduced to the keys in which they differ."""
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return {key: before.get(key) for key in keys}, {key: after.get(key) for key in keys}


def plain(values: Any) -> Any:
    """Values as JSON can hold them: decimals and ids as text, times as ISO 8601."""
    match values:
        case Mapping():
            return {str(key): plain(value) for key, value in values.items()}
        case list() | tuple():
            return [plain(value) for value in values]
        case datetime() | date():
            return values.isoformat()
        case Decimal() | UUID():
            return str(values)
        case _:
            return values
