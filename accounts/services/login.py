"""Logging in (ACC-07): who may try, whether the password is right, and what is kept of it.

Every attempt is a row before its password is looked at, and counts as a wrong one until it proves to be right: a hundred sent at once
count as a hundred. The throttle closes the door for an account and for an address, opens it again by itself, and keeps it closed for a
right password alike, so that trying on tells nothing. Browsers that logged in to the account before have a count of their own.
Cards (`accounts.services.card_login`) are counted apart, and by address alone: nobody guesses a signature.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from accounts.backends import password_is_right
from accounts.closed import why_closed
from accounts.models import BoundCard, LoginAttempt, LoginMethod, LoginOutcome, User
from accounts.services.history import describe, tell_of_unknown_login
from core.locks import hold

#: How long the login history is kept.
KEPT = timedelta(days=365)


class LoginRefused(ValidationError):  # noqa: N818 - a decision, not an error of the program
    """No login; the text is for whom tried. `code` is one of wrong, closed, throttled; for cards also what `accounts.services.card_login`
    and the reasons of `accounts.signatures.refusals` say."""


def check_password(
    *, username: str, password: str, ip: str, user_agent: str, known_browser: bool, at: datetime | None = None
) -> tuple[User, LoginAttempt]:
    """The user whose name and password these are, and the attempt, which `record_login` ends once he is in.

    `known_browser` says that the browser logged in to this account before. Raises LoginRefused: for a wrong password and an unknown
    name with the same text after the same work; for an account that may not be used, why, and only after the right password.
    """
    now = at or timezone.now()
    user = User.objects.named(username)
    attempt, minutes = begin(
        method=LoginMethod.PASSWORD, account=username, user=user, ip=ip, user_agent=user_agent, known_browser=known_browser, at=now
    )
    if minutes:
        raise LoginRefused(
            _("密码输错次数过多，为安全起见已暂停登录，请 %(minutes)d 分钟后再试。忘记密码的，可点击“忘记密码”用短信重置。"),
            params={"minutes": minutes},
            code="throttled",
        )
    if not password_is_right(user, password) or user is None:
        raise LoginRefused(_("用户名或密码不正确。密码区分大小写；忘记密码的，可点击“忘记密码”用短信重置。"), code="wrong")
    reason = why_closed(user)
    end(attempt, LoginOutcome.CLOSED if reason else LoginOutcome.PROVEN)
    if reason:
        raise LoginRefused(reason, code="closed")
    return user, attempt


def begin(
    *, method: LoginMethod, account: str = "", user: User | None = None, ip: str, user_agent: str, known_browser: bool = False, at: datetime
) -> tuple[LoginAttempt, int]:
    """The row of a new attempt, which counts as failed until `end` says otherwise, and for how many minutes the door is still closed to it
    (0: it may be tried).

    `account` is the name that was typed; without one, only what comes from the address counts.
    """
    ip = ip[:64]
    digest = _digest(account) if account else ""
    with transaction.atomic():
        # Whoever tries the same account, or from the same address, counts one after the other.
        hold("accounts.login", ([f"account:{digest}"] if digest else []) + [f"ip:{ip}"])
        closed_until = _closed_until(method=method, account=digest, ip=ip, known_browser=known_browser, now=at)
        attempt = LoginAttempt.objects.create(
            at=at,
            account=digest,
            user=user,
            method=method,
            outcome=LoginOutcome.THROTTLED if closed_until else LoginOutcome.FAILED,
            known_browser=known_browser,
            **_origin(ip, user_agent[:300]),
        )
    return attempt, -(-(closed_until - at) // timedelta(minutes=1)) if closed_until else 0


def end(attempt: LoginAttempt, outcome: LoginOutcome, *, user: User | None = None) -> None:
    """Note how an attempt ended, and whose it was, where only the attempt itself has shown that."""
    attempt.outcome = outcome
    if user is not None:
        attempt.user, attempt.account = user, _digest(user.username)
    attempt.save(update_fields=["outcome", "user", "account"])


def admit(*, user_id: int, card_no: str = "", at: datetime | None = None) -> str:
    """The last look before a session begins, whatever the login method: why the account may not be used, or nothing when it may.

    `card_no` is the card that he came with: it must still be his. The account counts as used from here on, under the same lock: it is not
    frozen for being unused while its user comes in (ACC-12).
    """
    with transaction.atomic():
        user = User.objects.select_for_update(of=("self",)).select_related("enterprise").get(pk=user_id)
        reason = why_closed(user)
        if not reason and card_no and not BoundCard.unscoped.filter(user=user, card_no=card_no).exists():
            reason = _("此卡已与账号解绑，不能用于登录。请使用用户名密码登录。")
        if not reason:
            user.last_login, user.dormancy_warned_at = at or timezone.now(), None
            user.save(update_fields=["last_login", "dormancy_warned_at"])
    return reason


def record_login(
    *, user: User, method: str, outcome: LoginOutcome = LoginOutcome.SUCCEEDED, attempt_id: int | None = None, ip: str, user_agent: str
) -> None:
    """Note how a login ended, in exactly one row: the attempt that proved who he is, or a new one for the other methods.

    The user is told of a login that is unlike his earlier ones (ACC-14).
    """
    with transaction.atomic():
        proven = LoginAttempt.objects.filter(user=user, method=method, outcome=LoginOutcome.PROVEN)
        attempt = proven.filter(pk=attempt_id).first() if attempt_id else None
        if attempt is not None:
            end(attempt, outcome)
        else:
            attempt = LoginAttempt.objects.create(
                at=timezone.now(),
                account=_digest(user.username),
                user=user,
                method=method,
                outcome=outcome,
                **_origin(ip[:64], user_agent[:300]),
            )
        tell_of_unknown_login(attempt)


def forget_old_attempts(*, at: datetime | None = None) -> int:
    """Delete attempts of more than a year ago; gives how many."""
    deleted, _per_model = LoginAttempt.objects.filter(at__lt=(at or timezone.now()) - KEPT).delete()
    return deleted


def _closed_until(*, method: LoginMethod, account: str, ip: str, known_browser: bool, now: datetime) -> datetime | None:
    """When the door opens again; None when it is open. A browser that is known here does not suffer for its neighbours' address."""
    wrong = LoginAttempt.objects.filter(method=method, outcome=LoginOutcome.FAILED, known_browser=known_browser)
    ends = [_end_of_closure(wrong.filter(account=account), settings.LOGIN_FAILURES_PER_ACCOUNT)] if account else []
    if ip and not known_browser:
        ends.append(_end_of_closure(wrong.filter(ip=ip), settings.LOGIN_FAILURES_PER_ADDRESS))
    return max((end for end in ends if end is not None and end > now), default=None)


def _end_of_closure(wrong: "QuerySet[LoginAttempt]", limit: int) -> datetime | None:
    """The door closes when `limit` wrong ones fall within LOGIN_CLOSED_SECONDS, for as long from the last of them."""
    closed = timedelta(seconds=settings.LOGIN_CLOSED_SECONDS)
    times = list(wrong.order_by("-at").values_list("at", flat=True)[:limit])
    return times[0] + closed if len(times) == limit and times[0] - times[-1] <= closed else None


def _origin(ip: str, user_agent: str) -> dict[str, str]:
    place, device = describe(ip, user_agent)
    return {"ip": ip, "user_agent": user_agent, "place": place[:100], "device": device[:100]}


def _digest(username: str) -> str:
    """People type passwords into the field for the user name, too: only a keyed digest of it is kept."""
    return salted_hmac("accounts.login", username.lower(), algorithm="sha256").hexdigest()
