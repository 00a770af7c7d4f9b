"""Jobs that one worker at a time does (see models.Lane)."""

from datetime import timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from relay.models import Lane


def take(name: str) -> UUID | None:
    """The token of a lease on `name`, or None while another worker holds it. Times are the database's, not the machine's."""
    token = uuid4()
    free = Q(token__isnull=True) | Q(leased_until__lt=Now())
    values = {"token": token, "leased_until": Now() + timedelta(seconds=settings.RELAY_LEASE_SECONDS)}
    if Lane.objects.filter(free, name=name).update(**values):
        return token
    # First time ever for this name; of two workers that both find no row, one creates it and the other comes away empty-handed.
    created = Lane.objects.bulk_create([Lane(name=name)], ignore_conflicts=True) if not Lane.objects.filter(name=name).exists() else []
    return token if created and Lane.objects.filter(free, name=name).update(**values) else None


def renew(name: str, token: UUID) -> bool:
    """Prolong a lease; False when it ran out and another worker has it."""
    values = {"leased_until": Now() + timedelta(seconds=settings.RELAY_LEASE_SECONDS)}
    return bool(Lane.objects.filter(name=name, token=token).update(**values))


def release(name: str, token: UUID) -> None:
    """Give the lease back, if it is still ours."""
    Lane.objects.filter(name=name, token=token).update(token=None, leased_until=None)
