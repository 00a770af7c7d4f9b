"""批量导入, storing: nothing before the user says so, everything once, whatever dies (SGW-10)."""

import io
from datetime import timedelta
from importlib import import_module
from unittest import mock

import pytest
from django.apps import apps
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from core.models import AuditEntry
from core.workflow import ActionRefused
from smartgate import tasks
from smartgate.importing import queries, services
from smartgate.importing.models import Import, ImportedFiling, ImportFile, StoredContents
from smartgate.models import Filing, FilingLine
from smartgate.services import delete_filing, snapshot
from tests.races import at_once, meanwhile, refusals
from tests.smartgate.factories import CONTAINER_LINE, LINE, line, make_filing, make_import
from tests.smartgate.workbooks import PLACES, filing_rows, imported, problems_in, sheet_of
from tests.smartgate.workbooks import workbook as made

pytestmark = [pytest.mark.django_db, pytest.mark.covers("SGW-10")]
BAD = filing_rows({"customs_code": "9999"})


def good(count):
    return [row for number in range(count) for row in filing_rows({"bind_key_info": f"辽B1{number:04d}"})]


def stored(one):
    services.work(one.pk)
    one.refresh_from_db()
    return one


def test_from_the_upload_to_the_drafts_by_the_pages(operator, operator_client):
    assert "下载模板" in operator_client.get("/smartgate/import/").content.decode()
    template = operator_client.get("/smartgate/import/template.xlsx")
    assert template.content[:2] == b"PK"
    rows = [*filing_rows(lines=[LINE, CONTAINER_LINE], group="1"), *good(2), *BAD]
    response = operator_client.post("/smartgate/import/", {"workbook": SimpleUploadedFile("十一月.xlsx", made(rows))})
    one = Import.unscoped.get()
    page = f"/smartgate/import/{one.pk}/"
    assert (response.status_code, response.headers["Location"]) == (302, page)
    waiting = operator_client.get(page).content.decode()
    assert "正在检查" in waiting
    assert 'http-equiv="refresh"' in waiting
    tasks.sweep_imports()
    checked = operator_client.get(page).content.decode()
    assert "共 4 票：无误 3 票，有误 1 票" in checked
    assert "只暂存无误的 3 票" in checked
    assert "http-equiv" not in checked
    assert "代码“9999”不在关区代码表中" in checked
    assert operator_client.get(f"{page}marked.xlsx").content[:2] == b"PK"
    assert not Filing.unscoped.exists()
    assert operator_client.post(f"{page}store/").headers["Location"] == page
    assert "正在暂存" in operator_client.get(page).content.decode()
    tasks.work_on_import(one.pk)
    assert "3 票，" in operator_client.get(page).content.decode()
    assert Filing.unscoped.count() == 3


def test_a_stored_filing_is_what_the_page_would_have_stored(operator):
    one = imported(operator, made(filing_rows(lines=[LINE, CONTAINER_LINE], group="1")))
    services.store(actor=operator, import_id=one.pk)
    stored(one)
    filing = Filing.unscoped.get()
    by_hand = make_filing(operator, lines=[line(), line(**{"bill_type": "", "pickup_weight": None, **CONTAINER_LINE})])
    assert snapshot(filing) == snapshot(by_hand)
    for name in ("operator", "credit_code", "organisation_code", "status", "version", "lock_version", "enterprise_id", "created_by_id"):
        assert getattr(filing, name) == getattr(by_hand, name), name
    assert len(filing.data_center_no) == 18
    assert len(filing.trip_no) == 32
    assert filing.trip_no[6:19] == by_hand.trip_no[6:19]
    entries = AuditEntry.unscoped.filter(action="smartgate.filing.create").order_by("id")
    assert [entry.object_id for entry in entries] == [str(filing.pk), str(by_hand.pk)]
    assert entries[0].after == entries[1].after
    assert AuditEntry.unscoped.filter(action="smartgate.import.store", object_id=str(one.pk)).count() == 1


def test_asked_and_done_twice_it_is_stored_once(operator):
    one = imported(operator, made(good(5)))
    for _ in range(2):
        services.store(actor=operator, import_id=one.pk)
        assert services.work(one.pk) == (_ == 0)
    one.refresh_from_db()
    assert (one.state, one.progress, Filing.unscoped.count()) == ("stored", 5, 5)
    assert len(set(Filing.unscoped.values_list("trip_no", flat=True))) == 5


