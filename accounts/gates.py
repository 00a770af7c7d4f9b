"""What a logged-in user has to do before anything else opens: one list, asked at every request.

Each gate says whether it stands in this user's way and which page opens it. Pages that must stay reachable meanwhile (logging out,
the gate's own page and what belongs to it) are named by `OPEN` and by the gate.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from django.http import HttpRequest

from accounts.models import User
from accounts.rights import ENTERPRISE_ROLES
from accounts.services import second_factor


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that comes first. `url_name` is its page; `also` names what that page needs."""

    stands: Callable[[HttpRequest, User], bool]
    url_name: str
    also: Collection[str] = ()


def _unverified(request: HttpRequest, user: User) -> bool:
    """账号验证 at the first login (ACC-08), for users of enterprises."""
    return user.first_login_verified_at is None and user.role in ENTERPRISE_ROLES


def _others_password(request: HttpRequest, user: User) -> bool:
    """The password was chosen by somebody else (an administrator's reset)."""
    return user.must_change_password


_HAS_FACTOR = "second_factor_of"


def _second_factor_missing(request: HttpRequest, user: User) -> bool:
    """Platform staff set up a second factor first (ACC-14). That they have one is asked once a session: the last one cannot be removed
    by its owner, and whoever else removes it ends the sessions."""
    if not second_factor.is_required_of(user) or request.session.get(_HAS_FACTOR) == user.pk:
        return False
    if not second_factor.has_factor(user):
        return True
    request.session[_HAS_FACTOR] = user.pk
    return False


#: The ways to a second factor, and proving meanwhile that it is still the user himself.
_SECOND_FACTOR_PAGES = (
    "mfa_index",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_view_recovery_codes",
    "mfa_download_recovery_codes",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "account_reauthenticate",
)

#: In the order in which they are to be passed.
GATES: Sequence[Gate] = (
    Gate(_unverified, "accounts:first_login"),
    Gate(_others_password, "accounts:password_change"),
    Gate(_second_factor_missing, "accounts:security", also=_SECOND_FACTOR_PAGES),
)

#: Addresses that are open to everybody who is logged in, whatever stands in his way.
OPEN = frozenset({"accounts:logout", "healthz", "readyz", "metrics", "preferences"})


def next_gate(request: HttpRequest, user: User) -> Gate | None:
    """The first gate that stands in the user's way, or None."""
    return next((gate for gate in GATES if gate.stands(request, user)), None)


def lets_pass(gate: Gate, view_name: str) -> bool:
    """Whether the address with this name opens although the gate stands."""
    return view_name == gate.url_name or view_name in gate.also or view_name in OPEN
