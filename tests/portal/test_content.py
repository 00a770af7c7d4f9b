"""Home page, the lists behind MORE, an item's page, its files, 系统公告, and what staff do in /admin/ (PRT-01, PRT-02)."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.rights import ApplicationKey, Role
from portal.content import PAGE_SIZE
from portal.models import Attachment, Contact, ContentItem, Kind
from portal.queries import HOME_ITEMS
from tests.conftest import make_user
from tests.portal.factories import make_attachment, make_item

pytestmark = [pytest.mark.django_db]

LIST = "/smartgate/filings/"


@pytest.fixture(autouse=True)
def files(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "files"
    return tmp_path / "files"


def stored(files: Path) -> list[Path]:
    return [path for path in files.rglob("*") if path.is_file()]


def text_of(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def tile(page: str, name: str) -> str:
    """The tile of the home page with this application's name."""
    found = [article for article in re.findall(r"<article.*?</article>", page, re.DOTALL) if name in article]
    assert len(found) == 1
    return found[0]


def titles(page: str) -> list[str]:
    """Titles of a list, in order."""
    return re.findall(r'<li><a href="/content/items/\d+/">([^<]*)</a><time', page)


# -- Home page ------------------------------------------------------------------------------------


@pytest.mark.covers("PRT-01")
def test_tiles_stand_under_the_two_editions_with_their_service(client: Client) -> None:
    page = text_of(client, "/")
    standard, local = page.index("标准版应用"), page.index("地方特色应用")
    for name, service in (("智能卡口散杂货", "口岸物流"), ("贸促会原产地证申报", "原产地证")):
        assert service in tile(page, name)
        assert standard < page.index(f"</svg>{name}") < local
    for name, service in (("海关查验信息推送", "口岸服务"), ("规范申报企业专属库", "货物申报")):
        assert service in tile(page, name)
        assert page.index(f"</svg>{name}") > local


@pytest.mark.covers("PRT-01")
def test_a_tile_leads_where_the_reader_can_go(client: Client, operator_client: Client, staff_client: Client) -> None:
    visitors, users, others = (tile(text_of(who, "/"), "智能卡口散杂货") for who in (client, operator_client, staff_client))
    assert 'href="/accounts/login/?next=%2Fsmartgate%2Ffilings%2Fnew%2F"' in visitors
    assert 'href="/smartgate/filings/new/"' in users
    assert "href" not in others
    assert "未开通" in others
    coming = tile(text_of(operator_client, "/"), "贸促会原产地证申报")
    assert "href" not in coming
    assert "即将开放" in coming


@pytest.mark.covers("PRT-01")
def test_hotlines_login_and_contacts_stand_on_the_public_pages(client: Client, operator_client: Client) -> None:
    Contact.objects.create(label="7x24小时热线", way=Contact.Way.PHONE, value="0411-82732333", is_hotline=True)
    Contact.objects.create(label="客服 QQ 1 群", way=Contact.Way.TEXT, value="492792487")
    Contact.objects.create(label="邮箱", way=Contact.Way.EMAIL, value="desk@portal.example")
    for path in ("/", "/content/notice/"):
        page = text_of(client, path)
        top, _header, rest = page.partition('<header class="top-bar">')
        assert 'href="tel:0411-82732333"' in top
        assert 'href="/accounts/login/"' in top
        assert "492792487" not in top
        assert "492792487" in rest
        assert 'href="mailto:desk@portal.example"' in rest
    assert 'href="/accounts/login/"' not in text_of(operator_client, "/")


@pytest.mark.covers("PRT-01")
def test_registration_is_offered_to_visitors_only(client: Client, operator_client: Client) -> None:
    link = re.compile(r'href="/accounts/register/">.*?</svg>注册</a>', re.DOTALL)
    assert link.search(text_of(client, "/"))
    assert not link.search(text_of(operator_client, "/"))


@pytest.mark.covers("PRT-01")
def test_the_home_page_shows_the_newest_of_each_kind_and_leads_to_all(client: Client) -> None:
    now = timezone.now()
    for kind in Kind:
        for number in range(HOME_ITEMS + 2):
            make_item(kind, f"{kind.label} {number:02d}", published_at=now - timedelta(days=number + 1))
    page = text_of(client, "/")
    for kind in Kind:
        assert f'href="/content/{kind.value}/">MORE' in page
        shown = [number for number in range(HOME_ITEMS + 2) if f"{kind.label} {number:02d}<" in page]
        assert shown == list(range(HOME_ITEMS))
    faq = page[page.index('id="list-faq"') :]
    assert re.search(r"<summary>常见问题 FAQ 00</summary>\s*<div class=\"content-body\"><p>第一段</p>", faq)


