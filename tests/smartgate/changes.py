"""变更 and 删单 for tests, made by the services that users call and by receipts of customs."""

from typing import Any

from accounts.models import User
from relay import services as relay_services
from smartgate import services
from smartgate.models import Filing, FilingStatus, FilingVersion, Function, Outcome
from tests.smartgate.factories import header, line, make_filing
from tests.smartgate.wire import receive_receipt

#: What customs says until a filing is in a state in which it can be changed.
WAYS = {
    FilingStatus.STORED: ("STORED",),
    FilingStatus.LOCKED: ("STORED", "LOCKED"),
    FilingStatus.UNLOCKED: ("STORED", "LOCKED", "UNLOCKED"),
}


def now(filing: Filing) -> Filing:
    """As the database has it."""
    found: Filing = Filing.unscoped.get(pk=filing.pk)
    return found


def held(actor: User, status: FilingStatus = FilingStatus.STORED, **changed: Any) -> Filing:
    """A filing that customs holds, in this state."""
    filing = services.declare_filing(actor=actor, filing_id=make_filing(actor, **changed).pk)
    relay_services.dispatch("customs")
    for event in WAYS[status]:
        receive_receipt(filing, event)
    filing = now(filing)
    assert filing.status == status
    return filing


def draft(actor: User, filing: Filing, **changed: Any) -> None:
    """Store a 变更 of the header, with the one line that filings of tests have."""
    services.save_amendment(actor=actor, filing_id=filing.pk, header=header(**{"remark": "改过", **changed}), lines=[line()])


def change(actor: User, filing: Filing, function: Function = Function.MOD, **changed: Any) -> FilingVersion:
    """A 变更 or 删单 that lies with customs' exchange."""
    if function == Function.MOD:
        draft(actor, filing, **changed)
        services.send_amendment(actor=actor, filing_id=filing.pk)
    else:
        services.send_void(actor=actor, filing_id=filing.pk)
    relay_services.dispatch("customs")
    return FilingVersion.unscoped.get(filing=filing, outcome=Outcome.WAITING)


def answer(filing: Filing, version: FilingVersion, event: str, **more: Any) -> None:
    """Let customs send a receipt that speaks of a version."""
    receive_receipt(filing, event, version=version.number, in_reply_to=version.message_id, **more)


def outcome_of(version: FilingVersion) -> str:
    """What became of it by now."""
    return str(FilingVersion.unscoped.values_list("outcome", flat=True).get(pk=version.pk))
