"""Logging in through the page, beside the bare password hash; and how much the walk over all addresses asks."""

from collections.abc import Iterator
from contextlib import contextmanager

from allauth.usersessions.models import UserSession
from captcha.models import CaptchaStore
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.sessions.models import Session
from django.test import override_settings
from django.urls import reverse

from accounts.models import LoginAttempt, LoginOutcome, User
from accounts.rights import Role
from benchmarks.measure import WARM_UP_ROUNDS, in_turns
from benchmarks.report import Row
from benchmarks.visitor import Visitor
from benchmarks.world import World
from tests.portal.test_permission_walk import EXPECTED, METHODS, ROLES, TABLE

#: As in production, also where tests make theirs cheap.
HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
_USERNAME, _PASSWORD = "bench_login", "Lighthouse77"


def run(world: World) -> tuple[list[Row], list[str]]:
    """Measure a right and a wrong password, each in turns with the hash."""
    times = world.scale.rounds + WARM_UP_ROUNDS + 1
    with (
        override_settings(PASSWORD_HASHERS=HASHERS, LOGIN_FAILURES_PER_ACCOUNT=10**6, LOGIN_FAILURES_PER_ADDRESS=10**6),
        _users(times) as users,
    ):
        visitor, pictures, names = Visitor(None), _pictures(2 * times), iter(users)

        def log_in() -> None:
            visitor.post(reverse("accounts:login"), {"username": next(names), "password": _PASSWORD, **next(pictures)})

        def mistype() -> None:
            visitor.post(reverse("accounts:login"), {"username": users[0], "password": "Harbour2026", **next(pictures)}, answer="200")

        encoded = User.objects.get(username=users[0]).password
        queries = {"login": visitor.queries(log_in), "wrong password": visitor.queries(mistype), "bare hash": 0}
        timings = in_turns(
            {"login": log_in, "wrong password": mistype, "bare hash": lambda: check_password(_PASSWORD, encoded)}, world.scale.rounds
        )
        came_in = LoginAttempt.objects.filter(user__username__in=users, outcome=LoginOutcome.SUCCEEDED).count()
        if came_in != len(users) - len(list(names)):
            raise RuntimeError(f"only {came_in} got in")
    bare = timings["bare hash"]
    rows: list[Row] = [
        {
            "what": name,
            "queries": queries[name],
            "median_ms": timing.median,
            "p95_ms": timing.p95,
            "best_ms": timing.best,
            "per_second": 1000 / timing.median,
            "times bare": timing.median / bare.median,
            "best times bare": timing.best / bare.best,
        }
        for name, timing in timings.items()
    ]
    notes = [
        f"one process, one after the other, another user each time; the hash is {HASHERS[0].rpartition('.')[2]}, as in production.",
        "login: POST of name, password and picture code to the WSGI application, to the redirect: attempt noted, password checked, session",
        "begun. bare hash: check_password.",
        f"permission walk: {len(TABLE)} addresses × {len(ROLES)} roles = {len(TABLE) * len(ROLES):,} pairs of URL and role, each by",
        f"{' and '.join(METHODS)}: {_requests():,} requests, a stranger's records among them (tests/portal/test_permission_walk.py)",
    ]
    return rows, notes


def _requests() -> int:
    return sum(len(ROLES) * (1 if row.stranger is None else 2) for _route, _method, row in EXPECTED)


@contextmanager
def _users(number: int) -> Iterator[list[str]]:
    """User names of so many users with one password; gone afterwards, with all that they left. One user with a session more each time
    would be measured for those he has.
    """
    _remove()
    encoded = make_password(_PASSWORD)
    names = [f"{_USERNAME}_{count}" for count in range(number)]
    try:
        User.objects.bulk_create([User(username=name, full_name=name, password=encoded, role=Role.CUSTOMS) for name in names])
        yield names
    finally:
        _remove()


def _remove() -> None:
    users = User.objects.filter(username__startswith=_USERNAME)
    Session.objects.filter(session_key__in=UserSession.objects.filter(user__in=users).values("session_key")).delete()
    users.delete()


def _pictures(number: int) -> Iterator[dict[str, str]]:
    """The picture codes of so many login pages, made before they are needed: drawing the page is not measured."""
    keys = [CaptchaStore.generate_key() for _number in range(number)]
    stores = list(CaptchaStore.objects.filter(hashkey__in=keys))
    return iter([{"captcha_0": store.hashkey, "captcha_1": store.response} for store in stores])