@pytest.mark.covers("PRT-01")
def test_a_home_page_without_any_content_says_so(client: Client) -> None:
    page = text_of(client, "/")
    assert page.count("暂无内容") == len(Kind)
    assert "联系我们" not in page


def test_the_home_page_costs_few_queries(operator_client: Client, client: Client, django_assert_max_num_queries: Any) -> None:
    for kind in Kind:
        for number in range(HOME_ITEMS):
            make_item(kind, f"{kind.label} {number}")
    for browser in (client, operator_client):
        browser.get("/")
        with django_assert_max_num_queries(8) as queries:
            browser.get("/")
        assert len([query for query in queries.captured_queries if "portal_contentitem" in query["sql"]]) == 2


# -- Lists behind MORE ----------------------------------------------------------------------------


@pytest.mark.covers("PRT-01")
def test_more_leads_through_all_of_them_and_back(client: Client) -> None:
    at = timezone.now() - timedelta(days=1)
    # All at one moment: the order among them is by number, and none is shown twice or left out.
    wanted = [make_item(title=f"通知 {number}", published_at=at).title for number in range(2 * PAGE_SIZE + 3)][::-1]
    make_item(Kind.NEWS, "另一栏目")
    pages, path = [], "/content/notice/"
    for _page in range(3):
        pages.append(text_of(client, path))
        following = re.search(r'rel="next" href="([^"]*)"', pages[-1])
        path = f"/content/notice/{following[1]}" if following else ""
    assert not path
    assert [title for page in pages for title in titles(page)] == wanted
    back = re.search(r'rel="prev" href="([^"]*)"', pages[2])
    assert back
    assert titles(text_of(client, f"/content/notice/{back[1]}")) == titles(pages[1])
    assert 'rel="prev"' not in pages[0]


