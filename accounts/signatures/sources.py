"""Where CRLs and OCSP answers come from: the operator's files, copies in the database, the addresses that certificates name.

Only certificates whose chain leads to an anchor may be asked about: the addresses are then the trusted authority's own. All of this is
network and files; `ask` refuses to run inside a transaction.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import requests
import structlog
import urllib3
from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError

from accounts.models import RevocationListCopy
from accounts.signatures import revocation
from accounts.signatures.certificates import Certificate
from accounts.signatures.refusals import RevocationUnknownError, RevokedError
from accounts.signatures.revocation import Answer, Method, RevocationList

log = structlog.get_logger(__name__)

ENDINGS = (".crl", ".pem", ".der")
LARGEST_LIST = 64 * 1024 * 1024
LARGEST_ANSWER = 256 * 1024
#: An address that failed is left alone for so long: who logs in meanwhile does not wait for it again.
PAUSE_SECONDS = 30
_FAILED = "card-revocation-failed:"
FORGOTTEN_AFTER = timedelta(days=30)
#: What was answered within `asked_once`, by certificate and issuer; None outside of it.
_answers: ContextVar[dict[tuple[bytes, bytes], Answer | None] | None] = ContextVar("revocation_answers", default=None)


@contextlib.contextmanager
def asked_once() -> Iterator[None]:
    """Within the block each certificate is asked about once, for the many signatures that one request brings. Refusals are not kept."""
    token = _answers.set({})
    try:
        yield
    finally:
        _answers.reset(token)


def ask(*, certificate: Certificate, issuer: Certificate, at: datetime) -> Answer | None:
    """That `certificate` was not revoked at `at`, by the first way of CARD_REVOCATION that has an answer; None where none is configured.

    Raises RevokedError; RevocationListTooOldError or RevocationUnknownError when nobody can say; RuntimeError inside a transaction.
    """
    with transaction.atomic(durable=True):
        pass  # only to be refused here, before anything is waited for
    answers, question = _answers.get(), (certificate.der, issuer.der)
    if answers is None:
        return _asked(certificate, issuer, at)
    if question not in answers:
        answers[question] = _asked(certificate, issuer, at)
    return answers[question]


def _asked(certificate: Certificate, issuer: Certificate, at: datetime) -> Answer | None:
    now = timezone.now()
    unknown: RevocationUnknownError | None = None
    for word in settings.CARD_REVOCATION:
        try:
            if Method(word) == Method.OCSP:
                return _by_ocsp(certificate, issuer, at, now)
            return _by_list(certificate, issuer, at, now)
        except RevocationUnknownError as error:
            # The last way's reason says most: a list too old rather than nobody there.
            unknown = error
    if unknown is not None:
        raise unknown
    return None


def refresh_lists() -> int:
    """Fetch anew every CRL in the database that is due soon; gives how many came. For the worker; runs twice without harm.

    An address that has given nothing for long is forgotten; a card that names it brings it back.
    """
    now = timezone.now()
    RevocationListCopy.objects.filter(fetched_at__lt=now - FORGOTTEN_AFTER).delete()
    due = now - timedelta(seconds=settings.CARD_CRL_REFRESH_SECONDS / 2)
    urls = list(RevocationListCopy.objects.filter(fetched_at__lt=due).values_list("url", flat=True))
    return sum(_fetched_list(url) is not None for url in urls)


def _by_ocsp(certificate: Certificate, issuer: Certificate, at: datetime, now: datetime) -> Answer:
    for url in revocation.ocsp_addresses(certificate):
        question = revocation.ask_ocsp(certificate=certificate, issuer=issuer)
        answer = _got(url, LARGEST_ANSWER, question.der)
        if answer is None:
            continue
        try:
            return revocation.by_ocsp(answer, question=question, certificate=certificate, issuer=issuer, at=at, now=now, source=url)
        except RevocationUnknownError:
            log.warning("ocsp_answer_refused", url=url, certificate=certificate.serial_no)
    raise RevocationUnknownError


def _by_list(certificate: Certificate, issuer: Certificate, at: datetime, now: datetime) -> Answer:
    """By the newest list there is: every list that knows of a revocation counts, and one that is current is enough."""
    grace = timedelta(seconds=settings.CARD_CRL_GRACE_SECONDS)
    unknown = RevocationUnknownError()
    found: Answer | None = None
    for source, crl in _lists(certificate, now):
        try:
            answer = revocation.by_list(crl, certificate=certificate, issuer=issuer, at=at, now=now, grace=grace, source=source)
        except RevokedError:
            raise
        except RevocationUnknownError as error:
            # "Too old" tells the operator more than "not of this issuer".
            unknown = error if type(unknown) is RevocationUnknownError else unknown
            continue
        found = answer if found is None or answer.this_update > found.this_update else found
    if found is None:
        raise unknown
    return found


def _lists(certificate: Certificate, now: datetime) -> Iterator[tuple[str, RevocationList]]:
    yield from _files(settings.CARD_CRL_DIR)
    for url in revocation.list_addresses(certificate):
        crl = _list_at(url, now)
        if crl is not None:
            yield url, crl


def _list_at(url: str, now: datetime) -> RevocationList | None:
    """The copy in the database while it is fresh, else a new one, else the copy all the same: whether it is too old is judged later."""
    fetched_at = RevocationListCopy.objects.filter(url=url).values_list("fetched_at", flat=True).first()
    copy = _copy(url, fetched_at) if fetched_at is not None else None
    is_fresh = (
        copy is not None
        and fetched_at is not None
        and now - fetched_at < timedelta(seconds=settings.CARD_CRL_REFRESH_SECONDS)
        and copy.is_current(now=now, grace=timedelta())
    )
    if is_fresh:
        return copy
    fetched = _fetched_list(url)
    # Whoever sits between may play back an older list: it never hides what a newer one told.
    return copy if fetched is None or (copy is not None and copy.this_update > fetched.this_update) else fetched


def _fetched_list(url: str) -> RevocationList | None:
    """Fetch a CRL and keep a copy; an older one never takes the place of a newer one."""
    der = _got(url, LARGEST_LIST)
    if der is None:
        return None
    try:
        crl = revocation.load_list(der)
    except RevocationUnknownError:
        log.warning("revocation_list_not_readable", url=url)
        return None
    with transaction.atomic(durable=True):
        fresh = {"der": crl.der, "this_update": crl.this_update, "next_update": crl.next_update, "fetched_at": timezone.now()}
        copy, is_new = RevocationListCopy.objects.select_for_update().get_or_create(url=url, defaults=fresh)
        if not is_new and copy.this_update <= crl.this_update:
            RevocationListCopy.objects.filter(pk=copy.pk).update(**fresh)
    return crl


@lru_cache(maxsize=16)
def _copy(url: str, fetched_at: datetime) -> RevocationList | None:
    """The copy of that moment, parsed once in each process: a large list is read from the database no more than that."""
    der = RevocationListCopy.objects.filter(url=url, fetched_at=fetched_at).values_list("der", flat=True).first()
    try:
        return revocation.load_list(bytes(der)) if der is not None else None
    except RevocationUnknownError:
        return None


def _files(directory: Path) -> Iterator[tuple[str, RevocationList]]:
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() in ENDINGS and path.is_file():
            state = path.stat()
            crl = _file(path, state.st_size, state.st_mtime_ns)
            if crl is not None:
                yield path.name, crl


@lru_cache(maxsize=16)
def _file(path: Path, _size: int, _changed: int) -> RevocationList | None:
    try:
        return revocation.load_list(path.read_bytes())
    except (OSError, RevocationUnknownError):
        log.warning("revocation_list_not_readable", file=str(path))
        return None


def _got(url: str, largest: int, question: bytes | None = None) -> bytes | None:
    """What the address answers, None where it does not; then it is left alone for a while."""
    if _is_left_alone(url):
        return None
    try:
        content = _requested(url, largest, question)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        log.warning("revocation_source_failed", url=url, error=type(error).__name__)
        _leave_alone(url)
        return None
    return content


def _is_left_alone(url: str) -> bool:
    """Whether the address has just failed. While Redis is away nobody knows, and it is asked."""
    try:
        return bool(cache.get(_FAILED + url))
    except RedisError as error:
        log.warning("revocation_pause_unknown", error=str(error))
        return False


def _leave_alone(url: str) -> None:
    with contextlib.suppress(RedisError):
        cache.set(_FAILED + url, True, PAUSE_SECONDS)


def _requested(url: str, largest: int, question: bytes | None) -> bytes:
    """Raises ValueError for more than `largest` bytes or too slow ones, RequestException, HTTPError or OSError for what else goes wrong;
    follows no redirect."""
    deadline = timezone.now() + timedelta(seconds=4 * settings.CARD_REVOCATION_TIMEOUT_SECONDS)
    with requests.request(
        "GET" if question is None else "POST",
        url,
        data=question,
        headers={"Content-Type": "application/ocsp-request"} if question is not None else None,
        timeout=settings.CARD_REVOCATION_TIMEOUT_SECONDS,
        allow_redirects=False,
        stream=True,
    ) as response:
        if response.status_code != requests.codes.ok:
            raise ValueError(f"status {response.status_code}")
        content = bytearray()
        # As much as has come, at once: `iter_content` waits for the whole of a part, however slowly its bytes drip.
        while part := response.raw.read1(64 * 1024, decode_content=True):
            content += part
            if len(content) > largest or timezone.now() > deadline:
                raise ValueError("too large or too slow")
    return bytes(content)
