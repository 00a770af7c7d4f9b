"""法人卡授权 (CARD-06): the legal person opens an application's data to his enterprise, by signing a text with his card.

draft = card_authorisations.draft(actor=…, application=…)                       # draft.text is shown and signed, draft.token posted back
card_authorisations.authorise(actor=…, application=…, token=…, presented=…)     # outside of a transaction
card_authorisations.is_authorised(enterprise=…, application=…)
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import CardAuthorisation, Enterprise, EvidenceKind, SignatureEvidence, User
from accounts.rights import ENTERPRISE_ROLES, ApplicationKey, Right
from accounts.services import card_signing
from accounts.services.authorisation_text import authorisation_text
from accounts.services.bound_cards import names_enterprise
from accounts.services.card_signing import CardRefused, Presented
from accounts.signatures.certificates import Certificate
from core import audit
from core.identifiers import normalised

#: So long after the text was made it may be signed.
DRAFT_LIFETIME = timedelta(minutes=30)
_SALT = "accounts.card_authorisation"


@dataclass(frozen=True, slots=True)
class Draft:
    """A text to be signed, and what the page posts back so that the same text can be made again here."""

    text: str
    token: str


def draft(*, actor: User, application: ApplicationKey, at: datetime | None = None) -> Draft:
    """A new text with a number of its own, for this user and half an hour; nothing is stored.

    Raises CardRefused for who is of no enterprise.
    """
    now = (at or timezone.now()).replace(microsecond=0)
    number = f"SQ{timezone.localtime(now):%Y%m%d%H%M%S}{secrets.token_hex(4).upper()}"
    text = authorisation_text(enterprise=_enterprise_of(actor), application=application, actor=actor, number=number, at=now)
    return Draft(text, signing.dumps([actor.pk, application.value, number, now.isoformat()], salt=_SALT))


def authorise(
    *, actor: User, application: ApplicationKey, token: str, presented: Presented, at: datetime | None = None
) -> CardAuthorisation:
    """The legal person's card has signed the draft's text: the application is authorised. What is authorised already stays as it is.

    The card need not be the actor's, who only helps to insert it: it must be a card of his enterprise, and its legal person's
    (`is_legal_persons`). Raises CardRefused, which is audited; RuntimeError inside a transaction.
    """
    now = at or timezone.now()
    with audit.refusals_recorded(action="accounts.card.authorise", obj=actor, actor=actor, enterprise_id=actor.enterprise_id):
        enterprise = _enterprise_of(actor)
        number, made_at = _opened(token, actor=actor, application=application, now=now)
        text = authorisation_text(enterprise=enterprise, application=application, actor=actor, number=number, at=made_at)
        verified = card_signing.verify(data=text, presented=presented, at=now)
        _require_legal_person(verified.certificate, enterprise)
        with transaction.atomic():
            # One at a time for each enterprise: a second one finds the first.
            enterprise = Enterprise.objects.select_for_update(no_key=True).get(pk=enterprise.pk)
            _require_legal_person(verified.certificate, enterprise)
            mine = CardAuthorisation.unscoped.filter(enterprise=enterprise, application=application)
            in_force: CardAuthorisation | None = mine.filter(ended_at=None).first()
            if in_force is not None:
                return in_force
            _require_unused(number, made_at, mine.order_by("-ended_at").values_list("ended_at", flat=True).first())
            evidence = card_signing.keep(
                verified=verified,
                actor=actor,
                enterprise_id=enterprise.pk,
                kind=EvidenceKind.AUTHORISATION,
                subject=_subject(number),
                document_no=number,
                version=1,
            )
            authorisation: CardAuthorisation = CardAuthorisation.unscoped.create(
                enterprise=enterprise, application=application, evidence=evidence, authorised_by=actor, authorised_at=now
            )
            audit.record(
                action="accounts.card.authorise",
                obj=authorisation,
                actor=actor,
                enterprise_id=enterprise.pk,
                after={
                    "application": application.value,
                    "document_no": number,
                    "card_no": evidence.card_no,
                    "holder_name": evidence.holder_name,
                },
            )
    return authorisation


def end_authorisation(
    *, actor: User, enterprise: Enterprise, application: ApplicationKey, reason: str = "", at: datetime | None = None
) -> bool:
    """From now on the application is not authorised any more; gives whether it was. The evidence stays.

    For the enterprise's administrator and for staff; raises PermissionError for everybody else: no page leads there.
    """
    manages = actor.enterprise_id == enterprise.pk and actor.has_right(Right.ENTERPRISE_MANAGE)
    if not (manages or actor.is_staff):
        raise PermissionError("an authorisation is the enterprise's administrator's and the staff's to end")
    now = at or timezone.now()
    with transaction.atomic():
        Enterprise.objects.select_for_update(no_key=True).get(pk=enterprise.pk)
        authorisation = CardAuthorisation.unscoped.filter(enterprise=enterprise, application=application, ended_at=None).first()
        if authorisation is None:
            return False
        authorisation.ended_at = now
        authorisation.save(update_fields=["ended_at"])
        audit.record(
            action="accounts.card.end_authorisation",
            obj=authorisation,
            actor=actor,
            enterprise_id=enterprise.pk,
            before={"application": application.value, "ended_at": None},
            after={"ended_at": now},
            reason=reason,
        )
    return True


def is_authorised(*, enterprise: Enterprise, application: ApplicationKey) -> bool:
    """Whether the legal person has authorised the application for the enterprise."""
    in_force: bool = CardAuthorisation.unscoped.filter(enterprise=enterprise, application=application, ended_at=None).exists()
    return in_force


def is_legal_persons(certificate: Certificate, enterprise: Enterprise) -> bool | None:
    """Whether this card of the enterprise is its legal person's; None when nothing tells.

    By the marks of CARD_LEGAL_PERSON_MARKS where there are any, and by the ID number where both the certificate and the enterprise have
    one: what either of them denies is denied. (Which private extension tells is not published, domain.md §2.)
    """
    told: list[bool] = []
    if settings.CARD_LEGAL_PERSON_MARKS:
        wanted: dict[str, set[str]] = {}
        for mark in settings.CARD_LEGAL_PERSON_MARKS:
            oid, _equals, value = mark.partition("=")
            wanted.setdefault(oid.strip(), set()).add(value.strip())
        told.append(all(certificate.private_text(oid) in values for oid, values in wanted.items()))
    if certificate.holder_id_no and enterprise.legal_person_id_no:
        told.append(normalised(certificate.holder_id_no) == normalised(enterprise.legal_person_id_no))
    return all(told) if told else None


def _enterprise_of(actor: User) -> Enterprise:
    if actor.enterprise is None or actor.role not in ENTERPRISE_ROLES:
        raise CardRefused(_("只有企业用户可以办理法人卡授权。"), "no_enterprise")
    return actor.enterprise


def _opened(token: str, *, actor: User, application: ApplicationKey, now: datetime) -> tuple[str, datetime]:
    """Number and time of a draft that was made here for this user and this application, not long ago. Raises CardRefused."""
    try:
        user_id, key, number, made_at = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError):
        user_id, key, number, made_at = None, "", "", now.isoformat()
    made = datetime.fromisoformat(made_at)
    if user_id != actor.pk or key != application.value or not timedelta(0) <= now - made <= DRAFT_LIFETIME:
        raise CardRefused(_("授权书已失效（有效期 30 分钟）。请刷新页面，重新阅读并签名。"), "draft_too_old")
    return number, made


def _require_legal_person(certificate: Certificate, enterprise: Enterprise) -> None:
    if not names_enterprise(certificate, enterprise):
        raise CardRefused(
            _("此卡属于“%(card)s”，不是本企业“%(own)s”的卡。请插入本企业的法人卡。")
            % {"card": certificate.enterprise_name, "own": enterprise.name},
            "another_enterprise",
        )
    match is_legal_persons(certificate, enterprise):
        case None:
            raise CardRefused(
                _("无法确认此卡是法人卡：卡证书中没有可核对的法人信息，或平台未登记本企业的法人身份证号。请联系平台服务热线。"),
                "legal_person_unknown",
            )
        case False:
            raise CardRefused(
                _("此卡（持卡人 %(holder)s）不是本企业的法人卡。请插入法人卡。") % {"holder": certificate.holder_name}, "no_legal_person"
            )


def _require_unused(number: str, made_at: datetime, last_ended_at: datetime | None) -> None:
    """A signature counts once, and none from before the last authorisation's end brings it back. Raises CardRefused."""
    is_used = SignatureEvidence.unscoped.filter(subject=_subject(number)).exists()
    if is_used or (last_ended_at is not None and made_at <= last_ended_at):
        raise CardRefused(_("此授权书已经使用或授权已终止。请刷新页面，用新的授权书重新签名。"), "draft_used")


def _subject(number: str) -> str:
    return f"accounts.cardauthorisation:{number}"
