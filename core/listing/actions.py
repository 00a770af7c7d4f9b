"""What a user can do with one row, as data; the application decides by the row's state, the template draws it."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _


@dataclass(frozen=True, slots=True)
class RowAction:
    """One action of the column 操作.

    `method` "get" makes a link, "post" a button in a form of its own. `confirm` asks first, in place and without a script;
    True asks 确认…？, a text asks just that. Only a post asks: a link changes nothing. `icon` is a name for the `icon` tag.
    """

    label: str | Promise
    url: str
    icon: str = ""
    method: str = "get"
    confirm: bool | str | Promise = False

    def __post_init__(self) -> None:
        if self.method not in {"get", "post"}:
            raise ValueError(f"a row action is a get or a post, not {self.method!r}")
        if self.confirm and self.method != "post":
            raise ValueError("a link changes nothing, so there is nothing to confirm")

    @property
    def question(self) -> str:
        """What is asked before the post, or an empty string."""
        if self.confirm is True:
            return _("确认%(action)s？") % {"action": self.label}
        return str(self.confirm) if self.confirm else ""


def return_url(request: HttpRequest, default: str) -> str:
    """Where a posted row action goes back to: the query page as it stood, sent along as `next`; else `default`.

    An address of another host is never followed.
    """
    wanted = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return wanted
    return default
