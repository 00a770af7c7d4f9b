"""Where customs has answered what its own exchange says it refused (docs/adr/0004, 0117).

Customs may hold it: until somebody has asked (`smartgate.services.settling`), nothing may double it or lose it. An answer that rejects
what was sent agrees with the exchange, unless customs accepts it later; one that customs disowned when it was asked counts no more, nor
does one that has taken effect. A technical receipt that says "stored" after a refusal is such an answer, too.
"""

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Substr
from django.utils.translation import gettext as _

from core.workflow import ActionRefused
from relay.models import OutboundMessage, OutboundState
from relay.queries import contradicting_receipts
from smartgate import states, vehicles
from smartgate.messages import CUSTOMS, FILING
from smartgate.models import Filing, FilingReceipt, FilingStatus, FilingVersion, Outcome, subject_of


def kept(filing: Filing, number: int) -> QuerySet[FilingReceipt]:
    """Customs' receipts of a version that have had no effect, whatever they say."""
    rows: QuerySet[FilingReceipt] = FilingReceipt.unscoped.filter(filing=filing, version=number, applied=False, disowned=False)
    return rows


def declarations() -> QuerySet[Filing]:
    """Filings whose declaration was refused, and answered; those that were deleted since among them."""
    answers = _answers(states.Event.REJECTED).filter(filing=OuterRef("pk"), version=OuterRef("version"))
    found: QuerySet[Filing] = Filing.unscoped.filter(
        Exists(answers) | Q(message_id__in=contradicting_receipts()), status=FilingStatus.RELAY_FAILED
    )
    return found


def changes() -> QuerySet[FilingVersion]:
    """变更 and 删单 that were refused, and answered; of those that customs rejected, too, the ones that it accepted besides."""
    answers = _answers(states.ChangeAnswer.REJECTED).filter(filing=OuterRef("filing"), version=OuterRef("number"))
    refused = OutboundMessage.objects.filter(message_id=OuterRef("message_id"), state=OutboundState.REFUSED)
    answered = Q(Exists(answers) | Q(message_id__in=contradicting_receipts()), outcome=Outcome.NOT_SENT)
    accepted = Q(Exists(answers.filter(event=states.ChangeAnswer.ACCEPTED)), Exists(refused), outcome=Outcome.REJECTED)
    found: QuerySet[FilingVersion] = FilingVersion.unscoped.filter(answered | accepted)
    return found


def was_accepted_since(change: FilingVersion) -> bool:
    """Whether customs has rejected a change and accepted it, and nobody knows which of them holds."""
    if change.outcome != Outcome.REJECTED:
        return False
    answers = kept(change.filing, change.number or 0).filter(event=states.ChangeAnswer.ACCEPTED)
    return bool(answers.exists())


def _answers(agreeing: str) -> QuerySet[FilingReceipt]:
    rows: QuerySet[FilingReceipt] = FilingReceipt.unscoped.filter(applied=False, disowned=False).exclude(event=agreeing)
    return rows


def check_not_with_customs(filing: Filing) -> None:
    """Not while customs may hold this filing, or another one of its vehicle, after all: declaring would double it.

    `filing` is as it is to be sent; its vehicle has been claimed. Raises ActionRefused.
    """
    if filing.status == FilingStatus.RELAY_FAILED and declarations().filter(pk=filing.pk).exists():
        raise _refusal(filing.trip_no)
    check_vehicle(filing)


def check_vehicle(filing: Filing) -> None:
    """The same of other filings alone, whosever they are: of the vehicle that they were sent with, whatever was typed since.

    What was declared before versions were kept has only the vehicle that stands in it now.
    A change holds its vehicle only while customs holds its filing and is not through with it (`states.HELD`), as one that waits does.
    """
    vehicle = vehicles.key_of(filing)
    sent = FilingVersion.unscoped.filter(filing=OuterRef("pk"), number=OuterRef("version"))
    has_it = Exists(sent.filter(**vehicle)) | Q(~Exists(sent), **vehicle)
    declared = Q(has_it, Exists(declarations().filter(pk=OuterRef("pk"))), status=FilingStatus.RELAY_FAILED)
    changed = Q(Exists(changes().filter(filing=OuterRef("pk"), **vehicle)), status__in=states.HELD)
    others = Filing.unscoped.exclude(pk=filing.pk).filter(declared | changed, data_center_no__in=_with_refusals())
    for other in others.only("enterprise_id", "trip_no")[:1]:
        if other.enterprise_id == filing.enterprise_id:
            raise _refusal(other.trip_no)
        raise ActionRefused(
            _("介质“%(key)s”另有一票由其他企业提交的申报，平台正在向海关核实，暂不能申报。请稍后再试，或联系平台客服。")
            % {"key": filing.bind_key_info}
        )


def check_may_delete(filing: Filing) -> None:
    """Not while customs may hold the filing: it would be lost. Another one of its vehicle is nothing to this one. Raises ActionRefused."""
    if declarations().filter(pk=filing.pk).exists():
        raise ActionRefused(
            _("海关已对该票作出回执，与“发往内网失败”的通知矛盾：海关可能持有该票，不能删除。请先查看回执并联系平台客服核实。")
        )


def _refusal(trip_no: str) -> ActionRefused:
    return ActionRefused(
        _("海关已对车次 %(trip_no)s 作出回执，与此前的通知矛盾。为避免重复申报，请先查看该票回执并联系平台客服核实。")
        % {"trip_no": trip_no}
    )


def _with_refusals() -> QuerySet[OutboundMessage, str]:
    """数据中心统一编码 of filings of which a message was refused: few, and an index knows them. None knows the vehicle of any version."""
    refused = OutboundMessage.objects.filter(partner=CUSTOMS, message_type=FILING, state=OutboundState.REFUSED)
    return refused.values_list(Substr("subject", len(subject_of("")) + 1), flat=True)
