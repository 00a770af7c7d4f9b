"""What the card panel needs to know (`templates/accounts/card_panel.html`)."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def card_bridge_url() -> str:
    """Where the program that reads the card answers, on the user's own computer."""
    return settings.CARD_BRIDGE_URL
