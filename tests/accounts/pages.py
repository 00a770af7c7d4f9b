"""What the tests of the account pages share: clients by role, what was sent by SMS, what the trail says."""

from typing import Any

from django.test import Client
from lxml import html

from accounts.models import User
from core.models import AuditEntry
from notifications.models import Delivery

#: 身份证号 with right check digits; they belong to nobody.
ID_NO, OTHER_ID_NO = "21021119900307425X", "210202198506123016"


def client_of(user: User, **options: Any) -> Client:
    """A browser in which `user` is logged in."""
    client = Client(**options)
    client.force_login(user)
    return client


def sms_to(mobile: str) -> list[str]:
    """What is on its way to a phone, oldest first."""
    return [delivery.body for delivery in Delivery.objects.filter(recipient=mobile).order_by("pk")]


def trail(action: str) -> list[AuditEntry]:
    """The entries of one kind, oldest first."""
    return list(AuditEntry.unscoped.filter(action=action).order_by("pk"))


def tree_of(response: Any) -> html.HtmlElement:
    """A page as a tree."""
    return html.fromstring(response.content.decode())


def field_values(response: Any) -> dict[str, Any]:
    """What a browser would send of the page's last form if nobody touched it; a list where a name comes more than once."""
    form = tree_of(response).forms[-1]
    values: dict[str, Any] = {field.name: "" for field in form.inputs if getattr(field, "type", "") in ("text", "email", "password")}
    sent: dict[str, list[str]] = {}
    for name, value in form.form_values():
        sent.setdefault(name, []).append(value)
    return values | {name: found if len(found) > 1 else found[0] for name, found in sent.items()}


def errors_of(response: Any) -> str:
    """What the page says is wrong."""
    assert response.status_code == 200
    return " ".join("".join(part.itertext()) for part in tree_of(response).xpath("//*[@role='alert']"))
