"""Rows of the relay, put straight into the database: for pages and for housekeeping, which ask for ages and numbers."""

import hashlib
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.utils import timezone

from relay.models import Alert, AlertKind, InboundMessage, InboundState, OutboundMessage, OutboundState, Pause


def make_outbound(*, at: datetime | None = None, **values: Any) -> OutboundMessage:
    """An outgoing message; delivered when nothing else is said."""
    at = at or timezone.now()
    row = {
        "message_id": uuid4(),
        "message_type": "SGW101",
        "partner": "customs",
        "content": b"<x/>",
        "state": OutboundState.DELIVERED,
        "created_at": at,
        "due_at": at,
    }
    if values.get("state", row["state"]) in (OutboundState.DELIVERED, OutboundState.REFUSED):
        row["finished_at"] = at
    return OutboundMessage.objects.create(**{**row, **values})


def make_inbound(*, at: datetime | None = None, content: bytes | None = None, **values: Any) -> InboundMessage:
    """An incoming message; handled when nothing else is said."""
    at = at or timezone.now()
    content = uuid4().bytes if content is None else content
    row = {
        "partner": "customs",
        "file_name": "SGW102_x.xml",
        "content": content,
        "size": len(content),
        "sha256": hashlib.sha256(content).digest(),
        "received_at": at,
        "last_seen_at": at,
        "due_at": at,
        "finished_at": at,
        "state": InboundState.HANDLED,
        "message_type": "SGW102",
    }
    return InboundMessage.objects.create(**{**row, **values})


def make_quarantined(content: bytes = b"junk", **values: Any) -> InboundMessage:
    """One that was set aside."""
    row = {"state": InboundState.QUARANTINED, "reason_code": "NOT_XML", "message_type": "", "file_name": "junk.xml"}
    return make_inbound(content=content, **{**row, **values})


def make_pause(**values: Any) -> Pause:
    """An open one."""
    row = {"partner": "customs", "reason": "海关停机", "paused_by": "os:tester", "paused_at": timezone.now()}
    return Pause.objects.create(**{**row, **values})


def make_alert(**values: Any) -> Alert:
    """An open one, told of."""
    now = timezone.now()
    row = {"kind": AlertKind.QUARANTINE, "partner": "customs", "number": 1, "since": now, "noticed_at": now, "seen_at": now}
    return Alert.objects.create(**{**row, "opened_at": now, "told_at": now, **values})
