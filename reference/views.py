"""The lookup that code fields ask while someone types (PRT-05)."""

from datetime import date
from hashlib import blake2b

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from reference import queries

RIGHT = "reference.lookup"
MAX_QUERY_LENGTH = 50
MAX_RESULTS = 50
DEFAULT_RESULTS = 20
#: A browser may answer from its own cache for this long; after that it asks with the ETag.
FRESH_SECONDS = 60


class BadParameterError(ValueError):
    """A parameter that cannot be used; the message is for the user."""


@require_safe
def lookup(request: HttpRequest, table: str) -> HttpResponseBase:
    """Codes of `table` that `q` may mean on the day `on`, as `{"results": [{"code", "name", "initials"}]}`.

    Answers 401 to visitors (a script cannot follow a redirect to a login page), 403 without the right, 404 for an unknown table and
    400 for a bad parameter, each with `{"error": …}` in Chinese.
    """
    if not request.user.is_authenticated:
        return _error(401, _("请先登录。"))
    if not request.user.has_right(RIGHT):
        return _error(403, _("您没有查询代码表的权限。"))
    try:
        q, on, limit = _query(request), _day(request), _limit(request)
        revision = queries.revision(table)
    except BadParameterError as error:
        return _error(400, str(error))
    except queries.UnknownTableError:
        return _error(404, _("没有名为“%(table)s”的代码表。") % {"table": table})
    digest = blake2b(f"{table}\n{revision}\n{on}\n{limit}\n{queries.normalise(q)}".encode(), digest_size=12).hexdigest()
    etag = f'"{digest}"'
    response = get_conditional_response(request, etag=etag)
    if response is None:
        found = queries.search(table, q, on=on, limit=limit)
        results = [{"code": option.code, "name": option.name, "initials": option.initials} for option in found]
        response = JsonResponse({"results": results}, json_dumps_params={"ensure_ascii": False})
        response["ETag"] = etag
    patch_cache_control(response, private=True, max_age=FRESH_SECONDS)
    return response


def _query(request: HttpRequest) -> str:
    q = request.GET.get("q", "")
    if len(q) > MAX_QUERY_LENGTH:
        raise BadParameterError(_("查询内容不能超过 %(limit)d 个字符。") % {"limit": MAX_QUERY_LENGTH})
    return q


def _day(request: HttpRequest) -> date:
    text = request.GET.get("on", "")
    if not text:
        return timezone.localdate()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadParameterError(_("日期应写成 YYYY-MM-DD，例如 2022-06-01。")) from error


def _limit(request: HttpRequest) -> int:
    text = request.GET.get("limit", "")
    if not text:
        return DEFAULT_RESULTS
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_RESULTS):
        raise BadParameterError(_("返回条数应为 1 到 %(limit)d 的整数。") % {"limit": MAX_RESULTS})
    return int(text)


def _error(status: int, message: str) -> JsonResponse:
    response = JsonResponse({"error": message}, status=status, json_dumps_params={"ensure_ascii": False})
    patch_cache_control(response, private=True, no_store=True)
    return response
