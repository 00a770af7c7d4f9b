"""Registering an enterprise with its administrator, and further users of it (ACC-01 to ACC-05, M2 用户注册).

What comes in is cleaned already (`accounts.forms.registration`) and its phone verified; the database's constraints decide who was
first where two register the same. A submission carries an id: handed in twice it is registered once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import agreements
from accounts.models import Enterprise, Qualification, Registration, ReviewStatus, User
from accounts.rights import Role
from core import audit
from core.identifiers import organisation_code_of
from core.workflow import ActionRefused
from notifications import services as notifications

#: So long the browser that registered an enterprise may register further users of it; afterwards its administrator adds them.
CONTINUE_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class EnterpriseDetails:
    """企业信息."""

    name: str
    credit_code: str
    enterprise_types: Sequence[str]
    legal_person_name: str
    legal_person_id_no: str
    office_phone: str
    office_address: str


@dataclass(frozen=True, slots=True)
class UserDetails:
    """用户信息; `password_hash` is what `make_password` gave, `mobile` is verified."""

    username: str
    password_hash: str
    full_name: str
    id_no: str
    mobile: str
    email: str


@dataclass(frozen=True, slots=True)
class Opening:
    """业务开通: what is to be opened, the numbers 货物申报 asks for, and which version of each agreement was shown (kind → version)."""

    services: Sequence[str]
    applications: Sequence[str]
    inspection_registration_no: str
    customs_registration_no: str
    ic_card_no: str
    agreements: dict[str, str]


class RegistrationRefusedError(ActionRefused):
    """Not registered; `field` names what the user has to change, empty where nothing he can change would help."""

    def __init__(self, text: str, *, field: str = "") -> None:
        super().__init__(text)
        self.field = field


def enterprise_taken_text() -> str:
    """What is said of a credit code that is registered already (ACC-05)."""
    return _(
        "该企业已注册，不能重复注册。请联系本企业管理员，由其在“我的操作员”中为您添加账号；"
        "如不清楚管理员是谁，请拨打服务热线 0411-82732333。"
    )


def username_taken_text() -> str:
    """What is said of a user name that somebody has, in whatever case."""
    return _("该用户名已被使用（不区分大小写），请换一个。")


def no_further_users_text() -> str:
    """What is said when 继续 comes too late."""
    return _("不能再从这里注册本公司其他用户。请由企业管理员登录后在“我的操作员”中添加。")


def is_enterprise_taken(credit_code: str) -> bool:
    """Whether an enterprise with this code is registered, or its registration waits for review."""
    return Enterprise.objects.filter(credit_code=credit_code).exists()


def is_username_taken(username: str) -> bool:
    """Whether somebody has this user name, in whatever case. Tell it only to who proved a phone of his."""
    return User.objects.filter(username__iexact=username).exists()


def register_enterprise(
    *, submission: UUID, enterprise: EnterpriseDetails, user: UserDetails, opening: Opening, ip: str, at: datetime | None = None
) -> Registration:
    """Register an enterprise and its administrator (ACC-05).

    With REGISTRATION_REVIEW=auto both may be used at once; with manual they wait for the staff's decision (ACC-06). The applicant hears by
    SMS and e-mail. The same `submission` again gives the registration that it led to.

    Raises RegistrationRefusedError (`credit_code`, `username`, `accept_agreements`).
    """
    now = at or timezone.now()
    known = Registration.objects.filter(submission=submission).first()
    if known is not None:
        return known
    status = ReviewStatus.APPROVED if settings.REGISTRATION_REVIEW == "auto" else ReviewStatus.PENDING
    try:
        with transaction.atomic():
            owner = Enterprise.objects.create(
                name=enterprise.name,
                credit_code=enterprise.credit_code,
                organisation_code=organisation_code_of(enterprise.credit_code),
                customs_registration_no=opening.customs_registration_no,
                enterprise_types=list(enterprise.enterprise_types),
                legal_person_name=enterprise.legal_person_name,
                legal_person_id_no=enterprise.legal_person_id_no,
                office_phone=enterprise.office_phone,
                office_address=enterprise.office_address,
                services=list(opening.services),
                applications=list(opening.applications),
                is_active=status == ReviewStatus.APPROVED,
            )
            Qualification.unscoped.create(enterprise=owner, inspection_registration_no=opening.inspection_registration_no)
            return _register_user(
                owner=owner,
                role=Role.ENTERPRISE_ADMINISTRATOR,
                status=status,
                submission=submission,
                details=user,
                opening=opening,
                ip=ip,
                now=now,
            )
    except IntegrityError as error:
        return _told_apart(error, submission)


def register_operator(
    *, submission: UUID, founding_id: int, user: UserDetails, opening: Opening, ip: str, at: datetime | None = None
) -> Registration:
    """Register a further user of the enterprise that the registration `founding_id` registered (ACC-04, 继续).

    He is an operator and may use no application until his administrator grants it. While the enterprise waits for review he waits with
    it. Numbers of the enterprise that it has not got yet are taken over; one that differs from the enterprise's is refused.

    Raises RegistrationRefusedError, as `register_enterprise`, and without a field when the enterprise takes nobody this way any more.
    """
    now = at or timezone.now()
    known = Registration.objects.filter(submission=submission).first()
    if known is not None:
        return known
    try:
        with transaction.atomic():
            founding, owner = _founding(founding_id, now)
            waits = founding.status == ReviewStatus.PENDING or settings.REGISTRATION_REVIEW != "auto"
            status = ReviewStatus.PENDING if waits else ReviewStatus.APPROVED
            _fill_in_numbers(owner, opening)
            # His own applications are the administrator's to grant (我的应用权限); what he asked for stays on the registration.
            return _register_user(
                owner=owner, role=Role.OPERATOR, status=status, submission=submission, details=user, opening=opening, ip=ip, now=now
            )
    except IntegrityError as error:
        return _told_apart(error, submission)


def may_continue(founding_id: int, *, at: datetime | None = None) -> bool:
    """Whether further users can be registered after the registration `founding_id`, as things stand."""
    registration = Registration.objects.select_related("enterprise").filter(pk=founding_id).first()
    return registration is not None and _takes_further_users(registration, registration.enterprise, at or timezone.now())


def _takes_further_users(founding: Registration, owner: Enterprise | None, now: datetime) -> bool:
    if owner is None or founding.role != Role.ENTERPRISE_ADMINISTRATOR or now - founding.submitted_at > CONTINUE_FOR:
        return False
    # An enterprise that waits for review is not open yet; one that was closed since is not to grow.
    return founding.status == ReviewStatus.PENDING or (founding.status == ReviewStatus.APPROVED and owner.is_active)


def _founding(founding_id: int, now: datetime) -> tuple[Registration, Enterprise]:
    """The founding registration and its enterprise, locked: a decision of the staff comes wholly before or wholly after."""
    owners = Registration.objects.filter(pk=founding_id).values("enterprise_id")
    owner = Enterprise.objects.select_for_update().filter(pk__in=owners).first()
    founding = Registration.objects.filter(pk=founding_id).first()
    if founding is None or owner is None or not _takes_further_users(founding, owner, now):
        raise RegistrationRefusedError(no_further_users_text())
    return founding, owner


def _fill_in_numbers(owner: Enterprise, opening: Opening) -> None:
    qualification, _created = Qualification.unscoped.get_or_create(enterprise=owner)
    for target, name in ((owner, "customs_registration_no"), (qualification, "inspection_registration_no")):
        given, has = getattr(opening, name), getattr(target, name)
        if given and has and given != has:
            raise RegistrationRefusedError(_("与本企业已登记的号码不一致，请核对；如需变更，请由企业管理员登录后修改。"), field=name)
        if given and not has:
            setattr(target, name, given)
            target.save(update_fields=[name])


def _register_user(
    *,
    owner: Enterprise,
    role: Role,
    status: ReviewStatus,
    submission: UUID,
    details: UserDetails,
    opening: Opening,
    ip: str,
    now: datetime,
) -> Registration:
    """The user, the registration, the audit entry and the messages; runs in its caller's transaction."""
    try:
        accepted = agreements.acceptance(opening.agreements, now)
    except agreements.UnknownAgreementError:
        raise RegistrationRefusedError(_("协议已更新，请重新阅读并接受。"), field="accept_agreements") from None
    user = User.objects.create(
        username=details.username,
        password=details.password_hash,
        full_name=details.full_name,
        id_no=details.id_no,
        mobile=details.mobile,
        email=details.email,
        role=role,
        enterprise=owner,
        is_active=status == ReviewStatus.APPROVED,
    )
    registration = Registration.objects.create(
        submission=submission,
        enterprise=owner,
        user=user,
        role=role,
        enterprise_name=owner.name,
        credit_code=owner.credit_code,
        username=details.username,
        full_name=details.full_name,
        mobile=details.mobile,
        email=details.email,
        services=list(opening.services),
        applications=list(opening.applications),
        inspection_registration_no=opening.inspection_registration_no,
        customs_registration_no=opening.customs_registration_no,
        ic_card_no=opening.ic_card_no,
        agreements=accepted,
        ip=ip[:64],
        status=status,
        submitted_at=now,
        reviewed_at=now if status == ReviewStatus.APPROVED else None,
    )
    audit.record(
        action="accounts.registration.submit",
        obj=registration,
        actor=None,
        enterprise_id=owner.pk,
        after={
            "credit_code": owner.credit_code,
            "enterprise_name": owner.name,
            "username": user.username,
            "role": role.value,
            "services": registration.services,
            "applications": registration.applications,
            "agreements": agreements.named(accepted),
            "status": status.value,
        },
    )
    _tell_applicant(registration)
    return registration


