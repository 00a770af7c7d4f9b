"""The provider's HTTP interface (docs/protocol/sms.md), and the page on which one reads what would have been sent."""

import hmac
import logging
import re
import threading
from collections import Counter
from dataclasses import asdict
from typing import Any

from flask import Flask, Response, jsonify, render_template, request

from simulators.sms.behaviours import Behaviour, behaviour_for
from simulators.sms.messages import Messages

log = logging.getLogger("sms")
_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_LONGEST_TEXT = 1000
REFRESH_SECONDS = 5


class _WrongError(Exception):
    """A request that no repetition makes right; the text says what is wrong with it."""


def make_application(messages: Messages, *, token: str, hold: float) -> Flask:
    """The application. `token` is what a sender must show; a number that never answers does so after `hold` seconds."""
    application = Flask("simulators.sms")
    # Codes are read here: no page of another site may reach us under a name of its own (DNS rebinding).
    application.config.update(TRUSTED_HOSTS=["127.0.0.1", "localhost"], MAX_CONTENT_LENGTH=64 * 1024)
    application.json.ensure_ascii = False  # type: ignore[attr-defined]  # the default provider has it
    tries, lock = Counter[str](), threading.Lock()

    def outcome_of(behaviour: Behaviour, reference: str) -> int | None:
        """The status with which this try is turned away; None when the text is taken."""
        if behaviour.holds:
            threading.Event().wait(hold)
        with lock:
            tries[reference] += 1
            return behaviour.status if behaviour.times is None or tries[reference] <= behaviour.times else None

    @application.post("/messages")
    def take() -> tuple[Response, int]:
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
            return jsonify(error="the bearer token is wrong"), 401
        try:
            reference, mobile, text = _read()
        except _WrongError as wrong:
            return jsonify(error=str(wrong)), 422
        behaviour = behaviour_for(mobile)
        if messages.known(reference) is None and behaviour is not None and (status := outcome_of(behaviour, reference)) is not None:
            log.info("turned away the text for %s with %s (%s)", masked(mobile), status, behaviour.name)
            return jsonify(error=behaviour.name), status
        message, new = messages.take(reference=reference, mobile=mobile, text=text)
        if (message.mobile, message.text) != (mobile, text):
            return jsonify(error="another text was taken under this reference"), 422
        if new:
            log.info("took a text for %s", masked(mobile))
        return jsonify(reference=reference, at=message.at), 201 if new else 200

    @application.get("/messages.json")
    def as_json() -> Response:
        return jsonify(messages=[asdict(message) for message in messages.newest(mobile=request.args.get("mobile", "").strip())])

    @application.get("/")
    def page() -> str:
        mobile = request.args.get("mobile", "").strip()
        return render_template(
            "messages.html",
            messages=messages.newest(mobile=mobile),
            mobile=mobile,
            refresh=None if "still" in request.args else REFRESH_SECONDS,
        )

    @application.after_request
    def harden(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        return response

    return application


def masked(mobile: str) -> str:
    """138****1234: what a log may hold of a number."""
    return f"{mobile[:3]}****{mobile[-4:]}"


def _read() -> tuple[str, str, str]:
    """Reference, number and text of the request. Raises _WrongError."""
    body: Any = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise _WrongError("the body is no JSON object")
    reference, mobile, text = (body.get(name) for name in ("reference", "mobile", "text"))
    if not isinstance(reference, str) or not 0 < len(reference) <= 100:
        raise _WrongError("reference: 1 to 100 characters")
    if request.headers.get("Idempotency-Key") != reference:
        raise _WrongError("Idempotency-Key and reference must be the same")
    if not isinstance(mobile, str) or not _MOBILE.fullmatch(mobile):
        raise _WrongError("mobile: eleven digits, the first 1")
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST_TEXT:
        raise _WrongError(f"text: 1 to {_LONGEST_TEXT} characters")
    return reference, mobile, text
