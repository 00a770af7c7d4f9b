"""Whether pages offer 中央标准版."""

from django import template

from accounts import standard_edition

register = template.Library()


@register.simple_tag
def standard_edition_is_open() -> bool:
    """Whether there is a standard edition to sign on through."""
    return standard_edition.is_open()
