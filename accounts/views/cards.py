"""我的IC卡 (M2, CARD-03): the bound card, 绑卡 in two pages, 解绑.

Between the two pages of 绑卡 the session keeps what the card has signed; the page itself carries nothing of it but the card's number,
so that what is bound is what was shown.
"""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import queries
from accounts.forms.card import CardSignatureForm
from accounts.rights import Right
from accounts.services import bound_cards, card_challenges, card_warnings
from accounts.services.bound_cards import Proof
from accounts.services.card_signing import CardRefused
from accounts.signatures import certificates
from accounts.views.page import AccountPage
from core.text import masked

_PROOF = "card_proof"


class CardsView(AccountPage):
    """The user's card in the manual's columns, with 绑卡 or 解绑; without one the number that he stated at registration as a hint."""

    title = gettext_lazy("我的IC卡")
    right = Right.ENTERPRISE_VIEW
    template_name = "accounts/cards.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        card = queries.own_card(self.user)
        return super().get_context_data(
            card=card,
            card_end=card_warnings.end_of(card.valid_to) if card else None,
            stated_card_no="" if card else queries.stated_card_no(self.user),
            enterprise=queries.enterprise_of(self.user),
            **kwargs,
        )


class BindCardView(AccountPage):
    """绑卡, first page: 请输入IC卡密码. The card signs a challenge."""

    title = gettext_lazy("绑定IC卡")
    right = Right.ENTERPRISE_VIEW
    keeps_place = False
    template_name = "accounts/cards_bind.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.user.ic_card_no:
            messages.warning(request, _("当前账号已绑定卡 %(card)s，请先解绑，再绑定新卡。") % {"card": self.user.ic_card_no})
            return HttpResponseRedirect(reverse("accounts:cards"))
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        form = CardSignatureForm(request.POST)
        if not form.is_valid():
            return self._again(" ".join(str(error) for errors in form.errors.values() for error in errors))
        try:
            proof = bound_cards.prove(
                actor=self.user,
                challenge=form.cleaned_data["challenge"],
                bound_to=card_challenges.holder(request),
                presented=form.presented(),
            )
        except CardRefused as refusal:
            return self._again(str(refusal))
        request.session[_PROOF] = proof.as_json()
        return HttpResponseRedirect(reverse("accounts:card_confirm"))

    def _again(self, refusal: str) -> HttpResponse:
        return self.render_to_response(self.get_context_data(refusal=refusal))


class ConfirmCardView(AccountPage):
    """绑卡, second page: 请确认绑卡信息, with what the card says. 确定 binds it."""

    title = gettext_lazy("请确认绑卡信息")
    right = Right.ENTERPRISE_VIEW
    keeps_place = False
    template_name = "accounts/cards_confirm.html"
    proof: Proof

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        kept = request.session.get(_PROOF)
        proof = Proof.from_json(kept) if kept else None
        if proof is None or not proof.is_good_for(self.user, at=timezone.now()):
            return self._from_the_start()
        self.proof = proof
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        kept = request.session.pop(_PROOF, None)
        if request.POST.get("answer") != "bind":
            messages.info(request, _("已取消绑卡，没有绑定任何卡。"))
            return HttpResponseRedirect(reverse("accounts:cards"))
        if not kept:
            return self._from_the_start()
        proof = Proof.from_json(kept)
        if certificates.load(proof.certificate).card_no != request.POST.get("card"):
            messages.error(request, _("在其他窗口中又读取了另一张卡，没有绑定任何卡。请插入要绑定的IC卡并输入密码。"))
            return HttpResponseRedirect(reverse("accounts:card_bind"))
        try:
            bound = bound_cards.bind(actor=self.user, proof=proof)
        except CardRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, _("绑卡成功，卡 %(card)s 已绑定到当前账号。") % {"card": bound.card_no})
        return HttpResponseRedirect(reverse("accounts:cards"))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        card = certificates.load(self.proof.certificate)
        enterprise = queries.enterprise_of(self.user)
        facts = [
            (_("企业中文名称"), card.enterprise_name),
            (_("统一社会信用代码"), enterprise.credit_code),
            (_("组织机构代码"), card.organisation_code or enterprise.organisation_code),
            (_("操作员姓名"), card.holder_name),
            (_("操作员证件类型"), _("身份证") if card.holder_id_no else ""),
            (_("操作员证件号码"), masked(card.holder_id_no)),
            (_("企业地址"), enterprise.office_address),
            (_("介质号码"), card.card_no),
            (_("证书到期"), timezone.localtime(card.valid_to).strftime("%Y-%m-%d")),
        ]
        return super().get_context_data(facts=facts, card_no=card.card_no, card_end=card_warnings.end_of(card.valid_to), **kwargs)

    def _from_the_start(self) -> HttpResponse:
        messages.error(self.request, _("没有读到卡，或读卡后已超过 10 分钟。请插入IC卡并输入密码。"))
        return HttpResponseRedirect(reverse("accounts:card_bind"))


class UnbindCardView(AccountPage):
    """解绑 of the card that is ticked; the question before it stands in the list."""

    right = Right.ENTERPRISE_VIEW
    http_method_names = ["post"]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        card_no = request.POST.get("card", "")
        if not card_no:
            messages.error(request, _("请先勾选要解绑的卡。"))
        elif bound_cards.unbind(actor=self.user, user_id=self.user.pk, card_no=card_no):
            messages.success(request, _("卡 %(card)s 已解绑，不能再用于登录和申报。") % {"card": card_no})
        else:
            messages.warning(request, _("所选的卡没有绑定到当前账号，可能已经解绑。"))
        return HttpResponseRedirect(reverse("accounts:cards"))
