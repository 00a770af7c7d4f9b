"""A user's own sessions (ACC-14): which there are, ending one or all others, and telling the browser whose session was ended.

allauth's `UserSession` has a row for each session that began through the login page. What counts is Django's own session; a row
whose session is gone, or was shut by a change of password, is no session any more. Looking at the list deletes nothing: allauth
clears up at the next login.
"""

import ipaddress
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import structlog
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from accounts.models import User
from accounts.services.history import describe
from core import audit

log = structlog.get_logger(__name__)
SessionStore: Any = import_module(settings.SESSION_ENGINE).SessionStore
_ENDED = "accounts.sessions.ended:"
#: In a session that is to be in the list.
_LISTED = "session_is_listed"
#: A row must have an address; a request through a socket has none.
_NO_ADDRESS = "0.0.0.0"  # noqa: S104 - nothing is bound to it


@dataclass(frozen=True, slots=True)
class OwnSession:
    """One session as its user sees it. `pk` is None for a session that has no row: it is the current one, and ends by 退出登录."""

    pk: int | None
    is_current: bool
    place: str
    device: str
    ip: str
    since: datetime
    seen_at: datetime


def own_sessions(request: HttpRequest, user: User) -> Sequence[OwnSession]:
    """The sessions of `user` that are still open, the current one first, then the one seen last."""
    current_key = request.session.session_key
    rows = {row.session_key: row for row in UserSession.objects.filter(user=user)}
    alive = _alive(rows, user)
    listed = [_described(row, is_current=key == current_key) for key, row in rows.items() if key == current_key or key in alive]
    if not any(session.is_current for session in listed):
        listed.append(_current(request))
    return sorted(listed, key=lambda session: (not session.is_current, -session.seen_at.timestamp()))


def end_session(*, user: User, pk: int) -> None:
    """End one of the user's own sessions. Raises UserSession.DoesNotExist when it is not his, or is gone already."""
    with transaction.atomic():
        row = UserSession.objects.select_for_update().get(pk=pk, user=user)
        _end([row], user=user, actor=user, action="accounts.session.end")


def end_other_sessions(*, user: User, except_key: str | None, actor: User | None = None, central_account: str = "") -> int:
    """End all sessions of `user` but the one with the key `except_key` (退出其他全部); gives how many rows there were.

    `actor` is who does it when it is not the user himself; with `central_account` (its sub) only sessions that came from it end.
    """
    with transaction.atomic():
        found = UserSession.objects.select_for_update().filter(user=user).exclude(session_key=except_key or "")
        if central_account:
            found = found.filter(data__standard_edition__sub=central_account)
        rows = list(found)
        if rows:
            _end(rows, user=user, actor=actor or user, action="accounts.session.end_others")
    return len(rows)


def note_begun(request: HttpRequest) -> None:
    """This session began through the login page: it is to have a row, under whatever key it goes on."""
    request.session[_LISTED] = True


def note_seen(request: HttpRequest) -> None:
    """The user was here: for the list. Called when the session itself is written for it, once a minute.

    A change of the password gives the session another key; then it gets a row of its own again.
    """
    row = UserSession.objects.filter(session_key=request.session.session_key)
    seen = row.update(last_seen_at=timezone.now(), ip=address_of(request))
    if not seen and request.session.get(_LISTED):
        UserSession.objects.create_from_request(request)


def address_of(request: HttpRequest) -> str:
    """Where a request comes from, as a row of a session can hold it: what is no address counts as none."""
    try:
        return str(ipaddress.ip_address(audit.client_address(request)))
    except ValueError:
        return _NO_ADDRESS


def was_ended_elsewhere(request: HttpRequest) -> bool:
    """Whether the session that this browser still names was ended from another one. Says so once; not while Redis is away, without
    which visitors go on reading."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if not key:
        return False
    try:
        return bool(cache.delete(_ENDED + str(key)))
    except RedisError as error:
        log.warning("ended_sessions_unknown", error=type(error).__name__)
        return False


def _end(rows: Sequence[UserSession], *, user: User, actor: User, action: str) -> None:
    keys = [row.session_key for row in rows]
    UserSession.objects.filter(pk__in=[row.pk for row in rows]).delete()
    Session.objects.filter(session_key__in=keys).delete()
    ended = [{"ip": row.ip, "device": describe(row.ip, row.user_agent)[1], "since": row.created_at} for row in rows]
    audit.record(action=action, obj=user, actor=actor, enterprise_id=user.enterprise_id, before={"sessions": ended})
    transaction.on_commit(lambda: _forget(keys))


def _forget(keys: Sequence[str]) -> None:
    """Sessions are read from the cache first; what is gone from the database goes from there, too."""
    for key in keys:
        SessionStore().delete(key)
        cache.set(_ENDED + key, True, settings.SESSION_ABSOLUTE_SECONDS)


def _alive(keys: Collection[str], user: User) -> set[str]:
    """Those of the sessions that still open something: not run out, not idle too long, not shut by a change of password."""
    store, hashed, now = SessionStore(), user.get_session_auth_hash(), time.time()
    alive = set()
    for session in Session.objects.filter(session_key__in=list(keys), expire_date__gt=timezone.now()):
        data = store.decode(session.session_data)
        too_old = now - data.get("session_started_at", now) > settings.SESSION_ABSOLUTE_SECONDS
        idle = now - data.get("session_seen_at", now) > settings.SESSION_IDLE_SECONDS
        if constant_time_compare(data.get(HASH_SESSION_KEY, ""), hashed) and not too_old and not idle:
            alive.add(session.session_key)
    return alive


def _described(row: UserSession, *, is_current: bool) -> OwnSession:
    place, device = describe(row.ip, row.user_agent)
    return OwnSession(row.pk, is_current, place, device or _("无法识别的设备"), row.ip, row.created_at, row.last_seen_at)


def _current(request: HttpRequest) -> OwnSession:
    ip = audit.client_address(request)
    place, device = describe(ip, request.headers.get("User-Agent", ""))
    now = timezone.now()
    started = request.session.get("session_started_at")
    since = datetime.fromtimestamp(started, tz=UTC) if started else now
    return OwnSession(None, True, place, device or _("无法识别的设备"), ip, since, now)
