"""The four steps of the registration (ACC-01 to ACC-05, M2 用户注册), at one address.

Every step that is accepted ends in a redirect, so that reloading sends nothing twice; the steps so far lie in the session
(`accounts.registration_storage`). Without a field that says which step is posted, its own fields tell.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View
from formtools.wizard.views import WizardView

from accounts import agreements, codes
from accounts.forms.registration import ENTERPRISE, SERVICES, USER, EnterpriseForm, Progress, RegistrationForm, ServicesForm, UserForm
from accounts.models import Registration, ReviewStatus, Service, SmsPurpose
from accounts.registration_storage import RegistrationStorage
from accounts.rights import ApplicationKey
from accounts.services import registration as services
from accounts.views import sms
from core import audit
from core.identifiers import normalised

#: The step mark on top.
STEPS = (
    (ENTERPRISE, gettext_lazy("企业信息")),
    (USER, gettext_lazy("用户信息")),
    (SERVICES, gettext_lazy("业务开通")),
    ("done", gettext_lazy("注册完成")),
)
#: So many taken user names are told after one SMS code; for more a phone has to be verified again.
TAKEN_NAMES_TOLD = 10
#: What one field may leave in the session while it is not valid.
_DRAFT_LENGTH, _DRAFT_VALUES = 300, 50


def _sorry_who_has_an_account(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/register_signed_in.html")


class RegisterView(WizardView):
    """1 企业信息, 2 用户信息, 3 业务开通; after 继续 the last two again, for an operator."""

    storage_name = "accounts.registration_storage.RegistrationStorage"
    template_name = "accounts/register.html"
    form_list: ClassVar[Any] = [(ENTERPRISE, EnterpriseForm), (USER, UserForm), (SERVICES, ServicesForm)]
    condition_dict: ClassVar[Any] = {ENTERPRISE: lambda view: view.founding_id is None}
    http_method_names = ["get", "post", "head"]
    storage: RegistrationStorage

    # -- What formtools asks ------------------------------------------------------------------------

    def get_prefix(self, request: HttpRequest, *args: Any, **kwargs: Any) -> str:
        return "registration"

    def get_form_prefix(self, step: str | None = None, form: Any = None) -> None:
        """The fields have their plain names."""
        return

    def get_form_kwargs(self, step: str | None = None) -> dict[str, Any]:
        extra = self.storage.extra_data
        return {"progress": Progress(has_password="password" in extra, verified_mobile=extra.get("verified_mobile", ""))}

    def get_form_initial(self, step: str) -> dict[str, Any]:
        """What was typed in this step before, accepted or not."""
        typed = self._drafts.get(step) or self.storage.data["step_data"].get(step) or {}
        multiple = {"enterprise_types", "services"}
        return {name: values if name in multiple else (values[-1] if values else "") for name, values in typed.items()}

    def get_context_data(self, form: RegistrationForm, **kwargs: Any) -> dict[str, Any]:
        step = self.steps.current
        return {
            "form": form,
            "step": step,
            "previous": self.steps.prev,
            "is_last": step == self.steps.last,
            "marks": marks(step),
            "is_operator": self.founding_id is not None,
            "is_too_old": self.storage.is_too_old,
            "has_content": not self.storage.is_empty,
            "agreements": [agreements.agreement(kind, version) for kind, version in self._agreements_shown().items()],
            **kwargs,
        }

    # -- Requests -----------------------------------------------------------------------------------

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        signed_in = request.user.is_authenticated
        response: HttpResponse = _sorry_who_has_an_account(request) if signed_in else super().dispatch(request, *args, **kwargs)
        patch_cache_control(response, no_store=True, private=True)
        return response

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.storage.extra_data.get("finished", {}).get("asking"):
            return redirect("accounts:register_done")
        return self._show(self.steps.current if self.steps.current in self.get_form_list() else self.steps.first)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "restart" in request.POST:
            return self._restart()
        step = self._posted_step()
        if "finished" in self.storage.extra_data and step != self.steps.first:
            # The button was pressed twice.
            return redirect("accounts:register_done")
        self.storage.extra_data.pop("finished", None)
        form = self.get_form(step, data=request.POST)
        missing = next((earlier for earlier in self._before(step) if earlier not in self.storage.data["step_data"]), None)
        if missing is not None:
            self._keep_draft(step, form)
            messages.warning(request, self._text_for_missing(missing))
            return self._move_to(missing)
        if step == USER and sms.asks_for_code(request):
            return self._send_code(form)
        previous = self.get_prev_step(step)
        if previous and request.POST.get("wizard_goto_step") == previous:
            self._keep_draft(step, form)
            return self._move_to(previous)
        return self._take(step, form)

    # -- One step -----------------------------------------------------------------------------------

    def _take(self, step: str, form: RegistrationForm) -> HttpResponse:
        """上一步 was not asked for: on to the next step, or to the end, if all is right."""
        if not (form.is_valid() and self._is_accepted(form)):
            self._keep_draft(step, form)
            return self._show(step, form)
        self._keep_password(form)
        self.storage.set_step_data(step, self.process_step(form))
        self._drafts.pop(step, None)
        following = self.get_next_step(step)
        return self._finish() if following is None else self._move_to(following)

    def process_step(self, form: RegistrationForm) -> dict[str, list[str]]:
        """What the session keeps of an accepted step: the values as they were put right, without what is secret."""
        kept = {}
        for name, value in form.cleaned_data.items():
            if name not in UserForm.SECRETS:
                kept[name] = [str(one) for one in value] if isinstance(value, list) else ["on" if value is True else str(value)]
        return kept

    def _is_accepted(self, form: RegistrationForm) -> bool:
        """What only the portal can say of a valid form: who is registered already, and whether the SMS code is right.

        A card's owner is known to the database alone, at the end: who presses twice must not be told that his own card is taken.
        """
        if isinstance(form, EnterpriseForm) and services.is_enterprise_taken(form.cleaned_data["credit_code"]):
            form.add_error("credit_code", services.enterprise_taken_text())
        if isinstance(form, UserForm):
            self._check_user(form)
        return not form.errors

    def _check_user(self, form: UserForm) -> None:
        mobile = form.cleaned_data["mobile"]
        if form.needs_code:
            try:
                codes.use_code(purpose=SmsPurpose.REGISTRATION, mobile=mobile, code=form.cleaned_data["sms_code"])
            except ValidationError as refusal:
                form.add_error("sms_code", refusal)
                return
            self.storage.extra_data.update(verified_mobile=mobile, taken_names_told=0)
            form.mobile_is_verified()
        if services.is_username_taken(form.cleaned_data["username"]):
            self._tell_that_name_is_taken(form)

    def _tell_that_name_is_taken(self, form: UserForm) -> None:
        """Told only to who proved a phone of his, and not without end: nobody is to try out names (ACC-02)."""
        form.add_error("username", services.username_taken_text())
        told = self.storage.extra_data.get("taken_names_told", 0) + 1
        self.storage.extra_data["taken_names_told"] = told
        if told >= TAKEN_NAMES_TOLD:
            self.storage.extra_data.pop("verified_mobile", None)
            form.add_error("sms_code", _("已多次更换用户名，请重新获取验证码后再试。"))

    def _send_code(self, form: UserForm) -> HttpResponse:
        mobile = normalised(self.request.POST.get("mobile", ""))
        note = sms.send_code(self.request, purpose=SmsPurpose.REGISTRATION, mobile=mobile)
        part = sms.note_part(self.request, note)
        if part is not None:
            return part
        self._keep_draft(USER, form)
        return self._show(USER, note=note)

    # -- What is kept -------------------------------------------------------------------------------

    @property
    def founding_id(self) -> int | None:
        """The registration whose enterprise gets a further user; None while an enterprise is being registered."""
        founding_id: int | None = self.storage.extra_data.get("founding_id")
        return founding_id

    @property
    def _drafts(self) -> dict[str, dict[str, list[str]]]:
        drafts: dict[str, dict[str, list[str]]] = self.storage.extra_data.get("drafts", {})
        return drafts

    def _keep_draft(self, step: str, form: RegistrationForm) -> None:
        """Keep what was typed although it is not accepted (yet); a good password as its hash, everything secret else not at all."""
        names = [name for name in form.fields if name not in UserForm.SECRETS and name in self.request.POST]
        typed = {name: [value[:_DRAFT_LENGTH] for value in self.request.POST.getlist(name)[:_DRAFT_VALUES]] for name in names}
        self.storage.extra_data.setdefault("drafts", {})[step] = typed
        form.is_valid()
        self._keep_password(form)

    def _keep_password(self, form: RegistrationForm) -> None:
        if isinstance(form, UserForm) and form.good_password:
            self.storage.extra_data["password"] = make_password(form.good_password)
            form.password_is_kept()

    def _agreements_shown(self) -> dict[str, str]:
        """Which version of each agreement the page names; fixed when the step is come to, since that is what is accepted."""
        shown: dict[str, str] = self.storage.extra_data.get("agreements") or agreements.newest()
        return shown

    # -- From step to step --------------------------------------------------------------------------

    def _posted_step(self) -> str:
        steps = self.get_form_list()
        said = self.request.POST.get("step", "")
        if said in steps:
            return said
        found = {step: sum(name in self.request.POST for name in form.base_fields) for step, form in steps.items()}
        best = max(found, key=lambda step: found[step])
        return best if found[best] else str(self.steps.current)

    def _before(self, step: str) -> list[str]:
        steps = list(self.get_form_list())
        return steps[: steps.index(step)]

    def _text_for_missing(self, step: str) -> str:
        label = dict(STEPS)[step]
        if self.storage.is_too_old:
            return _("上次填写已超过 24 小时，请从“%(step)s”重新填写。") % {"step": label}
        return _("请先填写并提交“%(step)s”，再继续后面的步骤。已填写的内容仍保留。") % {"step": label}

    def _move_to(self, step: str) -> HttpResponse:
        self.storage.current_step = step
        if step == SERVICES:
            # Known before the last button is pressed, so that pressing it twice is known for what it is.
            self.storage.new_submission()
            if self.storage.extra_data.get("agreements") != agreements.newest():
                self._show_newest_agreements()
        return redirect("accounts:register")

    def _show_newest_agreements(self) -> None:
        """Whatever was ticked was for another wording."""
        self.storage.extra_data["agreements"] = agreements.newest()
        for kept in (self._drafts.get(SERVICES), self.storage.data["step_data"].get(SERVICES)):
            if kept:
                kept.pop("accept_agreements", None)

    def _show(self, step: str, form: RegistrationForm | None = None, *, note: sms.CodeNote | None = None) -> HttpResponse:
        if self.storage.current_step is not None or self.request.method == "POST":
            self.storage.current_step = step
        if form is None:
            form = self.get_form(step)
        if note is not None:
            sms.tell(form, note)
        return self.render(form)

    def _restart(self) -> HttpResponse:
        """放弃并重新填写; of an operator only: the enterprise is registered."""
        founding_id = self.founding_id
        self.storage.reset()
        if founding_id is not None:
            self.storage.extra_data["finished"] = {"founding_id": founding_id, "asking": True}
            return redirect("accounts:register_done")
        messages.info(self.request, _("已放弃先前填写的内容，请重新填写。"))
        return redirect("accounts:register")

    # -- 注册 ---------------------------------------------------------------------------------------

    def _finish(self) -> HttpResponse:
        """All steps once more, then the registration."""
        forms: dict[str, RegistrationForm] = {}
        for step in self.get_form_list():
            form = self.get_form(step, data=self.storage.get_step_data(step))
            forms[step] = form
            if not form.is_valid():
                return self._show(step, form)
        try:
            registration = self._register(forms)
        except services.RegistrationRefusedError as refusal:
            return self._refused(forms, refusal)
        founding_id = self.founding_id or registration.pk
        self.storage.reset()
        self.storage.extra_data["finished"] = {"founding_id": founding_id, "asking": True}
        return redirect("accounts:register_done")

    def _register(self, forms: Mapping[str, RegistrationForm]) -> Registration:
        user, opening = forms[USER].cleaned_data, cast("ServicesForm", forms[SERVICES])
        common: dict[str, Any] = {
            "submission": UUID(self.storage.extra_data["submission"]),
            "user": services.UserDetails(
                username=user["username"],
                password_hash=self.storage.extra_data["password"],
                full_name=user["full_name"],
                id_no=user["id_no"],
                mobile=user["mobile"],
                email=user["email"],
            ),
            "opening": services.Opening(
                services=opening.chosen(Service.values),
                applications=opening.chosen(ApplicationKey.values),
                agreements=self._agreements_shown(),
                **{name: opening.cleaned_data[name] for name in ServicesForm.NUMBERS},
            ),
            "ip": audit.client_address(self.request),
        }
        if self.founding_id is not None:
            return services.register_operator(founding_id=self.founding_id, **common)
        enterprise = forms[ENTERPRISE].cleaned_data
        details = services.EnterpriseDetails(
            name=enterprise["enterprise_name"],
            **{
                name: enterprise[name]
                for name in ("credit_code", "enterprise_types", "legal_person_name", "legal_person_id_no", "office_phone", "office_address")
            },
        )
        return services.register_enterprise(enterprise=details, **common)

    def _refused(self, forms: Mapping[str, RegistrationForm], refusal: services.RegistrationRefusedError) -> HttpResponse:
        """To the step where the user can put it right."""
        step = next((step for step, form in forms.items() if refusal.field in form.fields), None)
        if step is None:
            self.storage.reset()
            messages.error(self.request, str(refusal))
            return redirect("home")
        if refusal.field == "username":
            self._tell_that_name_is_taken(cast("UserForm", forms[step]))
        else:
            forms[step].add_error(refusal.field, str(refusal))
        if refusal.field == "accept_agreements":
            self._show_newest_agreements()
        return self._show(step, forms[step])


def marks(current: str) -> list[dict[str, Any]]:
    """The step mark: number, name, and whether the step is done or the one being filled in."""
    names = [name for name, _label in STEPS]
    at = names.index(current)
    return [
        {"number": number + 1, "label": label, "is_done": number < at, "is_current": number == at}
        for number, (_name, label) in enumerate(STEPS)
    ]


class RegisterDoneView(View):
    """4 注册完成: 是否继续注册本公司其他用户? and, after 取消, the end (ACC-04)."""

    http_method_names = ["get", "post", "head"]
    storage: RegistrationStorage
    #: What the session says of the registration that was made: its id, and whether 继续 or 取消 is still open.
    finished: dict[str, Any]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return _sorry_who_has_an_account(request)
        self.storage = RegistrationStorage("registration", request)
        self.finished = self.storage.extra_data.get("finished", {})
        response = super().dispatch(request, *args, **kwargs) if self.finished else redirect("accounts:register")
        self.storage.update_response(response)
        patch_cache_control(response, no_store=True, private=True)
        return response

    def get(self, request: HttpRequest) -> HttpResponse:
        registration = Registration.objects.filter(pk=self.finished["founding_id"]).first()
        context = {
            "marks": marks("done"),
            "asking": self.finished["asking"] and services.may_continue(self.finished["founding_id"]),
            "is_pending": registration is not None and registration.status == ReviewStatus.PENDING,
        }
        return render(request, "accounts/register_done.html", context)

    def post(self, request: HttpRequest) -> HttpResponse:
        """继续 or 取消."""
        if "continue" not in request.POST:
            self.finished["asking"] = False
            return redirect("accounts:register_done")
        # After 取消 the browser may be somebody else's.
        if not (self.finished["asking"] and services.may_continue(self.finished["founding_id"])):
            self.finished["asking"] = False
            messages.error(request, services.no_further_users_text())
            return redirect("accounts:register_done")
        self.storage.reset()
        self.storage.extra_data["founding_id"] = self.finished["founding_id"]
        self.storage.current_step = USER
        return redirect("accounts:register")
