"""Reads of the published content: the home page's lists, an application's 系统公告, how to reach the service desk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError

from portal.models import Contact, ContentItem, Kind

log = structlog.get_logger(__name__)

HOME_ITEMS = 6
ANNOUNCEMENTS = 4
#: How late an application's page may be with what staff timed for the future; what they save shows at once.
ANNOUNCEMENTS_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Announcement:
    """One line of 系统公告: title, date, publisher (M5)."""

    pk: int
    title: str
    publisher: str
    published_at: datetime
    expires_at: datetime | None


def newest(user: Any) -> Mapping[Kind, Sequence[ContentItem]]:
    """The newest items of every kind that this reader sees, in two queries: titles of five kinds, questions with their answers."""
    visible = ContentItem.objects.visible_to(user, at=timezone.now())
    first, *others = [
        visible.filter(kind=kind).defer("body").order_by("-published_at", "-pk")[:HOME_ITEMS] for kind in Kind if kind != Kind.FAQ
    ]
    found: dict[Kind, list[ContentItem]] = {kind: [] for kind in Kind}
    for item in first.union(*others, all=True):
        found[Kind(item.kind)].append(item)
    for items in found.values():
        items.sort(key=lambda item: (item.published_at, item.pk), reverse=True)
    found[Kind.FAQ] = list(visible.filter(kind=Kind.FAQ).order_by("-published_at", "-pk")[:HOME_ITEMS])
    return found


def contacts() -> Sequence[Contact]:
    """The lines of 联系我们, in the order staff gave them."""
    return list(Contact.objects.all())


def announcements(application: str) -> Sequence[Announcement]:
    """The newest 系统公告 of one application, for a user who may open it: from the cache, or with one query."""
    now = timezone.now()
    key = _key(application)
    try:
        known: Sequence[Announcement] | None = cache.get(key)
    except RedisError as error:
        log.warning("portal.announcements.cache_failed", error=str(error))
        known = None
    if known is None:
        rows = ContentItem.objects.published(now).filter(kind=Kind.NOTICE, audience=application).order_by("-published_at", "-pk")
        known = [Announcement(*row) for row in rows.values_list("pk", "title", "publisher", "published_at", "expires_at")[:ANNOUNCEMENTS]]
        try:
            cache.set(key, known, ANNOUNCEMENTS_SECONDS)
        except RedisError as error:
            log.warning("portal.announcements.cache_failed", error=str(error))
    return [announcement for announcement in known if announcement.expires_at is None or announcement.expires_at > now]


def forget_announcements(*applications: str) -> None:
    """What staff have just saved shows as soon as it is committed."""

    def forget() -> None:
        try:
            cache.delete_many([_key(application) for application in applications])
        except RedisError as error:
            log.warning("portal.announcements.cache_failed", error=str(error))

    transaction.on_commit(forget)


def _key(application: str) -> str:
    return f"announcements:{application}"
