"""What surrounds every request: its id, and its being counted (OPS-03)."""

import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from django.http import HttpRequest, HttpResponse

from core.metrics import Counter, Histogram

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS: Final = Counter(
    "portal_requests_total", "Answered requests by the name of their address (none: no such address)", ("view", "method", "status")
)
DURATION: Final = Histogram("portal_request_seconds", "How long requests took", ("view",), _BOUNDS)


class RequestIdMiddleware:
    """Gives a request its id and tells it to the browser: `X-Request-ID`. One that came along is replaced: anybody may have chosen it.

    django-structlog takes it from here for every log line, `core.audit` and the relay take it from there.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request.META["HTTP_X_REQUEST_ID"] = str(uuid4())
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class RequestCountMiddleware:
    """Counts requests and how long they take. Addresses by name only: paths hold numbers of records."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        begun = time.perf_counter()
        response = self.get_response(request)
        view = request.resolver_match.view_name if request.resolver_match else "none"
        method = request.method if request.method in _METHODS else "other"
        REQUESTS.count(view=view, method=method or "other", status=str(response.status_code))
        DURATION.observe(time.perf_counter() - begun, view=view)
        return response
