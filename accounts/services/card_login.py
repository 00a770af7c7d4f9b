"""卡介质 login (CARD-02): whose card it is that signed our challenge, and whether that opens his account.

Whoever has no card of a trusted authority learns nothing about accounts: which account a card belongs to is looked for last.
"""

from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.closed import why_closed
from accounts.models import BoundCard, CardPurpose, LoginAttempt, LoginMethod, LoginOutcome, User
from accounts.services import bound_cards, card_challenges, login
from accounts.services.card_signing import CardRefused, Presented, decode
from accounts.services.login import LoginRefused
from accounts.signatures import cards
from accounts.signatures.certificates import Certificate
from accounts.signatures.refusals import RevocationUnknownError, RevokedError, SignatureRefusedError


def check_card(
    *, challenge: str, bound_to: str, presented: Presented, ip: str, user_agent: str, at: datetime | None = None
) -> tuple[User, LoginAttempt]:
    """The user whose bound card signed the challenge, and the attempt, which `login.record_login` ends once he is in.

    `bound_to` is whom the challenge was given to (`card_challenges.holder`); it is used up, whatever comes of it. A renewed certificate of
    the same card takes the place of the old one. Revocation is asked of the network: RuntimeError inside a transaction.
    Raises LoginRefused, with a `code` of `login`'s, one of `accounts.signatures.refusals`', not_bound, another_enterprise, another_holder.
    """
    now = at or timezone.now()
    attempt, minutes = login.begin(method=LoginMethod.CARD, ip=ip, user_agent=user_agent, at=now)
    if minutes:
        raise LoginRefused(
            _("卡介质登录失败次数过多，为安全起见已暂停，请 %(minutes)d 分钟后再试，或使用用户名密码登录。"),
            params={"minutes": minutes},
            code="throttled",
        )
    certificate = _proven(attempt, challenge, bound_to, presented, now)
    bound = _bound(certificate)
    try:
        user = _opened(bound, certificate)
    except LoginRefused:
        login.end(attempt, LoginOutcome.CLOSED, user=bound.user if bound else None)
        raise
    login.end(attempt, LoginOutcome.PROVEN, user=user)
    bound_cards.renew(user.bound_card, certificate, at=now)
    return user, attempt


def _proven(attempt: LoginAttempt, challenge: str, bound_to: str, presented: Presented, now: datetime) -> Certificate:
    """The certificate of the card that signed the challenge. Raises LoginRefused."""
    try:
        card_challenges.use(purpose=CardPurpose.LOGIN, value=challenge, bound_to=bound_to, at=now)
        signature = decode(presented.signature)
        return cards.verify(certificate=presented.certificate, data=challenge.encode(), signature=signature, at=now).certificate
    except RevocationUnknownError as refused:
        # Not the user's fault: it closes no door.
        login.end(attempt, LoginOutcome.CLOSED)
        raise _refusal(refused) from refused
    except RevokedError as refused:
        # Everything else about it is right: its owner is to see that somebody has it.
        bound = _bound(cards.load_card(presented.certificate))
        login.end(attempt, LoginOutcome.FAILED, user=bound.user if bound else None)
        raise _refusal(refused) from refused
    except SignatureRefusedError as refused:
        raise _refusal(refused) from refused
    except CardRefused as refused:
        raise LoginRefused(str(refused), code=refused.code) from refused


def _refusal(refused: SignatureRefusedError) -> LoginRefused:
    return LoginRefused(" ".join(refused.messages), code=str(refused.code))


def _bound(certificate: Certificate) -> BoundCard | None:
    bound: BoundCard | None = (
        BoundCard.unscoped.select_related("enterprise", "user__enterprise").filter(card_no=certificate.card_no).first()
    )
    return bound


def _opened(bound: BoundCard | None, certificate: Certificate) -> User:
    """The user whose account the card opens. Raises LoginRefused."""
    if bound is None:
        raise LoginRefused(_("此卡尚未绑定账号，不能用于登录。请先用用户名密码登录，再到“我的IC卡”中绑定此卡。"), code="not_bound")
    user = bound.user
    if user.enterprise is None or not bound_cards.names_enterprise(certificate, user.enterprise):
        raise LoginRefused(
            _("此卡的证书属于“%(card)s”，与所绑定账号的企业不一致，不能用于登录。请用用户名密码登录，在“我的IC卡”中解绑此卡。"),
            params={"card": certificate.enterprise_name},
            code="another_enterprise",
        )
    if not bound_cards.is_same_card(bound, certificate):
        raise LoginRefused(
            _("此卡的持卡人已与绑定时不同，不能用于登录。请用用户名密码登录，在“我的IC卡”中解绑后重新绑定。"), code="another_holder"
        )
    reason = why_closed(user)
    if reason:
        raise LoginRefused(reason, code="closed")
    return user
