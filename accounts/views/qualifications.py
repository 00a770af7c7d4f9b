"""我的资质 (M2, ACC-11): 编辑 and 保存 for the administrator; operators read it without the accounts of other systems."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import queries
from accounts.forms.qualifications import QualificationForm
from accounts.rights import Right
from accounts.services import qualifications
from accounts.shown import ChangedMeanwhile
from accounts.views.page import AccountPage


class QualificationsView(AccountPage):
    """Read on arrival; `?edit=1` is 编辑."""

    title = gettext_lazy("我的资质")
    right = Right.ENTERPRISE_VIEW
    template_name = "accounts/qualifications.html"
    form: QualificationForm
    is_editing = False
    lock_version = 0

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.is_editing = "edit" in request.GET and self._can_edit()
        self.lock_version = queries.qualification_for(self.user).lock_version
        self.form = self._form()
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self._can_edit():
            raise PermissionDenied
        version = request.POST.get("lock_version", "")
        self.is_editing, self.lock_version = True, int(version) if version.isdecimal() and len(version) < 10 else -1
        self.form = self._form(request.POST)
        if self.form.is_valid():
            try:
                qualifications.save_qualification(
                    actor=self.user,
                    enterprise_id=queries.enterprise_of(self.user).pk,
                    entry=self.form.entry(),
                    lock_version=self.lock_version,
                )
            except ChangedMeanwhile as refusal:
                self._tell_difference(str(refusal))
            else:
                messages.success(request, _("保存成功。"))
                return HttpResponseRedirect(reverse("accounts:qualifications"))
        return self.render_to_response(self.get_context_data())

    def _tell_difference(self, refusal: str) -> None:
        """Say what another saved; the next 保存 replaces it, knowingly."""
        stored = queries.qualification_for(self.user)
        self.form.add_error(None, refusal)
        for text in self.form.differences(queries.enterprise_of(self.user), stored):
            self.form.add_error(None, text)
        if any(self.form.data.get(name) for name in qualifications.SECRETS):
            self.form.add_error(None, _("为安全起见，填写的密码不再显示，需要修改密码的请重新填写。"))
        self.lock_version = stored.lock_version

    def _can_edit(self) -> bool:
        return self.user.has_right(Right.ENTERPRISE_MANAGE)

    def _form(self, data: Any = None) -> QualificationForm:
        return QualificationForm(
            data,
            enterprise=queries.enterprise_of(self.user),
            qualification=queries.qualification_for(self.user),
            is_editing=self.is_editing,
            shows_accounts=self._can_edit(),
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            form=self.form, is_editing=self.is_editing, can_edit=self._can_edit(), lock_version=self.lock_version, **kwargs
        )
