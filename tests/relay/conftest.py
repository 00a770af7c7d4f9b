"""An exchange directory of the test's own, an application of the test's own, and the partner's hands."""

import os
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from core import broker
from relay import registry, services
from relay.models import InboundMessage, OutboundMessage
from relay.registry import Incoming, OutboundRef
from tests.relay.messages import filing


@dataclass
class Application:
    """What a test's application heard, in order; `fails` makes it raise for a subject as often as it says."""

    delivered: list[str] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    received: list[Incoming] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    problem: Exception | None = None

    def handle(self, message: Incoming) -> str:
        event = message.business.findtext("{*}Event") or ""
        if self.problem is not None:
            raise self.problem
        self.received.append(message)
        self.events.append(event)
        return f"took {event}"

    def on_delivered(self, ref: OutboundRef, at: datetime) -> None:
        self.delivered.append(ref.subject)
        self.events.append("delivered")

    def on_refused(self, ref: OutboundRef, at: datetime, code: str, reason: str) -> None:
        self.refused.append((ref.subject, code, reason))


@dataclass
class Boxes:
    """The partner's hands in the exchange directory."""

    home: Path

    def names(self, box: str) -> list[str]:
        return sorted(path.name for path in (self.home / box).iterdir() if path.is_file())

    def out_files(self, message_type: str = "") -> dict[str, bytes]:
        """What lies in OutBox for the partner to take."""
        return {path.name: path.read_bytes() for path in sorted((self.home / "OutBox").glob(f"{message_type}*.xml"))}

    def take_all(self) -> dict[str, bytes]:
        """Take everything from OutBox, as the partner's agent does."""
        files = self.out_files()
        for name in files:
            (self.home / "OutBox" / name).rename(self.home / "SentBox" / name)
        return files

    def put(self, content: bytes, name: str = "") -> str:
        """Put a file into InBox, whole; it has lain there for a while."""
        (self.home / "InBox").mkdir(parents=True, exist_ok=True)
        name = name or f"SGW102_{uuid.uuid4()}.xml"
        beside = self.home / "InBox" / f".{name}"
        beside.write_bytes(content)
        long_ago = time.time_ns() - 60 * 10**9
        os.utime(beside, ns=(long_ago, long_ago))
        beside.rename(self.home / "InBox" / name)
        return name


@pytest.fixture
def boxes(settings: Any, tmp_path: Path) -> Boxes:
    settings.EXCHANGE_ROOT = tmp_path
    return Boxes(tmp_path / "customs")


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Application:
    """Stands in for smartgate in the registry."""
    app = Application()
    monkeypatch.setattr(registry, "_inbound", {"SGW102": registry.InboundRoute(app.handle, "customs")})
    monkeypatch.setattr(registry, "_outbound", {"SGW101": registry.OutboundHooks(app.on_delivered, app.on_refused)})
    return app


@pytest.fixture(autouse=True)
def wakes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The wakes a worker would have got; no broker is asked."""
    heard: list[str] = []
    monkeypatch.setattr("relay.tasks.dispatch.apply_async", lambda args, **_: heard.append(args[0]))
    monkeypatch.setattr(broker, "_quiet_until", 0.0)
    return heard


def queue(number: int = 1, *, subject: str | None = None, partner: str = "customs", **filing_options: Any) -> OutboundMessage:
    """A filing queued in a transaction of its own."""
    with transaction.atomic():
        return services.queue_message(
            partner=partner,
            message_type="SGW101",
            business=filing(number, **filing_options),
            subject=f"smartgate.filing:{number}" if subject is None else subject,
            enterprise_id=7,
        )


def outbound(message: OutboundMessage) -> OutboundMessage:
    """The message as the database has it now."""
    return OutboundMessage.objects.get(pk=message.pk)


def inbound(**condition: Any) -> InboundMessage:
    """The one inbound message that fits."""
    return InboundMessage.objects.get(**condition)


def make_due(message: OutboundMessage | InboundMessage) -> None:
    """As if its waiting time were over."""
    type(message)._default_manager.filter(pk=message.pk).update(due_at=timezone.now())
