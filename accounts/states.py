"""The state table of a registration's review (ACC-06)."""

from accounts.models import ReviewStatus
from core.workflow import StateTable, Transition

APPROVE = "approve"
REJECT = "reject"

REVIEW = StateTable(
    initial=ReviewStatus.PENDING,
    labels=dict(ReviewStatus.choices),
    transitions=[
        Transition(frozenset({ReviewStatus.PENDING}), APPROVE, ReviewStatus.APPROVED),
        Transition(frozenset({ReviewStatus.PENDING}), REJECT, ReviewStatus.REJECTED),
    ],
)