def test_nothing_right_nothing_to_store(operator):
    one = imported(operator, made(BAD))
    with pytest.raises(ActionRefused, match="没有可以暂存的单据"):
        services.store(actor=operator, import_id=one.pk)


def test_another_enterprises_workbook_is_not_there(operator, other_operator, other_client):
    one = imported(operator, made(good(1)))
    for call in (services.store, services.delete):
        with pytest.raises(Import.DoesNotExist):
            call(actor=other_operator, import_id=one.pk)
    for address in ("", "marked.xlsx", "progress/"):
        assert other_client.get(f"/smartgate/import/{one.pk}/{address}").status_code == 404


def page_of(client, one):
    return client.get(f"/smartgate/import/{one.pk}/").content.decode()


def test_the_same_contents_again_are_warned_of_by_row(operator, operator_client):
    """Whatever stands beside them, in whatever rows, and however the file is saved."""
    first = imported(operator, made(good(3)))
    assert "再次暂存会产生重复的单据" not in page_of(operator_client, first)
    services.store(actor=operator, import_id=first.pk)
    services.work(first.pk)
    again = imported(operator, made([*filing_rows({"bind_key_info": "辽B77777"}), *good(2)]))
    page = page_of(operator_client, again)
    assert "有 2 票（第 3、4 行）与以前导入并暂存（或正在暂存）的单据内容完全相同，再次暂存会产生重复的单据" in page
    assert "仍要暂存" in page
    assert "再次暂存会产生重复的单据" not in page_of(operator_client, imported(operator, made(filing_rows({"bind_key_info": "辽B77777"}))))


def test_what_was_stored_is_known_when_the_workbook_is_gone(operator, operator_client):
    first = imported(operator, made(good(2)))
    services.store(actor=operator, import_id=first.pk)
    services.work(first.pk)
    services.delete(actor=operator, import_id=first.pk)
    again = imported(operator, made(good(2)))
    assert "有 2 票（第 2、3 行）" in page_of(operator_client, again)
    # A draft that was thrown away is no double.
    delete_filing(actor=operator, filing_id=Filing.unscoped.order_by("pk").first().pk)
    assert "有 1 票（第 3 行）" in page_of(operator_client, again)


def test_what_is_just_being_stored_is_known_before_its_first_draft(operator, operator_client):
    first, second = imported(operator, made(good(3))), imported(operator, made(good(2)))
    services.store(actor=operator, import_id=first.pk)
    assert not Filing.unscoped.exists()
    page = page_of(operator_client, second)
    assert "有 2 票（第 2、3 行）" in page
    assert '<input type="hidden" name="doubles" value="2">' in page
    assert "再次暂存会产生重复的单据" not in page_of(operator_client, imported(operator, made(filing_rows({"bind_key_info": "辽B77777"}))))


def test_a_page_that_told_of_fewer_doubles_stores_nothing(operator, operator_client):
    """Both pages were shown while neither was stored; after the click on the one, the click on the other asks first."""
    first, second = imported(operator, made(good(3))), imported(operator, made(good(2)))
    for one in (first, second):
        assert 'name="doubles"' not in page_of(operator_client, one)
    operator_client.post(f"/smartgate/import/{first.pk}/store/")
    address = f"/smartgate/import/{second.pk}/store/"
    for told in ({}, {"doubles": "1"}, {"doubles": "两"}):
        page = operator_client.post(address, told, follow=True).content.decode()
        assert "还没有暂存：有 2 票与已暂存或正在暂存的单据内容完全相同" in page
        assert "仍要暂存" in page
        second.refresh_from_db()
        assert second.state == "checked"
    services.work(first.pk)
    with pytest.raises(ActionRefused, match="有 2 票"):
        services.store(actor=operator, import_id=second.pk)
    operator_client.post(address, {"doubles": "2"})
    assert stored(second).state == "stored"
    assert Filing.unscoped.count() == 5


@pytest.mark.django_db(transaction=True)
def test_of_two_stored_at_once_the_second_asks(operator):
    first, second = imported(operator, made(good(2))), imported(operator, made(good(2)))
    with meanwhile(
        "smartgate.importing.services.queries.rows_doubled", lambda: services.store(actor=operator, import_id=second.pk), after=True
    ) as other:
        services.store(actor=operator, import_id=first.pk)
    assert refusals(other) == 1
    assert sorted(Import.unscoped.values_list("pk", "state")) == [(first.pk, "storing"), (second.pk, "checked")]


