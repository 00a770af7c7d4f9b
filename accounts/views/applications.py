"""我的应用权限 (M2, ACC-10, ACC-13): what the enterprise has opened, what each operator may use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils.functional import Promise, cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import queries
from accounts.models import User
from accounts.rights import ApplicationKey, Right
from accounts.services import applications
from accounts.services.applications import Grants
from accounts.views.page import AccountPage
from core.http import safe_next
from core.listing import RowAction
from core.listing.actions import drawn, hidden_fields
from core.workflow import ActionRefused

#: Operators on one page; most enterprises have fewer.
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Box:
    """One tick box of the matrix."""

    value: str
    label: str | Promise
    is_ticked: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One operator of the matrix: his boxes, and what he had when the page was drawn."""

    operator: User
    boxes: Sequence[Box]
    seen: str


@dataclass(frozen=True, slots=True)
class OpenedApplication:
    """One application as the enterprise has it, and for an operator whether it is granted to him."""

    label: str | Promise
    is_opened: bool
    is_granted: bool
    actions: SafeString | str


def lines_of(operators: Sequence[User], opened: Sequence[ApplicationKey], data: QueryDict | None) -> list[Line]:
    """The rows of the matrix: ticked as stored or, after a refusal, as they were sent."""
    ticked = set(data.getlist("grant")) if data is not None else set()
    lines = []
    for operator in operators:
        has = operator.open_applications or frozenset()
        boxes = [
            Box(
                f"{operator.pk}:{key.value}",
                key.label,
                f"{operator.pk}:{key.value}" in ticked if data is not None and f"seen-{operator.pk}" in data else key.value in has,
            )
            for key in opened
        ]
        lines.append(Line(operator, boxes, ",".join(sorted(has))))
    return lines


def grants_of(data: QueryDict) -> list[Grants]:
    """What the matrix sent. Raises Http404 for what no page of ours sends."""
    ticked: dict[int, set[str]] = {}
    grants = []
    for pair in data.getlist("grant"):
        pk, _colon, key = pair.partition(":")
        if not pk.isdecimal() or len(pk) > 18 or key not in ApplicationKey.values:
            raise Http404(f"{pair!r} grants nothing")
        ticked.setdefault(int(pk), set()).add(key)
    for name in data:
        pk = name.removeprefix("seen-")
        if name != pk:
            if not pk.isdecimal() or len(pk) > 18:
                raise Http404(f"{name!r} is no operator")
            seen = frozenset(filter(None, str(data[name]).split(",")))
            grants.append(Grants(user_id=int(pk), seen=seen, wanted=frozenset(ticked.get(int(pk), ()))))
    return grants


class MatrixPage(AccountPage):
    """A page with the boxes of some operators; the service decides over all of them at once."""

    right = Right.ENTERPRISE_MANAGE
    #: What was sent, when it was refused: it stays ticked.
    sent: QueryDict | None = None
    refusals: Sequence[str] = ()

    @cached_property
    def operators(self) -> Sequence[User]:
        """The operators of this page."""
        raise NotImplementedError

    @cached_property
    def opened(self) -> Sequence[ApplicationKey]:
        """What the enterprise has opened: the columns."""
        enterprise = queries.enterprise_of(self.user)
        return [key for key in ApplicationKey if key.value in enterprise.applications]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # An operator reads the page of what he may use, and changes nothing.
        if not self.user.has_right(Right.ENTERPRISE_MANAGE):
            raise PermissionDenied
        try:
            changed = applications.grant_applications(
                actor=self.user, enterprise_id=queries.enterprise_of(self.user).pk, grants=self.grants()
            )
        except User.DoesNotExist:
            raise Http404 from None
        except ValidationError as refusal:
            self.sent, self.refusals = request.POST, refusal.messages
        except ActionRefused as refusal:
            self.sent, self.refusals = request.POST, [str(refusal)]
        else:
            if changed:
                messages.success(request, _("保存成功，%(number)d 名操作员的权限已更新，下一次操作起生效。") % {"number": changed})
            else:
                messages.info(request, _("没有需要保存的更改。"))
            return HttpResponseRedirect(request.get_full_path())
        return self.render_to_response(self.get_context_data())

    def grants(self) -> list[Grants]:
        """What was sent for this page's operators."""
        return grants_of(self.request.POST)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            opened=self.opened, lines=lines_of(self.operators, self.opened, self.sent), refusals=self.refusals, **kwargs
        )


