"""`{% icon "truck" %}`: a Tabler icon drawn into the page.

The SVG files are copied from npm to `VENDOR_DIR/icons` (`python -m devserver vendor`), as far as a list names them.
"""

import re
from functools import cache
from pathlib import Path

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_NAME = re.compile(r"[a-z0-9-]+")
_BODY = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)
#: Tabler draws an invisible square as the first path of every icon.
_BACKGROUND = re.compile(r'\s*<path stroke="none" d="M0 0h24v24H0z" fill="none"\s*/>')


@cache
def _drawing(directory: Path, name: str) -> SafeString:
    """The inner elements of an icon; read once in a process. Raises LookupError for an icon that is not there."""
    file = directory / f"{name}.svg"
    if not _NAME.fullmatch(name) or not file.is_file():
        raise LookupError(f"icon {name!r} is not in {directory}: name it in static/portal/icons.txt and run `python -m devserver vendor`")
    body = _BODY.search(file.read_text(encoding="utf-8"))
    if body is None:
        raise LookupError(f"{file} is not an SVG file")
    return mark_safe(_BACKGROUND.sub("", body[1]).strip())  # noqa: S308 - our own file from npm, not user input


@register.simple_tag
def icon(name: str, extra_class: str = "") -> SafeString:
    """The icon as inline SVG, hidden from screen readers: what it stands for is always written beside it."""
    return format_html(
        '<svg class="icon{}" width="24" height="24" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"'
        ' stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">{}</svg>',
        f" {extra_class}" if extra_class else "",
        _drawing(settings.VENDOR_DIR / "icons", name),
    )
