"""The audit trail: every write of a service leaves an entry in the same transaction (`architecture.md` §4).

Entries carry the request's id, address and browser when there is a request; `bind_request` is called by the session
middleware once a request, and a worker's tasks carry the request id through django-structlog.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise

from core.codes import CodeOption, CodeSource
from core.models import AuditEntry
from core.workflow import ActionRefused

_origin: ContextVar[tuple[str, str]] = ContextVar("audit_origin", default=("", ""))
SYSTEM = "系统"
#: What stands for a value that nobody may read here.
MASKED = "***"
#: What services say of a secret instead of its value.
_SAID_OF_SECRETS = ("已设置", "已修改", "已清除")
#: Names of fields whose values the trail never gets. A service leaves them out; this is for the one that forgets.
_SENSITIVE = re.compile(
    r"(^|_)(passwords?|passwd|pin|secrets?|tokens?|id_no|sms_code|captcha|otp|totp|recovery_codes?|digest|private_key|credential|data_key)"
    r"_?[0-9]*$",
    re.IGNORECASE,
)


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
    `before` and `after` hold the fields that changed, plain values; those of sensitive fields are masked.
    """
    entry = _entry(
        action=action,
        obj=obj,
        actor=actor,
        enterprise_id=enterprise_id,
        before=before,
        after=after,
        refused=refused,
        reason=reason,
    )
    entry.save(force_insert=True)
    return entry


def record_each(
    *, action: str, objects: Iterable[tuple[models.Model, Mapping[str, Any]]], actor: Any | None, enterprise_id: int | None
) -> None:
    """The same for many records at once, each with what it is `after` one action; one statement for some hundreds of them."""
    AuditEntry.unscoped.bulk_create(
        [_entry(action=action, obj=obj, actor=actor, enterprise_id=enterprise_id, after=after) for obj, after in objects], batch_size=500
    )


def _entry(
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
    ip, user_agent = _origin.get()
    return AuditEntry(
        at=timezone.now(),
        actor_id=actor.pk if actor is not None else None,
        actor_name=actor.get_username() if actor is not None else SYSTEM,
        enterprise_id=enterprise_id,
        action=action,
        refused=refused,
        object_type=object_type(obj),
        object_id=str(obj.pk),
        object_label=str(obj)[:200],
        before=masked(plain(before)),
        after=masked(plain(after)),
        reason=reason[:500],
        request_id=current_request_id(),
        ip=ip,
        user_agent=user_agent,
    )


def entries_about(obj: models.Model) -> "QuerySet[AuditEntry]":
    """What happened to one record, newest first; for a record that its reader has reached by its own scope."""
    entries: QuerySet[AuditEntry] = AuditEntry.unscoped.filter(object_type=object_type(obj), object_id=str(obj.pk)).order_by("-id")
    return entries


def is_sensitive(name: str) -> bool:
    """Whether a field of this name holds what the trail must not: passwords, identity numbers, codes."""
    return bool(_SENSITIVE.search(name))


def _mask(name: str, value: Any) -> Any:
    """A sensitive value as the trail holds it. Of an identity number a service may leave the ends, to tell which it was."""
    is_harmless = value in (None, "", [], {}, *_SAID_OF_SECRETS) or (
        isinstance(value, str) and name.lower().endswith("id_no") and not re.search(r"[0-9]{6}", value)
    )
    return value if is_harmless else MASKED


def masked(values: Any) -> Any:
    """The values with those of sensitive fields masked, however deep; an empty one stays empty, so that one sees when it was set."""
    match values:
        case Mapping():
            return {key: _mask(str(key), value) if is_sensitive(str(key)) else masked(value) for key, value in values.items()}
        case list():
            return [masked(value) for value in values]
        case _:
            return values


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


# -- What the names in the trail mean -----------------------------------------------------------

_actions: dict[str, str | Promise] = {}
_sources: dict[str, Mapping[str, CodeSource]] = {}
_values: dict[str, str | Promise] = {}


def register_actions(labels: Mapping[str, str | Promise]) -> None:
    """Say in Chinese what actions are called; each room does so for its own when it starts (`audit_labels.py`).

    Raises ValueError when a name has another label already.
    """
    for name, label in labels.items():
        if str(_actions.setdefault(name, label)) != str(label):
            raise ValueError(f"the audit action {name} is called {_actions[name]} already")


def register_codes(model: type[models.Model], sources: Mapping[str, CodeSource]) -> None:
    """Say by which lists the codes in a record's fields are read; fields with choices of their own need none."""
    _sources[model._meta.label_lower] = sources


def register_values(labels: Mapping[str, str | Promise]) -> None:
    """Say in Chinese what values in `before` and `after` are called that are no fields of the record."""
    _values.update(labels)


def value_label(name: str) -> str | Promise:
    """What such a value is called; one that nobody named by its name."""
    return _values.get(name, name)


def action_label(action: str) -> str:
    """What an action is called; one that nobody named (any more) by its name."""
    return str(_actions.get(action, action))


def actions() -> Mapping[str, str | Promise]:
    """Every action that has a label, in the order of registration."""
    return _actions


def code_source(kind: str, field_name: str) -> CodeSource | None:
    """The list by which the codes of a record's field are read; None where there is none."""
    return _sources.get(kind, {}).get(field_name)


class ActionSource:
    """The actions as a list of codes, for the audit pages."""

    key = "audit-actions"
    lookup_url: str | None = None

    def options(self, on: date | None = None) -> list[CodeOption]:
        """All actions that have a label."""
        return [CodeOption(name, str(label), "") for name, label in _actions.items()]

    def get(self, code: str, on: date | None = None) -> CodeOption | None:
        """The action of this name; an unknown one is called by it."""
        return CodeOption(code, action_label(code), "")


class ObjectTypeSource:
    """The kinds of records that can stand in the trail, by what their models are called."""

    key = "audit-object-types"
    lookup_url: str | None = None

    def options(self, on: date | None = None) -> list[CodeOption]:
        """The kinds that actions were registered for, in the rooms' order."""
        rooms = {name.partition(".")[0] for name in _actions}
        found = [model for model in apps.get_models() if model._meta.app_label in rooms]
        return [CodeOption(model._meta.label_lower, str(model._meta.verbose_name), "") for model in found]

    def get(self, code: str, on: date | None = None) -> CodeOption | None:
        """The kind of this name, or None when there is no such model (any more)."""
        model = model_of(code)
        return None if model is None else CodeOption(code, str(model._meta.verbose_name), "")


def model_of(kind: str) -> type[models.Model] | None:
    """The model of an `object_type`; None when there is none any more."""
    try:
        return apps.get_model(kind)
    except (LookupError, ValueError):
        return None