def _tell_applicant(registration: Registration) -> None:
    if registration.status == ReviewStatus.APPROVED:
        text = _("【辽宁单一窗口】您已注册成功，登录用户名 %(username)s，现在可以登录使用。服务热线 0411-82732333。")
    else:
        text = _("【辽宁单一窗口】您的注册申请（用户名 %(username)s）已提交，平台审核后将以短信和邮件通知您。服务热线 0411-82732333。")
    tell(registration, text % {"username": registration.username})


def tell(registration: Registration, text: str) -> None:
    """Tell the applicant by SMS and e-mail; runs in its caller's transaction. The text holds nothing that the applicant could choose
    freely: the e-mail's address is not proved to be his."""
    notifications.queue_sms(mobile=registration.mobile, text=text)
    notifications.queue_email(address=registration.email, subject=_("辽宁国际贸易单一窗口 用户注册"), text=text)


#: Part of a constraint's name → what is told.
_TAKEN = {
    "credit_code": ("credit_code", enterprise_taken_text),
    "username": ("username", username_taken_text),
}


def _told_apart(error: IntegrityError, submission: UUID) -> Registration:
    """The registration when it was the same submission that came first; else raises RegistrationRefusedError saying what is taken."""
    known = Registration.objects.filter(submission=submission).first()
    if known is not None:
        return known
    constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or ""
    for part, (field, text) in _TAKEN.items():
        if part in constraint:
            raise RegistrationRefusedError(text(), field=field) from None
    raise error
