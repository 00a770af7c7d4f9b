"""Writes to 常用车辆 and 常用提单. Each is one transaction with its audit entry; the trail never gets a driver in full."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, TypeVar

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from core import audit
from core.workflow import ActionRefused
from smartgate.base_data.models import KnownBill, UsualVehicle
from smartgate.services.filings import violated

RecordT = TypeVar("RecordT", UsualVehicle, KnownBill)


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleEntry:
    """What a user enters of a vehicle; weights in kg."""

    bind_key_type: str
    bind_key_info: str
    plate_verified: bool = False
    vehicle_flow_type: str = ""
    vehicle_weight: Decimal | None = None
    trailer_weight: Decimal | None = None
    container_weight: Decimal | None = None
    customs_no: str = ""
    driver_name: str = ""
    driver_mobile: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillEntry:
    """What a user enters of a bill of lading; weight in kg."""

    bill_no: str
    total_weight: Decimal
    vessel_name: str = ""
    voyage_no: str = ""
    remark: str = ""


class KnownAlready(ActionRefused):
    """The enterprise has this vehicle or bill in its list."""


class ChangedMeanwhile(ActionRefused):
    """Somebody saved it after this user opened it."""


def save_vehicle(*, actor: User, entry: VehicleEntry, vehicle_id: int | None = None, lock_version: int | None = None) -> UsualVehicle:
    """Store a new vehicle of the actor's enterprise, or a changed one; `entry` must have passed the form.

    Raises UsualVehicle.DoesNotExist when it is not the actor's, ChangedMeanwhile when it was saved with other contents since
    `lock_version`, KnownAlready when there is such a vehicle, ActionRefused for who belongs to no enterprise.
    """
    return _save(UsualVehicle, actor, asdict(entry), vehicle_id, lock_version)


def save_bill(*, actor: User, entry: BillEntry, bill_id: int | None = None, lock_version: int | None = None) -> KnownBill:
    """Store a new bill of the actor's enterprise, or a changed one, like `save_vehicle`."""
    return _save(KnownBill, actor, asdict(entry), bill_id, lock_version)


def delete_vehicle(*, actor: User, vehicle_id: int) -> None:
    """Take a vehicle out of the list; filings keep what they have. Raises UsualVehicle.DoesNotExist when it is not the actor's."""
    _delete(UsualVehicle, actor, vehicle_id)


def delete_bill(*, actor: User, bill_id: int) -> None:
    """Take a bill out of the list, like `delete_vehicle`."""
    _delete(KnownBill, actor, bill_id)


def _save(model: type[RecordT], actor: User, values: Mapping[str, Any], pk: int | None, lock_version: int | None) -> RecordT:
    if actor.enterprise is None:
        raise ActionRefused(_("当前账号不属于任何企业，不能维护基础资料。"))
    try:
        with transaction.atomic():
            if pk is None:
                record = model(enterprise=actor.enterprise, updated_at=timezone.now(), **values)
                record.save(force_insert=True)
                _tell("create", record, actor, {}, _snapshot(record, values))
                return record
            record = _locked(model, actor, pk)
            before = {name: getattr(record, name) for name in values}
            if before == values:
                return record
            if lock_version is not None and record.lock_version != lock_version:
                raise ChangedMeanwhile(_("该记录在您打开之后已被修改。您录入的内容仍保留在本页；再次保存将以本页内容为准。"))
            told = _snapshot(record, values)
            for name, value in values.items():
                setattr(record, name, value)
            record.updated_at = timezone.now()
            record.lock_version += 1
            record.save(update_fields=[*values, "updated_at", "lock_version"])
            changed = [name for name, value in before.items() if value != values[name]]
            now = _snapshot(record, values)
            _tell("edit", record, actor, {name: told[name] for name in changed}, {name: now[name] for name in changed})
            return record
    except IntegrityError as error:
        if violated(error) not in ("usual_vehicle_once", "known_bill_once"):
            raise
        taken = values.get("bind_key_info") or values.get("bill_no")
        raise KnownAlready(_("“%(name)s”已在列表中，请直接修改原有记录。") % {"name": taken}) from None


def _delete(model: type[RecordT], actor: User, pk: int) -> None:
    with transaction.atomic():
        record = _locked(model, actor, pk)
        names = [field.name for field in model._meta.concrete_fields if field.name not in _OWN]
        _tell("delete", record, actor, _snapshot(record, dict.fromkeys(names)), {})
        record.delete()


_OWN = ("id", "enterprise", "updated_at", "lock_version")


def _locked(model: type[RecordT], actor: User, pk: int) -> RecordT:
    record: RecordT = model.objects.for_user(actor).select_for_update(of=("self",)).get(pk=pk)
    return record


def _snapshot(record: UsualVehicle | KnownBill, names: Mapping[str, Any]) -> dict[str, Any]:
    """The record for the trail: a driver by what tells him from another, and no more."""
    return {name: getattr(record, f"masked_{name}", getattr(record, name)) for name in names}


def _tell(action: str, record: UsualVehicle | KnownBill, actor: User, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    kind = "vehicle" if isinstance(record, UsualVehicle) else "bill"
    audit.record(
        action=f"smartgate.{kind}.{action}", obj=record, actor=actor, enterprise_id=record.enterprise_id, before=before, after=after
    )