def test_what_was_checked_before_there_were_digests_is_no_double(operator, operator_client):
    one, another = imported(operator, made(good(1))), imported(operator, made(filing_rows({"bind_key_info": "辽B77777"})))
    ImportedFiling.unscoped.update(digest="")
    services.store(actor=operator, import_id=one.pk)
    assert "再次暂存会产生重复的单据" not in page_of(operator_client, another)
    services.work(one.pk)
    assert not StoredContents.unscoped.exists()
    assert "再次暂存会产生重复的单据" not in page_of(operator_client, another)


def test_what_another_enterprise_stored_is_no_double(operator, other_operator, operator_client):
    theirs = imported(other_operator, made(good(1)))
    services.store(actor=other_operator, import_id=theirs.pk)
    services.work(theirs.pk)
    assert "再次暂存会产生重复的单据" not in page_of(operator_client, imported(operator, made(good(1))))


def test_part_of_it_stored_and_given_up_is_known_too(operator, operator_client, monkeypatch):
    monkeypatch.setattr(services, "PORTION", 2)
    first = imported(operator, made(good(5)))
    services.store(actor=operator, import_id=first.pk)
    monkeypatch.setattr(services, "create_filings", dies_at(services.create_filings, 2))
    with pytest.raises(PowerCutError):
        services.work(first.pk)
    Import.unscoped.filter(pk=first.pk).update(state="checked", lease=None, lease_until=None)
    assert "有 2 票（第 2、3 行）" in page_of(operator_client, imported(operator, made(good(5))))


def test_what_is_corrected_after_the_good_ones_were_stored_doubles_nothing(operator, operator_client):
    """只暂存无误的, then 下载有误的单据, corrected and uploaded: only what was wrong is in it."""
    rows = [*good(2), *filing_rows({"customs_code": "9999", "bind_key_info": "辽B55555"}), *good(4)[2:]]
    rows += filing_rows({"customs_code": "9999", "bind_key_info": "辽B66666"}, lines=[LINE, CONTAINER_LINE], group="9")
    first = imported(operator, made(rows))
    address = f"/smartgate/import/{first.pk}/marked.xlsx"
    assert "下载错误文件" in page_of(operator_client, first)
    services.store(actor=operator, import_id=first.pk)
    assert operator_client.get(address).status_code == 404, "all of it is in there until the worker has begun"
    services.work(first.pk)
    assert "下载有误的单据" in page_of(operator_client, first)
    marked = sheet_of(operator_client.get(address).content)
    places = PLACES[False, "customs_code"] + 1, PLACES[False, "bind_key_info"] + 1
    assert {row: marked.cell(row, places[1]).value for row in range(2, 9)} == {
        **dict.fromkeys(range(2, 9)),
        4: "辽B55555",
        7: "辽B66666",
    }
    assert marked.cell(8, PLACES[True, "object_id"] + 1).value == CONTAINER_LINE["object_id"]
    assert "9999" in marked.cell(4, len(PLACES) + 1).value
    for row in (4, 7):
        marked.cell(row, places[0]).value = "0908"
    saved = io.BytesIO()
    marked.parent.save(saved)
    again = imported(operator, saved.getvalue())
    assert (problems_in(again), again.good_count) == ([], 2)
    services.store(actor=operator, import_id=again.pk)
    services.work(again.pk)
    numbers = list(Filing.unscoped.values_list("bind_key_info", flat=True))
    assert (len(numbers), len(set(numbers))) == (6, 6)


def test_a_workbook_that_cannot_be_read_again_is_not_handed_out_whole(operator, operator_client):
    one = imported(operator, made([*good(1), *BAD]))
    services.store(actor=operator, import_id=one.pk)
    with mock.patch.object(services.workbook, "opened", side_effect=services.workbook.WorkbookRefused("x")):
        services.work(one.pk)
    assert Filing.unscoped.count() == 1
    assert_nothing_is_handed_back(operator_client, one)


def assert_nothing_is_handed_back(client, one):
    assert client.get(f"/smartgate/import/{one.pk}/marked.xlsx").status_code == 404
    page = page_of(client, one)
    assert "marked.xlsx" not in page
    assert "只含有误的单据" not in page
    assert "没有可下载的错误文件。请在原来的文件中改正有误的单据" in page


