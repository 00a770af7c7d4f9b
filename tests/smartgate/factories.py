"""Filings for tests, made by the services that users call."""

from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django.utils import timezone

from accounts.models import EvidenceKind, SignatureEvidence, User
from core import audit
from smartgate import contents, services
from smartgate.base_data import services as base_data
from smartgate.base_data.models import KnownBill, UsualVehicle
from smartgate.importing.models import Import, ImportedFiling, ImportFile, ImportState
from smartgate.models import Filing, FilingVersion, Function

HEADER: dict[str, Any] = {
    "customs_code": "0908",
    "bind_key_type": "VN",
    "bind_key_info": "辽B12345",
    "business_type": "1000000000",
    "transport_mode": "2",
    "ie_flag": "I",
    "vehicle_flow_type": "02",
    "vehicle_weight": Decimal("8600"),
    "trailer_weight": Decimal("6200.5"),
    "container_weight": Decimal("0"),
    "remark": "散装大豆",
}
LINE: dict[str, Any] = {
    "direction": "I",
    "object_type": "B",
    "object_id": "COSU123456789",
    "vessel_name": "新海天",
    "voyage_no": "0126W",
    "business_type": "1000000000",
    "bill_type": "1",
    "pickup_weight": Decimal("31500"),
}
CONTAINER_LINE: dict[str, Any] = {
    "direction": "I",
    "object_type": "C",
    "object_id": "CSQU3054383",
    "vessel_name": "新海天",
    "voyage_no": "0126W",
    "business_type": "1000000000",
    "container_no_1": "CSQU3054383",
    "seal_no_1": "DL000001|DL000002",
}


def header(**changed: Any) -> services.FilingHeader:
    """A header that breaks no rule, with changes."""
    return services.FilingHeader(**{**HEADER, **changed})


def line(**changed: Any) -> services.LineEntry:
    """A body line that breaks no rule, with changes."""
    return services.LineEntry(**{**LINE, **changed})


def make_filing(actor: User, *, lines: list[services.LineEntry] | None = None, **changed: Any) -> Filing:
    """A draft of this user, with one line."""
    return services.save_filing(actor=actor, header=header(**changed), lines=[line()] if lines is None else lines)


def make_evidence(filing: Filing, *, version: int = 1) -> SignatureEvidence:
    """Evidence of a signature that no card has made."""
    return SignatureEvidence.unscoped.create(
        enterprise_id=filing.enterprise_id,
        signer=filing.created_by,
        kind=EvidenceKind.FILING,
        subject=filing.subject,
        version=version,
        document_no=filing.trip_no,
        text="智能卡口散杂货申报单",
        signature=b"signature",
        algorithm="SM2-with-SM3",
        card_no="2100000000001",
        holder_name="李操作",
        certificate_no="1A2B3C",
        chain=[b"certificate", b"authority"],
        signed_at=timezone.now(),
    )


def make_vehicle(actor: User, **changed: Any) -> UsualVehicle:
    """A vehicle in the list of this user's enterprise."""
    values = {"bind_key_type": "VN", "bind_key_info": "辽B12345", "vehicle_weight": Decimal("8600"), "trailer_weight": Decimal("6200.5")}
    return base_data.save_vehicle(actor=actor, entry=base_data.VehicleEntry(**{**values, **changed}))


def make_bill(actor: User, **changed: Any) -> KnownBill:
    """A bill in the list of this user's enterprise."""
    values = {"bill_no": "COSU123456789", "total_weight": Decimal("50000"), "vessel_name": "新海天", "voyage_no": "0126W"}
    return base_data.save_bill(actor=actor, entry=base_data.BillEntry(**{**values, **changed}))


def make_import(actor: User) -> Import:
    """A checked workbook of this user, with one filing to store and one that is wrong; no bytes of it are a workbook's."""
    now = timezone.now()
    one: Import = Import.unscoped.create(
        enterprise=actor.enterprise,
        created_by=actor,
        created_at=now,
        expires_at=now + timedelta(days=7),
        file_name="车辆.xlsx",
        sha256="0" * 64,
        state=ImportState.CHECKED,
        row_count=2,
        good_count=1,
        bad_count=1,
        problem_count=1,
    )
    ImportFile.unscoped.create(enterprise=actor.enterprise, upload=one, content=b"PK", marked=b"PK")
    entered = {"header": asdict(header()), "lines": [asdict(line())]}
    for position, (right, problems) in enumerate([(audit.plain(entered), []), (None, [[3, 2, "关区代码", "此项必填。"]])]):
        ImportedFiling.unscoped.create(
            enterprise=actor.enterprise, upload=one, position=position, row=position + 2, contents=right, problems=problems
        )
    return one


def make_version(filing: Filing, *, number: int = 1) -> FilingVersion:
    """A declaration of the filing as it is, which was never sent."""
    return FilingVersion.unscoped.create(
        enterprise_id=filing.enterprise_id,
        filing=filing,
        number=number,
        function=Function.ADD,
        contents=contents.of_filing(filing, list(filing.lines.all())),
        bind_key_type=filing.bind_key_type,
        bind_key_info=filing.bind_key_info,
        asked_by=filing.created_by,
        asked_at=timezone.now(),
        message_id=uuid4(),
    )
