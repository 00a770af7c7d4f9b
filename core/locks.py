"""Locks on what has no row to lock: a phone number, an address, a user name that somebody tries."""

from collections.abc import Iterable

from django.db import connection


def hold(purpose: str, subjects: Iterable[str]) -> None:
    """Hold everybody else who names one of the same subjects for the same purpose until this transaction ends.

    Always in the same order: two who name the same two do not wait for each other. Call it inside of a transaction.
    """
    with connection.cursor() as cursor:
        for subject in sorted(set(subjects)):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{purpose}:{subject}"])
