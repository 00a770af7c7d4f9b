"""The entry page as a browser without a script meets it: every button is a POST of the whole form, nothing typed is lost."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from tests.core.forms.example import SAVED
from tests.core.forms.test_fields import HEADER, LINE

pytestmark = [pytest.mark.urls("tests.core.forms.urls"), pytest.mark.django_db]
SEA = {**LINE, "vessel_name": "远洋号"}


@pytest.fixture(autouse=True)
def _nothing_saved() -> Iterator[None]:
    SAVED.clear()
    yield
    SAVED.clear()


def sent(*lines: dict[str, Any], editor: dict[str, Any] | None = None, index: str = "", **more: Any) -> dict[str, Any]:
    """What a browser sends for a page with these lines in the list and this one in the editor."""
    data = {**HEADER, "lines-count": str(len(lines)), "line-index": index}
    for number, line in enumerate(lines):
        data |= {f"lines-{number}-{name}": value for name, value in line.items()}
    return data | {f"line-{name}": value for name, value in (editor or {}).items()} | more


def post(client: Client, data: dict[str, Any]) -> str:
    response: HttpResponse = client.post("/entry/", data)
    assert response.status_code == 200
    return response.content.decode()


def listed(page: str) -> list[str]:
    """Object numbers of the lines in the list, in order."""
    return re.findall(r'name="lines-\d+-object_id" value="([^"]*)"', page)


def typed(page: str, name: str) -> str:
    found = re.search(rf'<input[^>]*name="{name}"[^>]*>', page)
    assert found is not None
    value = re.search(r'value="([^"]*)"', found[0])
    return value[1] if value else ""


def problems(page: str) -> list[tuple[str, str]]:
    """Target and text of each entry of the summary."""
    return re.findall(r'<li><a href="#([^"]*)">([^<]*)</a></li>', page)


def test_a_line_is_saved_into_the_list_and_the_header_stays(operator_client: Client) -> None:
    page = post(operator_client, sent(editor=SEA, action="line_save", remark="半途"))
    assert listed(page) == ["CSQU3054383"]
    assert typed(page, "line-object_id") == ""
    assert typed(page, "remark") == "半途"
    assert SAVED == []


def test_lines_are_changed_and_removed_and_numbers_close_up(operator_client: Client) -> None:
    one, two, three = ({**SEA, "object_id": name} for name in ("A", "B", "C"))
    page = post(operator_client, sent(one, two, three, action="line_edit:1"))
    assert typed(page, "line-object_id") == "B"
    assert typed(page, "line-index") == "1"
    page = post(operator_client, sent(one, two, three, editor={**two, "object_id": "B2"}, index="1", action="line_save"))
    assert listed(page) == ["A", "B2", "C"]
    page = post(operator_client, sent(one, two, three, action="line_delete", tick=["0", "1"]))
    assert listed(page) == ["C"]
    assert 'id="line-1"' in page
    assert 'id="line-2"' not in page


def test_deleting_moves_the_line_being_changed_along(operator_client: Client) -> None:
    one, two = ({**SEA, "object_id": name} for name in ("A", "B"))
    page = post(operator_client, sent(one, two, editor=two, index="1", action="line_delete", tick=["0"]))
    assert typed(page, "line-index") == "0"
    assert typed(page, "line-object_id") == "B"
    page = post(operator_client, sent(one, two, editor=two, index="1", action="line_delete", tick=["1"]))
    assert (typed(page, "line-index"), typed(page, "line-object_id")) == ("", "")


def test_nothing_ticked_is_said(operator_client: Client) -> None:
    assert "请先在列表中勾选要删除的行。" in post(operator_client, sent(SEA, action="line_delete"))


@pytest.mark.parametrize("action", ["line_save", "line_new", "line_edit:0", "save", "declare", "enter"])
@pytest.mark.covers("PRT-07")
def test_a_wrong_line_in_the_editor_is_never_lost(operator_client: Client, action: str) -> None:
    page = post(operator_client, sent(SEA, editor={**SEA, "object_id": "MINE", "voyage_no": ""}, action=action))
    assert typed(page, "line-object_id") == "MINE"
    assert problems(page) == [("id_line-voyage_no", "表体第2行 航次/货物运输批次号：此项必填。")]
    assert SAVED == []


@pytest.mark.parametrize("action", ["line_new", "line_edit:0", "enter"])
def test_a_right_line_in_the_editor_is_kept_by_every_step(operator_client: Client, action: str) -> None:
    page = post(operator_client, sent(SEA, editor={**SEA, "object_id": "MINE"}, action=action))
    assert listed(page) == ["CSQU3054383", "MINE"]


def test_saving_takes_the_line_in_the_editor_along(operator_client: Client) -> None:
    response = operator_client.post("/entry/", sent(SEA, editor={**SEA, "object_id": "MINE"}, action="save", lock_version="7"))
    assert response.status_code == 302
    [(event, header, lines)] = SAVED
    assert event == "save"
    assert header["lock_version"] == 7
    assert [line["object_id"] for line in lines] == ["CSQU3054383", "MINE"]


def test_the_enter_key_in_the_header_saves_and_declares_nothing(operator_client: Client) -> None:
    page = post(operator_client, sent(remark="半途", action="enter"))
    assert typed(page, "remark") == "半途"
    assert problems(page) == []
    # The first button that belongs to the form is what a browser without a script presses for Enter.
    assert re.findall(r'<button[^>]*name="action" value="([^"]*)"', page)[0] == "enter"


@pytest.mark.covers("PRT-04", "PRT-07")
def test_everything_wrong_is_listed_with_a_link(operator_client: Client) -> None:
    wrong = {**SEA, "voyage_no": ""}
    page = post(operator_client, sent(SEA, wrong, wrong, action="save", customs_code="9999", transport_mode=""))
    assert problems(page) == [
        ("id_customs_code", "关区代码：代码“9999”不在关区代码表中，请从列表中选择。"),
        ("id_transport_mode", "运输方式：此项必填。"),
        ("id_line-voyage_no", "表体第2行 航次/货物运输批次号：此项必填。"),
        ("line-3", "表体第3行 航次/货物运输批次号：此项必填。"),
    ]
    for target, _text in problems(page):
        assert f'id="{target}"' in page
    assert typed(page, "customs_code") == "9999"


def test_a_header_changed_later_is_held_against_the_lines(operator_client: Client) -> None:
    operator_client.post("/entry/", sent({**LINE, "vessel_name": "forged"}, action="save", transport_mode="5"))
    [(_event, _header, lines)] = SAVED
    assert lines[0]["vessel_name"] == ""
    page = post(operator_client, sent(LINE, action="save", transport_mode="2"))
    assert problems(page) == [("id_line-vessel_name", "表体第1行 船名：运输方式为“2 水路”时，“船名”必填。")]


def test_declaring_asks_first_and_wants_a_line(operator_client: Client) -> None:
    assert "至少要有 1 条表体信息才能申报。" in post(operator_client, sent(action="declare"))
    page = post(operator_client, sent(SEA, action="declare"))
    assert "是否要申报该票单据？" in page
    assert SAVED == []
    assert operator_client.post("/entry/", sent(SEA, action="declare_confirmed")).status_code == 302
    assert SAVED[0][0] == "declare"


def test_declaring_without_the_question_is_checked_all_the_same(operator_client: Client) -> None:
    page = post(operator_client, sent({**SEA, "voyage_no": ""}, action="declare_confirmed"))
    assert problems(page) == [("id_line-voyage_no", "表体第1行 航次/货物运输批次号：此项必填。")]


@pytest.mark.covers("PRT-07")
def test_what_a_service_refuses_is_shown_where_it_belongs(operator_client: Client) -> None:
    page = post(operator_client, sent(SEA, {**SEA, "object_id": "TWICE"}, action="save", remark="refuse"))
    assert problems(page) == [
        ("entry-form", "系统拒绝。"),
        ("id_bind_key_info", "绑定介质关键信息：该车辆已有在途单据。"),
        ("id_line-object_id", "表体第2行 绑定对象ID：箱号重复。"),
    ]
    assert typed(page, "line-object_id") == "TWICE"


def test_a_kept_draft_is_drawn_as_it_was_and_unchecked(operator_client: Client) -> None:
    page = post(operator_client, sent(SEA, editor={"object_id": "HALF"}, action="restore", customs_code="", remark="半途"))
    assert problems(page) == []
    assert (typed(page, "remark"), typed(page, "line-object_id"), listed(page)) == ("半途", "HALF", ["CSQU3054383"])


def test_too_many_lines_are_refused(operator_client: Client) -> None:
    four = [{**SEA, "object_id": str(number)} for number in range(4)]
    assert "表体信息不能超过 4 条。" in post(operator_client, sent(*four, editor=SEA, action="line_save"))


def test_a_list_that_is_too_long_is_kept_and_can_be_shortened(operator_client: Client) -> None:
    six = [{**SEA, "object_id": str(number)} for number in range(6)]
    for action in ("save", "declare_confirmed", "line_save", "enter", "restore"):
        page = post(operator_client, sent(*six, action=action, remark="半途"))
        assert problems(page) == [("entry-lines", "表体信息不能超过 4 条，现有 6 条。请先删除多余的行。")]
        assert (listed(page), typed(page, "remark")) == (list("012345"), "半途")
    page = post(operator_client, sent(*six, action="line_delete", tick=["0"]))
    assert problems(page) == [("entry-lines", "表体信息不能超过 4 条，现有 5 条。请先删除多余的行。")]
    page = post(operator_client, sent(*six, action="line_delete", tick=["0", "5"]))
    assert (problems(page), listed(page)) == ([], list("1234"))
    assert SAVED == []


@pytest.mark.parametrize("count", [None, "", "x", "２", "-1", "1", "3", "100000", "9" * 5000])
@pytest.mark.parametrize("action", ["save", "declare_confirmed", "line_delete", "enter"])
def test_a_list_that_did_not_come_whole_is_never_stored(operator_client: Client, action: str, count: str | None) -> None:
    data = sent({**SEA, "object_id": "A"}, {**SEA, "object_id": "B"}, editor={"object_id": "MINE"}, action=action, tick="0", remark="半途")
    del data["lines-count"]
    page = post(operator_client, data if count is None else {**data, "lines-count": count})
    assert problems(page) == [("entry-lines", "没有收到完整的表体信息，内容没有保存。请核对表体列表后再操作一次。")]
    assert (listed(page), typed(page, "line-object_id"), typed(page, "remark")) == (["A", "B"], "MINE", "半途")
    assert typed(page, "lines-count") == "2"
    assert SAVED == []


def test_a_list_with_a_gap_did_not_come_whole(operator_client: Client) -> None:
    data = {name.replace("lines-0-", "lines-7-"): value for name, value in sent(SEA, action="save").items()}
    assert "没有收到完整的表体信息" in post(operator_client, data)
    assert SAVED == []


def test_what_is_stored_can_be_saved_again_though_it_is_longer_than_the_page_takes(operator_client: Client) -> None:
    assert 'name="lines-count" value="6"' in operator_client.get("/long/").content.decode()
    six = [{**SEA, "object_id": str(number)} for number in range(6)]
    assert operator_client.post("/long/", sent(*six, action="save")).status_code == 302
    assert len(SAVED[0][2]) == 6
    assert "表体信息不能超过 6 条。" in operator_client.post("/long/", sent(*six, editor=SEA, action="line_save")).content.decode()


def test_what_no_page_sends_is_a_bad_request_in_the_portals_words(operator_client: Client) -> None:
    many = {f"lines-{number}-remark": "x" for number in range(1001)}
    for data in ({**sent(action="save"), **many}, {f"x{number}": "1" for number in range(20_001)}):
        response = operator_client.post("/entry/", data)
        assert response.status_code == 400
        assert "本次操作没有完成，内容没有保存" in response.content.decode()
    assert SAVED == []


@pytest.mark.parametrize("action", ["save", "declare", "declare_confirmed", "line_save", "line_edit:0", "enter", "restore"])
def test_an_application_can_refuse_before_anything_is_looked_at(operator_client: Client, action: str) -> None:
    # Wrong as it is, it is not checked; the script is told to leave the page.
    wrong = {"action": action, "customs_code": "9999"}
    target = f"/saved/?refused={action.partition(':')[0]}"
    assert operator_client.post("/moved-on/", wrong).url == target
    assert operator_client.post("/moved-on/", wrong, headers={"HX-Request": "true"})["HX-Redirect"] == target


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_script_of_an_ended_session_leaves_for_the_login_and_comes_back(client: Client, method: str) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/work/?a=1"}
    response = getattr(client, method)("/work/", headers=headers)
    assert (response["HX-Redirect"], response.content) == ("/accounts/login/?next=/work/%3Fa%3D1", b"")
    assert client.post("/work/").url == "/accounts/login/?next=/work/"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("line-index", "99"), ("line-index", "9" * 5000), ("action", "x"), ("tick", "x"), ("tick", "９"), ("tick", "9" * 5000)],
        *[("action", f"line_edit:{number}") for number in ("77", "x", "７", "9" * 5000)],
    ],
    ids=lambda text: text[:15],
)
def test_junk_from_a_browser_does_no_harm(operator_client: Client, name: str, value: str) -> None:
    page = post(operator_client, sent(**{"action": "line_delete", name: value}))
    assert listed(page) == []
    assert typed(page, "line-index") == ""


def test_what_was_typed_is_escaped(operator_client: Client) -> None:
    nasty = '"><script>alert(1)</script>'
    page = post(operator_client, sent({**SEA, "remark": nasty}, action="save", customs_code=nasty, remark=nasty))
    assert "<script>alert" not in page


def test_a_page_to_read_has_no_fields_and_takes_nothing(operator_client: Client) -> None:
    page = operator_client.get("/stored/").content.decode()
    assert "0908 连大窑湾" in page
    assert ">集装箱<" in page
    assert 'name="customs_code"' not in page
    assert 'name="action" value="line_save"' not in page
    assert re.search(r'value="save" disabled', page)
    assert operator_client.post("/stored/", {"action": "save"}).status_code == 405


@pytest.mark.covers("PRT-04")
def test_grounds_and_hints_are_told_to_everybody(operator_client: Client) -> None:
    page = operator_client.get("/entry/").content.decode()
    field = re.search(r'<div class="entry-field is-required[^"]*" data-field="customs_code">.*?</div>\s*</div>', page, re.DOTALL)
    assert field is not None
    assert 'aria-required="true"' in field[0]
    assert 'aria-describedby="id_customs_code_helptext"' in field[0]
    assert "输入关区代码、名称或拼音首字母" in field[0]
    assert '<output class="form-control" id="id_data_center_no">202600000000000001</output>' in page


class TestSigning:
    """Where the application wants a signature (CARD-05)."""

    def test_declaring_stores_first_and_leads_to_the_question(self, operator_client: Client) -> None:
        response = operator_client.post("/signing/", sent(SEA, action="declare"))
        assert (response.status_code, response.headers["Location"]) == (302, "/signing/?declare")
        assert [event for event, _header, _lines in SAVED] == ["stored"]
        page = operator_client.get("/signing/?declare").content.decode()
        assert re.search(r'<pre [^>]*id="sign-text"[^>]*>第一行 &lt;b&gt;\n第二行</pre>', page)
        assert 'data-text-id="sign-text" data-bound-card="2100000000001"' in page
        assert re.search(r'<button[^>]*value="declare_confirmed"[^>]*data-card-sign', page)
        assert "是否要申报该票单据？" in page
        assert 'name="saved-draft" content="/signing/"' in page

    def test_without_being_asked_for_the_question_is_not_there(self, operator_client: Client) -> None:
        assert "entry-question" not in operator_client.get("/signing/").content.decode()

    @pytest.mark.parametrize("path", ["/entry/?declare", "/stored/?declare"])
    def test_pages_that_sign_nothing_ask_for_nothing(self, operator_client: Client, path: str) -> None:
        assert "entry-question" not in operator_client.get(path).content.decode()

    def test_what_is_wrong_is_said_before_anything_is_stored(self, operator_client: Client) -> None:
        assert operator_client.post("/signing/", sent({**SEA, "voyage_no": ""}, action="declare")).status_code == 200
        response = operator_client.post("/signing/", sent(SEA, action="declare", remark="refuse"))
        assert "系统拒绝。" in response.content.decode()
        assert SAVED == []

    def test_a_refusal_leaves_the_question_open_and_everything_typed(self, operator_client: Client) -> None:
        page = operator_client.post("/signing/?declare", sent(SEA, action="declare_confirmed", remark="留着")).content.decode()
        (said,) = re.findall(r'<p class="entry-refusal" id="entry-refusal" role="alert">(.*?)</p>', page)
        assert said == "当前卡号 1 与用户注册信息卡号 2 不一致，无法进行申报"
        assert 'id="sign-text"' in page
        assert listed(page) == ["CSQU3054383"]
        assert typed(page, "remark") == "留着"
        assert typed(page, "lock_version") == "8"
        assert problems(page) == []
        # All of it is stored: the browser has nothing to keep.
        assert "data-sent" not in page
        assert 'name="saved-draft" content="/signing/"' in page

    def test_signed_it_is_declared(self, operator_client: Client) -> None:
        response = operator_client.post("/signing/?declare", sent(SEA, action="declare_confirmed", signature="signed"))
        assert response.status_code == 302
        assert [event for event, _header, _lines in SAVED] == ["declare"]

    def test_who_cannot_sign_is_told_why_and_offered_the_way_back_alone(self, operator_client: Client) -> None:
        page = operator_client.get("/signing/?declare=no").content.decode()
        assert "尚未绑卡。" in page
        assert "declare_confirmed" not in page
        assert 'id="sign-text"' not in page
        assert re.search(r'value="restore" formaction="/signing/"', page)

    def test_the_strip_leads_to_the_record_and_not_to_the_question(self, operator_client: Client) -> None:
        page = operator_client.get("/work-signing/?declare").content.decode()
        assert "entry-question" in page
        assert 'href="/work-signing/?declare' not in page
        assert 'href="/work-signing/"' in page