def test_a_page_of_a_list_is_read_with_one_query_and_never_counted(client: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(PAGE_SIZE + 1):
        make_item(title=f"通知 {number}")
    with django_assert_max_num_queries(2) as queries:
        client.get("/content/notice/")
    assert not [query for query in queries.captured_queries if "COUNT(" in query["sql"]]


@pytest.mark.parametrize("cursor", ["lost", "x:y", "%00", "a" * 5000])
def test_a_cursor_that_leads_nowhere_shows_the_first_page_and_says_so(client: Client, cursor: str) -> None:
    make_item(title="通知")
    page = text_of(client, f"/content/notice/?after={cursor}")
    assert titles(page) == ["通知"]
    assert "翻页位置无效" in page


@pytest.mark.parametrize("path", ["/content/x/", "/content/items/", "/content/items/99999999999999999999/", "/content/attachments/1/"])
def test_what_is_not_there_is_404(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


# -- Who sees what, and when ----------------------------------------------------------------------


def hidden(**fields: Any) -> ContentItem:
    return make_item(title="看不到的", **fields)


@pytest.mark.covers("PRT-02")
@pytest.mark.parametrize("why", ["expired", "not yet out", "taken back"])
def test_what_is_not_out_is_nowhere_for_readers(operator_client: Client, client: Client, staff_client: Client, why: str) -> None:
    now = timezone.now()
    item = {
        "expired": lambda: hidden(expires_at=now - timedelta(seconds=1)),
        "not yet out": lambda: hidden(published_at=now + timedelta(minutes=1)),
        "taken back": lambda: hidden(is_released=False),
    }[why]()
    file = make_attachment(item)
    for browser in (client, operator_client):
        assert "看不到的" not in text_of(browser, "/") + text_of(browser, "/content/notice/")
        assert browser.get(f"/content/items/{item.pk}/").status_code == 404
        assert browser.get(f"/content/attachments/{file.pk}/").status_code == 404
    # Who publishes it looks at it first.
    assert "预览" in text_of(staff_client, f"/content/items/{item.pk}/")


@pytest.mark.covers("PRT-02")
def test_staff_without_the_right_to_content_see_what_readers_see() -> None:
    watchman = Client()
    watchman.force_login(make_user("staff2", Role.PLATFORM_STAFF, is_staff=True))
    assert watchman.get(f"/content/items/{hidden(is_released=False).pk}/").status_code == 404


@pytest.mark.covers("PRT-02")
def test_what_is_for_one_application_is_for_its_users_only(client: Client, operator_client: Client) -> None:
    item, other = (
        make_item(title="卡口用户须知", audience=ApplicationKey.SMARTGATE),
        make_item(title="原产地证须知", audience=ApplicationKey.ORIGIN_CERT),
    )
    customs = Client()
    customs.force_login(make_user("customs1", Role.CUSTOMS))
    for browser, status in ((client, 404), (customs, 404), (operator_client, 200)):
        assert browser.get(f"/content/items/{item.pk}/").status_code == status
        assert browser.get(f"/content/items/{other.pk}/").status_code == 404
        seen = text_of(browser, "/") + text_of(browser, "/content/notice/")
        assert ("卡口用户须知" in seen) == (status == 200)
        assert "原产地证须知" not in seen


@pytest.mark.covers("PRT-02")
def test_an_announcement_opens_an_application_and_shows_text_as_text(client: Client) -> None:
    item = make_item(body="<script>alert(1)</script> 见 https://www.customs.example/a?b=1&c=2\n\n第二段", target_page="smartgate:new")
    page = text_of(client, f"/content/items/{item.pk}/")
    assert 'href="/smartgate/filings/new/"' in page
    assert "打开 智能卡口散杂货 · 新增" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert '<a href="https://www.customs.example/a?b=1&amp;c=2" rel="nofollow">' in page
    assert "<p>第二段</p>" in page


def test_a_page_that_is_no_more_is_not_offered(client: Client) -> None:
    item = make_item(target_page="smartgate:gone")
    assert "打开" not in text_of(client, f"/content/items/{item.pk}/")


# -- Files ----------------------------------------------------------------------------------------


@pytest.mark.covers("PRT-02")
def test_a_file_is_a_download_and_nothing_else(client: Client) -> None:
    file = make_attachment(make_item(Kind.DOWNLOAD), "用户手册.pdf", b"%PDF-1.7 ...")
    assert f'href="/content/attachments/{file.pk}/"' in text_of(client, f"/content/items/{file.item_id}/")
    response = client.get(f"/content/attachments/{file.pk}/")
    assert b"".join(response.streaming_content) == b"%PDF-1.7 ..."
    assert response["Content-Disposition"].startswith("attachment; filename*=utf-8''%E7%94%A8")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Type"] == "application/pdf"
    assert "no-store" in response["Cache-Control"]


def test_a_file_that_the_storage_lost_is_404(client: Client) -> None:
    file = make_attachment(make_item())
    file.file.storage.delete(file.file.name)
    assert client.get(f"/content/attachments/{file.pk}/").status_code == 404


def filled_in(**changes: Any) -> dict[str, Any]:
    """The form of a new item in /admin/, as a browser sends it."""
    return {
        "kind": "notice",
        "title": "关于系统升级的通知",
        "body": "正文",
        "publisher": "中国电子口岸数据中心",
        "is_released": "on",
        "published_at_0": "2026-01-05",
        "published_at_1": "09:00:00",
        "expires_at_0": "",
        "expires_at_1": "",
        "audience": "all",
        "target_page": "",
        "attachments-TOTAL_FORMS": "1",
        "attachments-INITIAL_FORMS": "0",
        "attachments-MIN_NUM_FORMS": "0",
        "attachments-MAX_NUM_FORMS": "1000",
        **changes,
    }


ADD = "/admin/portal/contentitem/add/"


@pytest.mark.covers("PRT-02")
def test_staff_publish_with_a_file_and_take_both_back(
    staff_client: Client, client: Client, files: Path, django_capture_on_commit_callbacks: Any
) -> None:
    upload = SimpleUploadedFile("../../手册 2026.pdf", b"%PDF-1.7 ...")
    assert staff_client.post(ADD, filled_in(**{"attachments-0-file": upload})).status_code == 302
    item, file = ContentItem.objects.get(), Attachment.objects.get()
    assert (file.name, file.size) == ("手册 2026.pdf", 12)
    assert re.fullmatch(r"content/\d{4}/\d\d/[0-9a-f]{32}\.pdf", file.file.name)
    assert [path.name for path in stored(files)] == [Path(file.file.name).name]
    assert "手册 2026.pdf" in text_of(client, f"/content/items/{item.pk}/")
    # What is stored stands there as a link, and saving again leaves it alone.
    change = f"/admin/portal/contentitem/{item.pk}/change/"
    assert f'href="/content/attachments/{file.pk}/"' in text_of(staff_client, change)
    again = {"attachments-INITIAL_FORMS": "1", "attachments-0-id": str(file.pk), "attachments-0-item": str(item.pk)}
    assert staff_client.post(change, filled_in(title="改了标题", **again)).status_code == 302
    assert text_of(client, f"/content/items/{item.pk}/").count("手册 2026.pdf") == 1
    with django_capture_on_commit_callbacks(execute=True):
        staff_client.post(change, filled_in(**again, **{"attachments-0-DELETE": "on"}))
    assert (Attachment.objects.count(), stored(files)) == (0, [])


@pytest.mark.covers("PRT-02")
@pytest.mark.parametrize("way", ["one", "several"])
def test_deleting_an_item_takes_its_files(staff_client: Client, files: Path, django_capture_on_commit_callbacks: Any, way: str) -> None:
    item = make_item()
    make_attachment(item)
    with django_capture_on_commit_callbacks(execute=True):
        if way == "one":
            staff_client.post(f"/admin/portal/contentitem/{item.pk}/delete/", {"post": "yes"})
        else:
            chosen = {"action": "delete_selected", "_selected_action": [str(item.pk)], "post": "yes"}
            staff_client.post("/admin/portal/contentitem/", chosen)
    assert (ContentItem.objects.count(), stored(files)) == (0, [])


@pytest.fixture
def small_limit(settings: Any) -> None:
    settings.CONTENT_ATTACHMENT_MAX_BYTES = 1500


BAD_FILES = {
    "kind": ("page.html", b"<script>", "不能上传这种文件"),
    "no ending": ("page", b"text", "不能上传这种文件"),
    "two endings": ("a.pdf.svg", b"<svg/>", "不能上传这种文件"),
    "not what it says": ("a.pdf", b"<script>alert(1)</script>", "文件内容不是 pdf 格式"),
    "not a film": ("a.mp4", b"\0\0\0\x18moov", "文件内容不是 mp4 格式"),
    "no text": ("a.txt", b"ab\0cd", "文件内容不是 txt 格式"),
    "wrong letters": ("a.txt", "中文".encode("gbk"), "文件内容不是 txt 格式"),
    "empty": ("a.pdf", b"", "空"),
    "too large": ("a.pdf", b"%PDF-" + b"0" * 2000, "超过上限"),
    "too long a name": ("长" * 160 + ".pdf", b"%PDF-", "文件名长度"),
}


@pytest.mark.covers("PRT-02")
@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
@pytest.mark.usefixtures("small_limit")
def test_a_bad_file_is_refused_with_the_reason(staff_client: Client, files: Path, name: str, content: bytes, message: str) -> None:
    upload = SimpleUploadedFile(name, content)
    response = staff_client.post(ADD, filled_in(**{"attachments-0-file": upload}))
    assert response.status_code == 200
    assert message in response.content.decode()
    assert (ContentItem.objects.count(), stored(files)) == (0, [])


GOOD_FILES = {
    "a.MP4": b"\0\0\0\x18ftypmp42",
    "b.docx": b"PK\x03\x04...",
    "c.xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "d.txt": ("a" + "中" * 600).encode(),  # byte 1024 falls into a character
}


@pytest.mark.parametrize(("name", "content"), GOOD_FILES.items(), ids=GOOD_FILES.keys())
def test_files_that_are_what_they_say_are_taken(staff_client: Client, name: str, content: bytes) -> None:
    assert staff_client.post(ADD, filled_in(**{"attachments-0-file": SimpleUploadedFile(name, content)})).status_code == 302
    assert Attachment.objects.get().name == name


@pytest.mark.covers("PRT-02")
def test_an_item_that_ends_before_it_begins_is_refused(staff_client: Client) -> None:
    response = staff_client.post(ADD, filled_in(expires_at_0="2026-01-04", expires_at_1="09:00:00"))
    assert "失效时间必须晚于发布时间" in response.content.decode()
    assert not ContentItem.objects.exists()


def test_an_item_without_a_time_of_publishing_is_refused_not_broken(staff_client: Client) -> None:
    response = staff_client.post(ADD, filled_in(published_at_0="", published_at_1="", expires_at_0="2026-01-04", expires_at_1="9:00"))
    assert response.status_code == 200
    assert not ContentItem.objects.exists()


@pytest.mark.covers("PRT-02")
@pytest.mark.parametrize(("state", "wanted"), [("public", ["已发布的"]), ("waiting", ["草稿", "未到时的"]), ("expired", ["过期的"])])
def test_staff_find_what_readers_see_and_what_not(staff_client: Client, state: str, wanted: list[str]) -> None:
    now = timezone.now()
    make_item(title="已发布的")
    make_item(title="草稿", is_released=False)
    make_item(title="未到时的", published_at=now + timedelta(days=1))
    make_item(title="过期的", expires_at=now - timedelta(minutes=1))
    page = text_of(staff_client, f"/admin/portal/contentitem/?state={state}")
    assert sorted(re.findall(r'class="field-title"><a[^>]*>([^<]*)</a>', page)) == sorted(wanted)


# -- 系统公告 on an application's own pages ---------------------------------------------------------


@pytest.mark.covers("PRT-02")
def test_an_applications_pages_show_its_announcements(operator_client: Client) -> None:
    item = make_item(title="卡口维护公告", audience=ApplicationKey.SMARTGATE)
    make_item(title="给所有人的公告")
    make_item(title="别的应用的公告", audience=ApplicationKey.ORIGIN_CERT)
    make_item(Kind.NEWS, "卡口新闻", audience=ApplicationKey.SMARTGATE)
    for path in (LIST, f"{LIST}new/"):
        page = text_of(operator_client, path)
        block = page[page.index('<details class="card announcements"') :].partition("</details>")[0]
        assert "系统公告" in block
        assert f'href="/content/items/{item.pk}/">卡口维护公告</a>' in block
        assert timezone.localtime(item.published_at).strftime("%Y/%m/%d") in block
        assert "<td>中国电子口岸数据中心</td>" in block
        assert block.count("<tr>") == 2
        assert not re.search("给所有人的|别的应用的|卡口新闻", block)


def test_pages_without_announcements_show_no_empty_block(operator_client: Client) -> None:
    assert "announcements" not in text_of(operator_client, LIST)


def test_announcements_cost_one_query_and_then_none(operator_client: Client, django_assert_max_num_queries: Any) -> None:
    make_item(audience=ApplicationKey.SMARTGATE)
    for wanted in (1, 0):
        with django_assert_max_num_queries(30) as queries:
            operator_client.get(LIST)
        assert len([query for query in queries.captured_queries if "portal_contentitem" in query["sql"]]) == wanted


@pytest.mark.covers("PRT-02")
def test_what_staff_save_shows_at_once_and_what_expires_is_gone(
    staff_client: Client, operator_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    assert "announcements" not in text_of(operator_client, LIST)
    with django_capture_on_commit_callbacks(execute=True):
        staff_client.post(ADD, filled_in(title="刚刚发布", audience="smartgate"))
    assert "刚刚发布" in text_of(operator_client, LIST)
    item = ContentItem.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        staff_client.post(f"/admin/portal/contentitem/{item.pk}/change/", filled_in(audience="all"))
    assert "announcements" not in text_of(operator_client, LIST)


def test_an_announcement_in_the_cache_still_expires(operator_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    make_item(title="即将失效", audience=ApplicationKey.SMARTGATE, expires_at=now + timedelta(minutes=5))
    assert "即将失效" in text_of(operator_client, LIST)
    monkeypatch.setattr("portal.queries.timezone.now", lambda: now + timedelta(minutes=6))
    assert "即将失效" not in text_of(operator_client, LIST)


def test_announcements_outlive_redis(operator_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_arguments: Any, **_options: Any) -> None:
        raise RedisConnectionError("away")

    make_item(title="卡口维护公告", audience=ApplicationKey.SMARTGATE)
    monkeypatch.setattr("portal.queries.cache", type("Away", (), {"get": away, "set": away, "delete_many": away})())
    assert "卡口维护公告" in text_of(operator_client, LIST)
    assert cache.get("announcements:smartgate") is None


# -- Demo -----------------------------------------------------------------------------------------


@pytest.mark.covers("PRT-01")
def test_the_demo_fills_every_list_and_only_once(settings: Any, client: Client) -> None:
    settings.DEMO_MODE = True
    call_command("seed_reference", verbosity=0)
    call_command("seed_demo", filings=1, verbosity=0)
    before = ContentItem.objects.count(), Contact.objects.count(), Attachment.objects.count()
    call_command("seed_demo", filings=1, verbosity=0)
    assert (ContentItem.objects.count(), Contact.objects.count(), Attachment.objects.count()) == before
    page = text_of(client, "/")
    assert "暂无内容" not in page
    assert "0411-82732333" in page
    assert len(titles(page)) >= 12