def test_whole_sheets_from_before_are_not_handed_out(operator, operator_client):
    """What was stored from before migration 0014 left the marked workbook with all of its rows."""
    before, after = imported(operator, made([*good(1), *BAD])), imported(operator, made(BAD))
    whole = bytes(ImportFile.unscoped.get(upload=before).marked)
    services.store(actor=operator, import_id=before.pk)
    services.work(before.pk)
    ImportFile.unscoped.filter(upload=before).update(marked=whole)
    import_module("smartgate.migrations.0014_stored_contents").forget_whole_sheets(apps, None)
    assert_nothing_is_handed_back(operator_client, before)
    assert operator_client.get(f"/smartgate/import/{after.pk}/marked.xlsx").status_code == 200


def test_errors_that_are_not_shown_are_promised_only_where_they_can_be_had(operator, operator_client, monkeypatch):
    monkeypatch.setattr(queries, "SHOWN_PROBLEMS", 1)
    one = imported(operator, made([*BAD, *BAD]))
    assert "共 2 处，下面列出前 1 处。全部错误见错误文件。" in page_of(operator_client, one)
    ImportFile.unscoped.filter(upload=one).update(marked=b"")
    assert "全部错误见错误文件" not in page_of(operator_client, one)


def test_what_expired_goes_with_its_files_and_leaves_its_filings(operator):
    old, new = imported(operator, made(good(2))), imported(operator, made(good(1)))
    services.store(actor=operator, import_id=old.pk)
    services.work(old.pk)
    Import.unscoped.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    tasks.forget_imports()
    assert [one.pk for one in Import.unscoped.all()] == [new.pk]
    assert (ImportFile.unscoped.count(), ImportedFiling.unscoped.count(), Filing.unscoped.count()) == (1, 1, 2)


def test_deleted_by_its_user(operator, operator_client):
    one = imported(operator, made(good(1)))
    operator_client.post(f"/smartgate/import/{one.pk}/delete/")
    assert not Import.unscoped.exists()
    assert AuditEntry.unscoped.filter(action="smartgate.import.delete").count() == 1


def test_so_many_and_no_more(operator, operator_client, monkeypatch):
    monkeypatch.setattr(services, "MOST_KEPT", 1)
    imported(operator, made(good(1)))
    response = operator_client.post("/smartgate/import/", {"workbook": SimpleUploadedFile("x.xlsx", made(good(1)))})
    assert "保留的导入文件已达 1 个" in response.content.decode()


@pytest.mark.django_db(transaction=True)
def test_two_who_upload_at_once_are_counted_one_after_the_other(operator, monkeypatch):
    monkeypatch.setattr(services, "MOST_KEPT", 1)
    with meanwhile(
        "smartgate.importing.services.audit.record", lambda: services.upload(actor=operator, file_name="b.xlsx", content=b"PK")
    ) as other:
        services.upload(actor=operator, file_name="a.xlsx", content=b"PK")
    assert (refusals(other), [one.file_name for one in Import.unscoped.all()]) == (1, ["a.xlsx"])


def test_every_workbook_that_is_kept_is_listed(operator, operator_client):
    for _number in range(services.MOST_KEPT):
        make_import(operator)
    page = operator_client.get("/smartgate/import/").content.decode()
    assert page.count("车辆.xlsx") == services.MOST_KEPT


# -- Whatever dies --------------------------------------------------------------------------------


class PowerCutError(BaseException):
    """What no code catches."""


def dies_at(target, time):
    """The n-th call of a function never comes back."""
    calls = iter(range(1, 1000))
    real = target.__wrapped__ if hasattr(target, "__wrapped__") else target

    def run(*args, **kwargs):
        if next(calls) == time:
            raise PowerCutError
        return real(*args, **kwargs)

    return run


def let_the_lease_end(one):
    Import.unscoped.filter(pk=one.pk, lease_until__isnull=False).update(lease_until=timezone.now() - timedelta(seconds=1))