class ApplicationsView(MatrixPage):
    """我的应用权限: for an administrator to change, for an operator to read what he may use."""

    title = gettext_lazy("我的应用权限")
    right = Right.ENTERPRISE_VIEW
    template_name = "accounts/applications.html"

    @cached_property
    def _found(self) -> Sequence[User]:
        operators = queries.operators_for(self.user).select_related("enterprise").order_by("username")
        # PostgreSQL takes no NUL in a text, and no user name has one.
        if after := self.request.GET.get("after", "").replace("\x00", "")[:18]:
            operators = operators.filter(username__gt=after)
        return list(operators[: PAGE_SIZE + 1])

    @cached_property
    def operators(self) -> Sequence[User]:
        return self._found[:PAGE_SIZE]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            can_manage=self.user.has_right(Right.ENTERPRISE_MANAGE),
            applications=self._applications(),
            next_after=self.operators[-1].username if len(self._found) > PAGE_SIZE else "",
            is_first=not self.request.GET.get("after"),
            **kwargs,
        )

    def _applications(self) -> list[OpenedApplication]:
        enterprise = queries.enterprise_of(self.user)
        mine = self.user.open_applications or frozenset()
        return [
            OpenedApplication(key.label, key.value in enterprise.applications, key.value in mine, self._actions(key))
            for key in ApplicationKey
        ]

    def _actions(self, key: ApplicationKey) -> SafeString | str:
        if not self.user.has_right(Right.ENTERPRISE_MANAGE):
            return ""
        hidden = hidden_fields(get_token(self.request), self.request.get_full_path())
        if key not in self.opened:
            return drawn([RowAction(_("开通"), reverse("accounts:application_open", args=[key.value]), method="post")], hidden=hidden)
        losers = queries.operators_for(self.user).filter(applications__contains=[key.value]).count()
        question = (
            _("关闭后，%(number)d 名操作员将失去“%(application)s”的权限，重新开通后须逐一授权。确认关闭吗？")
            if losers
            else _("目前没有操作员使用“%(application)s”。确认关闭吗？")
        ) % {"number": losers, "application": key.label}
        url = reverse("accounts:application_close", args=[key.value])
        return drawn([RowAction(_("关闭"), url, method="post", confirm=question)], hidden=hidden)


class OperatorApplicationsView(MatrixPage):
    """应用权限 of one operator."""

    template_name = "accounts/operator_applications.html"

    @cached_property
    def operators(self) -> Sequence[User]:
        return [queries.operator_for(self.user, self.kwargs["pk"])]

    def page_title(self) -> str:
        return _("应用权限 %(username)s") % {"username": self.operators[0].username}

    def grants(self) -> list[Grants]:
        grants = super().grants()
        if {grant.user_id for grant in grants} - {self.operators[0].pk}:
            raise Http404("this page is about one operator")
        return grants

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(operator=self.operators[0], back_url=reverse("accounts:operators"), **kwargs)


class ApplicationSwitchView(AccountPage):
    """开通 or 关闭 one application for the enterprise."""

    right = Right.ENTERPRISE_MANAGE
    http_method_names = ["post"]
    opens = True

    def post(self, request: HttpRequest, key: str) -> HttpResponse:
        if key not in ApplicationKey.values:
            raise Http404(f"{key} is no application")
        application, enterprise = ApplicationKey(key), queries.enterprise_of(self.user)
        label = {"application": application.label}
        if self.opens:
            applications.open_application(actor=self.user, enterprise_id=enterprise.pk, key=application)
            messages.success(request, _("“%(application)s”已开通。请在下方为操作员授权。") % label)
        else:
            lost = applications.close_application(actor=self.user, enterprise_id=enterprise.pk, key=application)
            messages.success(request, _("“%(application)s”已关闭，%(number)d 名操作员失去该权限。") % {**label, "number": lost})
        return HttpResponseRedirect(safe_next(request, reverse("accounts:applications")))
