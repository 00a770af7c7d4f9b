"""Telling operators what is wrong: one row and one mail for what begins, and for what is over (OPS-03, docs/adr/0094).

Looking, writing and queueing the mails are one transaction under one lock: two workers that look at once tell once, and a worker
that dies in between has told nothing and left nothing.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core.locks import hold
from notifications.services import queue_email
from relay import alerts
from relay.models import Alert
from relay.trouble import Trouble, look

log = structlog.get_logger(__name__)

#: What is seen again after so long is told of; what one run of the workers puts right is not.
AGAIN_SECONDS: Final = 30


def watch(*, at: datetime | None = None) -> None:
    """Look once: open what is wrong for the second time, remind of what lasts, close what is over, and mail that in one mail."""
    now = at or timezone.now()
    with transaction.atomic():
        hold("relay.watch", ["alerts"])
        troubles = {(trouble.kind.value, trouble.partner, trouble.message_type): trouble for trouble in look(now).troubles}
        known = {(alert.kind, alert.partner, alert.message_type): alert for alert in Alert.objects.filter(closed_at__isnull=True)}
        Alert.objects.bulk_create(_noticed(trouble, now) for key, trouble in troubles.items() if key not in known)
        seen = [_seen(alert, troubles[key], now) for key, alert in known.items() if key in troubles]
        gone = [alert for key, alert in known.items() if key not in troubles]
        # Nobody was told of these.
        Alert.objects.filter(pk__in=[alert.pk for alert in gone if alert.opened_at is None]).delete()
        opened = [alert for alert in seen if alert.opened_at is None and now - alert.noticed_at >= timedelta(seconds=AGAIN_SECONDS)]
        reminded = [alert for alert in seen if alert.told_at and now - alert.told_at >= _seconds(settings.RELAY_ALERT_REMIND_SECONDS)]
        closed = [alert for alert in gone if alert.opened_at and now - alert.seen_at >= _seconds(settings.RELAY_ALERT_CALM_SECONDS)]
        for alert in opened:
            alert.opened_at = alert.told_at = now
        for alert in reminded:
            alert.told_at = now
        for alert in closed:
            alert.closed_at = now
        Alert.objects.bulk_update([*seen, *closed], ["number", "since", "seen_at", "opened_at", "told_at", "closed_at"])
        if opened or reminded or closed:
            subject, text = alerts.mail(opened=opened, reminded=reminded, closed=closed)
            for address in settings.RELAY_ALERT_EMAILS:
                queue_email(address=address, subject=subject[:200], text=text, keeps=timedelta(days=1), at=now)
    for event, told in (("relay_alert_opened", opened), ("relay_alert_lasts", reminded), ("relay_alert_closed", closed)):
        for alert in told:
            log.warning(event, **alerts.as_json(alert))


def _noticed(trouble: Trouble, now: datetime) -> Alert:
    return Alert(
        kind=trouble.kind,
        partner=trouble.partner,
        message_type=trouble.message_type,
        number=trouble.number,
        since=trouble.since,
        noticed_at=now,
        seen_at=now,
    )


def _seen(alert: Alert, trouble: Trouble, now: datetime) -> Alert:
    """It is still so. The oldest message may have gone meanwhile; the trouble began with it all the same."""
    alert.number = trouble.number
    alert.since = min(alert.since, trouble.since)
    alert.seen_at = now
    return alert


def _seconds(number: int) -> timedelta:
    return timedelta(seconds=number)
