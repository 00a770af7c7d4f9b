"""Every address of the portal as its URL configuration has it; tests that walk all of them fail for one they do not know."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


def _walk(resolver: URLResolver, before: str) -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route
        else:
            yield from _walk(entry, route)


@cache
def routes() -> tuple[str, ...]:
    """Routes as they are declared, without the first slash: `smartgate/filings/<int:pk>/`."""
    return tuple(dict.fromkeys(_walk(get_resolver(), "")))


def address(route: str, **parameters: Any) -> str:
    """The path of a route with its parameters filled in: `address("filings/<int:pk>/", pk=7)` is `/filings/7/`."""
    path = route
    for name, value in parameters.items():
        for converter in ("int:", "slug:", "path:", "str:", "uuid:", ""):
            path = path.replace(f"<{converter}{name}>", str(value))
    return f"/{path}"
