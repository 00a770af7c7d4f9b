"""Reads of accounts worth a name; always scoped to the reader."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404

from accounts.models import BoundCard, Enterprise, Qualification, Registration, ReviewStatus, User
from accounts.rights import Right, Role


def operators_for(user: User) -> QuerySet[User]:
    """我的操作员: the operators of the enterprise that `user` administers, each with `waits_for_review`; nobody else has any."""
    if not user.has_right(Right.ENTERPRISE_MANAGE):
        return User.objects.none()
    waiting = Registration.objects.filter(user=OuterRef("pk"), status=ReviewStatus.PENDING)
    return User.objects.filter(enterprise=user.enterprise, role=Role.OPERATOR).annotate(waits_for_review=Exists(waiting))


def operator_for(user: User, pk: Any) -> User:
    """One of `operators_for(user)`. Raises Http404 for everybody else, also for an operator of another enterprise."""
    found = operators_for(user).select_related("enterprise").filter(pk=pk).first()
    if found is None:
        raise Http404(f"no operator {pk}")
    return found


def enterprise_of(user: User) -> Enterprise:
    """The user's enterprise. Raises Http404 for users of authorities and the platform."""
    if user.enterprise is None:
        raise Http404("this user has no enterprise")
    return user.enterprise


def qualification_for(user: User) -> Qualification:
    """我的资质 of the user's enterprise; an empty one, not stored, as long as nothing was entered."""
    found: Qualification | None = Qualification.objects.for_user(user).first()
    return found or Qualification(enterprise=enterprise_of(user))


def own_card(user: User) -> BoundCard | None:
    """The card that is bound to the user himself; also where he has moved to another enterprise since."""
    return getattr(user, "bound_card", None)


def stated_card_no(user: User) -> str:
    """用户海关IC卡号 as it was said at registration; empty when nothing was. It proves nothing: binding a card does."""
    stated = Registration.objects.filter(user=user).order_by("-submitted_at").values_list("ic_card_no", flat=True).first()
    return stated or ""
