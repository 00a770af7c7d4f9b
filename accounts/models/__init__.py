"""Enterprises, their users, how they come in, and their IC cards."""

from accounts.models.cards import (
    BoundCard,
    CardAuthorisation,
    CardChallenge,
    CardPurpose,
    EvidenceKind,
    RevocationListCopy,
    RevocationProof,
    SignatureEvidence,
)
from accounts.models.login import (
    LoginAttempt,
    LoginMethod,
    LoginOutcome,
    SmsCode,
    SmsPurpose,
)
from accounts.models.people import (
    CLEARANCE_SERVICES,
    PORT_SERVICES,
    Enterprise,
    EnterpriseType,
    PortalUserManager,
    Qualification,
    Registration,
    ReviewStatus,
    Service,
    User,
)

__all__ = [
    "CLEARANCE_SERVICES",
    "PORT_SERVICES",
    "BoundCard",
    "CardAuthorisation",
    "CardChallenge",
    "CardPurpose",
    "Enterprise",
    "EnterpriseType",
    "EvidenceKind",
    "LoginAttempt",
    "LoginMethod",
    "LoginOutcome",
    "PortalUserManager",
    "Qualification",
    "Registration",
    "ReviewStatus",
    "RevocationListCopy",
    "RevocationProof",
    "Service",
    "SignatureEvidence",
    "SmsCode",
    "SmsPurpose",
    "User",
]
