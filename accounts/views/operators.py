"""我的操作员 (M2 管理员账号信息管理, ACC-10): create, edit, disable, enable, reset. Rights per application: `views.applications`."""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import queries, shown
from accounts.filters import OperatorFilter, OperatorState, with_state
from accounts.forms.operators import NewOperatorForm, OperatorForm
from accounts.models import User
from accounts.rights import Right
from accounts.services import operators
from accounts.tables import OperatorTable
from accounts.views.page import AccountPage
from core.http import safe_next
from core.listing import QueryPageView, RowAction
from core.workflow import ActionRefused


class OperatorListView(QueryPageView):
    """The list; an enterprise's operators are few, the index of their enterprise finds them all."""

    template_name = "accounts/operators.html"
    title = gettext_lazy("我的操作员")
    right = Right.ENTERPRISE_MANAGE
    page = "accounts.operators"
    filterset_class = OperatorFilter
    table_class = OperatorTable
    ordering = ("-date_joined",)
    sortable = {"username": "username", "date_joined": "date_joined"}
    empty_hint = gettext_lazy("还没有操作员。点击“新增”开通第一个操作员账号。")

    def get_queryset(self) -> Any:
        return with_state(queries.operators_for(self.request.user)).select_related("enterprise")  # type: ignore[arg-type]

    def row_actions(self, user: Any, row: Any) -> Sequence[RowAction]:
        name = {"name": row.full_name, "username": row.username}
        actions = [
            RowAction(_("修改"), reverse("accounts:operator_edit", args=[row.pk]), "pencil"),
            RowAction(_("应用权限"), reverse("accounts:operator_applications", args=[row.pk]), "apps"),
        ]
        if row.state == OperatorState.REVIEW:
            return actions
        if row.is_active:
            question = _("确认重置 %(name)s（%(username)s）的密码吗？新的一次性密码将以短信发送给本人，原密码和登录立即失效。") % name
            url = reverse("accounts:operator_reset_password", args=[row.pk])
            actions.append(RowAction(_("重置密码"), url, "key", method="post", confirm=question))
        if not row.is_active or row.frozen_at is not None:
            actions.append(RowAction(_("启用"), reverse("accounts:operator_enable", args=[row.pk]), "user-check", method="post"))
        if row.is_active:
            question = _("确认停用 %(name)s（%(username)s）吗？停用后立即退出登录，不能再登录，可随时重新启用。") % name
            url = reverse("accounts:operator_disable", args=[row.pk])
            actions.append(RowAction(_("停用"), url, "user-off", method="post", confirm=question))
        return actions


class OperatorPage(AccountPage):
    """A page of one form about an operator."""

    right = Right.ENTERPRISE_MANAGE
    template_name = "accounts/operator_form.html"
    form: OperatorForm

    def make_form(self, data: Any = None) -> OperatorForm:
        """The form, empty or with what was sent."""
        raise NotImplementedError

    def save(self) -> HttpResponse:
        """Store what the form says. Raises ValidationError, ActionRefused."""
        raise NotImplementedError

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.form = self.make_form()
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.form = self.make_form(request.POST)
        if self.form.is_valid():
            try:
                return self.save()
            except ValidationError as refusal:
                self.form.add_error(None, refusal)
            except ActionRefused as refusal:
                self.form.add_error(None, str(refusal))
        return self.render_to_response(self.get_context_data())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(form=self.form, back_url=reverse("accounts:operators"), **kwargs)


class NewOperatorView(OperatorPage):
    """新增."""

    title = gettext_lazy("新增操作员")

    def make_form(self, data: Any = None) -> OperatorForm:
        return NewOperatorForm(data, enterprise=queries.enterprise_of(self.user))

    def save(self) -> HttpResponse:
        cleaned = self.form.cleaned_data
        operator = operators.create_operator(
            actor=self.user, username=cleaned["username"], entry=self.form.entry(), applications=cleaned["applications"]
        )
        messages.success(
            self.request,
            _("操作员 %(name)s（%(username)s）已开通，一次性密码已发送至 %(mobile)s。")
            % {"name": operator.full_name, "username": operator.username, "mobile": operator.masked_mobile},
        )
        return HttpResponseRedirect(reverse("accounts:operators"))


class EditOperatorView(OperatorPage):
    """修改."""

    title = gettext_lazy("修改操作员")
    #: What the next 保存 says that it saw.
    seen = ""

    @cached_property
    def operator(self) -> User:
        """The operator that the URL names."""
        return queries.operator_for(self.user, self.kwargs["pk"])

    def page_title(self) -> str:
        return _("修改操作员 %(username)s") % {"username": self.operator.username}

    def make_form(self, data: Any = None) -> OperatorForm:
        now = shown.mark_of(operators.operator_values(self.operator))
        self.seen = now if data is None else str(data.get("seen", ""))
        return OperatorForm(data, operator=self.operator)

    def save(self) -> HttpResponse:
        try:
            operator = operators.edit_operator(actor=self.user, user_id=self.operator.pk, entry=self.form.entry(), seen=self.seen)
        except User.DoesNotExist:
            raise Http404 from None
        except shown.ChangedMeanwhile:
            self.seen = shown.mark_of(operators.operator_values(self.operator))
            raise
        messages.success(self.request, _("操作员 %(username)s 的信息已保存。") % {"username": operator.username})
        return HttpResponseRedirect(reverse("accounts:operators"))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(seen=self.seen, **kwargs)


class OperatorActionView(AccountPage):
    """A button of the list; back to the list as it stood."""

    right = Right.ENTERPRISE_MANAGE
    http_method_names = ["post"]
    action: Callable[..., User]
    done = gettext_lazy("")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        try:
            operator = type(self).action(actor=self.user, user_id=pk)
        except User.DoesNotExist:
            raise Http404 from None
        except ActionRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, str(self.done) % {"username": operator.username, "mobile": operator.masked_mobile})
        return HttpResponseRedirect(safe_next(request, reverse("accounts:operators")))


class DisableOperatorView(OperatorActionView):
    """停用."""

    action = staticmethod(operators.disable_operator)
    done = gettext_lazy("操作员 %(username)s 已停用。")


class EnableOperatorView(OperatorActionView):
    """启用."""

    action = staticmethod(operators.enable_operator)
    done = gettext_lazy("操作员 %(username)s 已启用。")


class ResetPasswordView(OperatorActionView):
    """重置密码."""

    action = staticmethod(operators.reset_password)
    done = gettext_lazy("操作员 %(username)s 的密码已重置，一次性密码已发送至 %(mobile)s。")
