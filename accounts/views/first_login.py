"""账号验证: the page that comes before all others at the first login (ACC-08)."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.views import RedirectURLMixin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import FormView

from accounts.forms.first_login import FirstLoginForm
from accounts.models import SmsPurpose, User
from accounts.rights import Right
from accounts.services.first_login import verify_first_login
from accounts.views import sms
from core.views import WorkPageMixin


class FirstLoginView(WorkPageMixin, RedirectURLMixin, FormView):
    """尊敬的用户，请通过预留的手机号码，验证账户 (M2 账号验证); then on to the page that was asked for."""

    title = gettext_lazy("账号验证")
    right = Right.ACCOUNT_OWN
    keeps_place = False
    form_class = FirstLoginForm
    template_name = "accounts/first_login.html"
    next_page = "home"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated and request.user.first_login_verified_at is not None:
            return redirect(self.get_success_url())
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        mobile = cast("User", request.user).mobile
        if not mobile:
            return self.get(request, *args, **kwargs)
        if not sms.asks_for_code(request):
            return super().post(request, *args, **kwargs)
        note = sms.send_code(request, purpose=SmsPurpose.FIRST_LOGIN, mobile=mobile)
        form = FirstLoginForm()
        sms.tell(form, note)
        return sms.note_part(request, note) or self.render_to_response(self.get_context_data(form=form))

    def form_valid(self, form: FirstLoginForm) -> HttpResponse:
        try:
            verify_first_login(user_id=cast("User", self.request.user).pk, code=form.cleaned_data["sms_code"])
        except ValidationError as refusal:
            form.add_error("sms_code", refusal)
            return self.form_invalid(form)
        messages.success(self.request, _("验证成功，欢迎使用辽宁国际贸易单一窗口。"))
        return super().form_valid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**kwargs) | {"next": self.get_redirect_url()}
