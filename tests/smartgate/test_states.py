"""The state table, whole: every state with every event and every action, not a hand-picked few (`domain.md` §3.4)."""

from itertools import product

import pytest
from lxml import html

from core.models import AuditEntry
from core.workflow import ForbiddenTransition
from smartgate import states
from smartgate.models import Filing, FilingReceipt, FilingStatus
from tests.smartgate.factories import make_filing
from tests.smartgate.pages import entry_post
from tests.smartgate.wire import receive_receipt

#: `domain.md` §3.4 once more, in the words of the specification: the test does not read the table it tests.
WAYS = """
暂存            declare          申报
退单            declare          申报
发往内网失败    declare          申报
申报            relayed          发往内网成功
申报            relay_refused    发往内网失败
发往内网成功    STORED           海关入库成功
发往内网成功    REJECTED         退单
海关入库成功    REJECTED         退单
海关入库成功    LOCKED           已锁定
海关入库成功    CLOSED           已办结
海关入库成功    CLOSED_MANUALLY  人工办结
海关入库成功    DEPARTED         已口岸离场
已锁定          UNLOCKED         解除锁定
已锁定          CLOSED           已办结
已锁定          CLOSED_MANUALLY  人工办结
解除锁定        LOCKED           已锁定
解除锁定        CLOSED           已办结
解除锁定        CLOSED_MANUALLY  人工办结
解除锁定        DEPARTED         已口岸离场
已办结          DEPARTED         已口岸离场
人工办结        DEPARTED         已口岸离场
海关入库成功    void_accepted    已删单
已锁定          void_accepted    已删单
解除锁定        void_accepted    已删单
"""
BY_LABEL = {status.label: status for status in FilingStatus}
ALLOWED = {(BY_LABEL[source], event): BY_LABEL[target] for source, event, target in (row.split() for row in WAYS.strip().splitlines())}
EVERY = list(product(FilingStatus, states.Event))
EDITABLE = {BY_LABEL["暂存"], BY_LABEL["退单"], BY_LABEL["发往内网失败"]}


@pytest.mark.parametrize(("status", "event"), EVERY, ids=[f"{status}-{event}" for status, event in EVERY])
def test_the_table_is_the_specification(status, event):
    target = ALLOWED.get((status, event))
    if target is not None:
        assert states.TABLE.target(status, event, doing="x") == target
    else:
        with pytest.raises(ForbiddenTransition):
            states.TABLE.target(status, event, doing="x")


def put_into(filing, status):
    """Set a state without the way there."""
    sent = (
        {}
        if status == FilingStatus.DRAFT
        else {"version": 1, "message_id": "00000000-0000-4000-8000-000000000001", "declared_at": filing.entered_at}
    )
    Filing.unscoped.filter(pk=filing.pk).update(status=status, **sent)
    filing.refresh_from_db()
    return filing


CUSTOMS = list(product(FilingStatus, sorted(states.CUSTOMS_EVENTS)))


@pytest.mark.django_db
@pytest.mark.covers("SGW-05")
@pytest.mark.parametrize(("status", "event"), CUSTOMS, ids=[f"{status}-{event}" for status, event in CUSTOMS])
def test_every_receipt_in_every_state(operator, status, event):
    filing = put_into(make_filing(operator), status)
    # A draft has no version that customs could speak of; its receipt is one for a version that never was.
    receive_receipt(filing, event, version=max(filing.version, 1))
    filing.refresh_from_db()
    assert filing.status == ALLOWED.get((status, event), status)
    receipt = FilingReceipt.unscoped.get(filing=filing)
    assert receipt.applied == ((status, event) in ALLOWED)
    assert bool(receipt.not_applied_reason) != receipt.applied


@pytest.mark.django_db
@pytest.mark.covers("SGW-07")
@pytest.mark.parametrize("status", FilingStatus)
def test_the_list_offers_what_the_state_allows(operator, operator_client, status):
    filing = put_into(make_filing(operator), status)
    page = operator_client.get("/smartgate/filings/").content.decode()
    base = f"/smartgate/filings/{filing.pk}/"
    assert f'href="{base}"' in page
    assert (f'href="{base}edit/"' in page) == (status in EDITABLE)
    assert (f'action="{base}delete/?lock_version=' in page) == (status in EDITABLE)
    assert f'href="{base}receipts/"' not in page
    receive_receipt(filing, "LOCKED", version=9)
    assert f'href="{base}receipts/"' in operator_client.get("/smartgate/filings/").content.decode()


OWN_PAGES = [*product([""], FilingStatus), *product(["edit/"], sorted(EDITABLE))]


@pytest.mark.django_db
@pytest.mark.covers("SGW-07")
@pytest.mark.parametrize(("path", "status"), OWN_PAGES)
def test_the_filings_own_pages_offer_deletion_or_grey_it(operator, operator_client, status, path):
    """M4 §3.1.2."""
    filing = put_into(make_filing(operator), status)
    base = f"/smartgate/filings/{filing.pk}/"
    page = html.fromstring(operator_client.get(base + path).content.decode())
    actions = page.find_class("page-head-actions")[0]
    greyed = [button.text_content().strip() for button in actions.xpath(".//button[@disabled]")]
    assert ("删除" in greyed) == (status not in EDITABLE)
    questions = actions.xpath(f".//form[@action='{base}delete/?lock_version={filing.lock_version}']")
    assert len(questions) == (status in EDITABLE)
    for question in questions:
        text = f"是否确认删除该数据？车次确认编号 {filing.trip_no}，删除后不可恢复，只能重新录入，请谨慎操作！"
        assert [part.text_content() for part in question.xpath("./span | ./button")] == [text, "确认"]


@pytest.mark.django_db
@pytest.mark.covers("SGW-05", "SGW-07")
@pytest.mark.parametrize("status", sorted(set(FilingStatus) - EDITABLE))
@pytest.mark.parametrize("action", ["save", "declare_confirmed", "delete"])
def test_what_the_state_forbids_is_refused_and_audited(operator, operator_client, status, action):
    filing = put_into(make_filing(operator), status)
    if action == "delete":
        response = operator_client.post(f"/smartgate/filings/{filing.pk}/delete/", follow=True)
    else:
        data = entry_post(action, header={"remark": "改过"}, lock_version=filing.lock_version)
        response = operator_client.post(f"/smartgate/filings/{filing.pk}/edit/", data, follow=True)
    assert f"当前状态为“{filing.get_status_display()}”，不能" in response.content.decode()
    before, message_id = filing.status, filing.message_id
    filing.refresh_from_db()
    assert (filing.status, filing.message_id, filing.remark, filing.deleted_at) == (before, message_id, "散装大豆", None)
    assert AuditEntry.unscoped.filter(object_id=str(filing.pk), refused=True, actor_name="operator1").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("status", sorted(set(FilingStatus) - EDITABLE))
def test_the_edit_page_of_what_may_not_be_edited_leads_to_the_view(operator, operator_client, status):
    filing = put_into(make_filing(operator), status)
    response = operator_client.get(f"/smartgate/filings/{filing.pk}/edit/")
    assert response.status_code == 302
    assert response["Location"] == f"/smartgate/filings/{filing.pk}/"