@pytest.mark.parametrize("time", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("function", ["_update", "_finish", "_keep"])
def test_a_worker_that_dies_while_checking_is_followed_by_another(operator, monkeypatch, function, time):
    monkeypatch.setattr(services, "PORTION", 2)
    one = services.upload(actor=operator, file_name="a.xlsx", content=made([*good(5), *BAD]))
    with mock.patch.object(services, function, dies_at(getattr(services, function), time)):
        try:
            services.work(one.pk)
        except PowerCutError:
            assert services.work(one.pk) is False, "while the lease lasts nobody else is at it"
    let_the_lease_end(one)
    tasks.sweep_imports()
    one.refresh_from_db()
    assert (one.state, one.good_count, one.bad_count) == ("checked", 5, 1)
    assert list(one.filings.values_list("position", flat=True)) == list(range(6))


@pytest.mark.parametrize("time", [1, 2, 3, 4])
@pytest.mark.parametrize("function", ["_update", "_finish", "create_filings"])
def test_a_worker_that_dies_while_storing_loses_and_doubles_nothing(operator, monkeypatch, function, time):
    monkeypatch.setattr(services, "PORTION", 2)
    one = imported(operator, made(good(5)))
    services.store(actor=operator, import_id=one.pk)
    with mock.patch.object(services, function, dies_at(getattr(services, function), time)):
        try:
            services.work(one.pk)
        except PowerCutError:
            assert Filing.unscoped.count() == one.filings.filter(filing__isnull=False).count()
    let_the_lease_end(one)
    tasks.sweep_imports()
    one.refresh_from_db()
    assert (one.state, one.progress, Filing.unscoped.count(), FilingLine.unscoped.count()) == ("stored", 5, 5, 5)
    assert list(one.filings.order_by("position").values_list("filing__bind_key_info", flat=True)) == [f"辽B1{n:04d}" for n in range(5)]


def test_a_worker_thought_dead_writes_nothing_more(operator, monkeypatch):
    monkeypatch.setattr(services, "PORTION", 2)
    one = imported(operator, made(good(5)))
    services.store(actor=operator, import_id=one.pk)
    real = services.create_filings

    def slow(**kwargs):
        """The other worker takes over while this one is in its second portion."""
        monkeypatch.setattr(services, "create_filings", real)
        made_here = real(**kwargs)
        Import.unscoped.filter(pk=one.pk).update(lease=None)
        return made_here

    monkeypatch.setattr(services, "create_filings", slow)
    services.work(one.pk)
    assert Filing.unscoped.count() == 0
    let_the_lease_end(one)
    services.work(one.pk)
    assert Filing.unscoped.count() == 5


def test_a_workbook_that_kills_its_workers_is_given_up(operator, operator_client):
    one = services.upload(actor=operator, file_name="a.xlsx", content=made(good(1)))
    with mock.patch.object(services.workbook, "opened", side_effect=PowerCutError):
        for _ in range(services.MOST_ATTEMPTS):
            with pytest.raises(PowerCutError):
                services.work(one.pk)
            let_the_lease_end(one)
    assert services.work(one.pk)
    one.refresh_from_db()
    assert (one.state, one.lease) == ("refused", None)
    assert "多次尝试后仍未能检查完" in one.refusal


def test_storing_that_never_ends_is_given_back(operator):
    one = imported(operator, made(good(1)))
    services.store(actor=operator, import_id=one.pk)
    with mock.patch.object(services, "create_filings", side_effect=RuntimeError):
        for _ in range(services.MOST_ATTEMPTS):
            with pytest.raises(RuntimeError):
                services.work(one.pk)
    services.work(one.pk)
    one.refresh_from_db()
    assert one.state == "checked"
    assert "请再点“暂存全部”继续" in one.notes[-1]
    services.store(actor=operator, import_id=one.pk)
    assert stored(one).state == "stored"


@pytest.mark.parametrize("change", [{"is_active": False}, {"enterprise": None, "role": "customs"}])
def test_who_may_not_any_more_stores_nothing(operator, change):
    one = imported(operator, made(good(1)))
    services.store(actor=operator, import_id=one.pk)
    for name, value in change.items():
        setattr(operator, name, value)
    operator.save()
    assert stored(one).state == "checked"
    assert "已不能录入本企业的单据" in one.notes[-1]
    assert not Filing.unscoped.exists()


def test_the_broker_away_the_sweep_finds_it(operator, django_capture_on_commit_callbacks):
    with (
        mock.patch("smartgate.tasks.work_on_import.apply_async", side_effect=OSError),
        django_capture_on_commit_callbacks(execute=True),
    ):
        one = services.upload(actor=operator, file_name="a.xlsx", content=made(good(1)))
    assert services.waiting() == [one.pk]


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_store_once(operator):
    one = imported(operator, made(good(20)))
    services.store(actor=operator, import_id=one.pk)
    done = at_once(*[lambda: services.work(one.pk)] * 4)
    assert sorted(done) == [False, False, False, True]
    assert Filing.unscoped.count() == 20
