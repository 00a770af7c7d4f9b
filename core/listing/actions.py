"""What a user can do with one row: the application says it as data, by the row's state; `drawn` makes HTML of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.templatetags.icons import icon


@dataclass(frozen=True, slots=True)
class RowAction:
    """One action of the column 操作.

    `method` "get" makes a link, "post" a button in a form of its own. `confirm` asks first, in place and without a script;
    True asks 确认…？, a text asks just that, and `answer` is on the button that does it, 确定 when left out.
    Only a post asks: a link changes nothing. `icon` is a name for the `icon` tag.
    """

    label: str | Promise
    url: str
    icon: str = ""
    method: str = "get"
    confirm: bool | str | Promise = False
    answer: str | Promise = ""

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


def hidden_fields(csrf_token: str, return_path: str) -> SafeString:
    """What every posted action of a page sends along: the token, and as `next` the way back (`core.http.safe_next`)."""
    return format_html(
        '<input type="hidden" name="csrfmiddlewaretoken" value="{}"><input type="hidden" name="next" value="{}">', csrf_token, return_path
    )


def drawn(actions: Iterable[RowAction], *, hidden: SafeString) -> SafeString:
    """The actions of one row as HTML, `hidden` in each form. In Python and not by a template: a page draws hundreds of them."""
    return format_html_join("", "{}", ((_drawn(action, hidden),) for action in actions))


def _drawn(action: RowAction, hidden: SafeString) -> SafeString:
    face = format_html("{}{}", icon(action.icon), action.label) if action.icon else action.label
    if action.method == "get":
        return format_html('<a class="btn btn-sm btn-link" href="{}">{}</a>', action.url, face)
    if not action.confirm:
        return format_html(
            '<form method="post" action="{}">{}<button class="btn btn-sm btn-link" type="submit">{}</button></form>',
            action.url,
            hidden,
            face,
        )
    return format_html(
        '<details class="listing-confirm"><summary class="btn btn-sm btn-link">{}</summary>'
        '<form method="post" action="{}">{}<span>{}</span>'
        '<button class="btn btn-sm btn-danger" type="submit">{}</button></form></details>',
        face,
        action.url,
        hidden,
        action.question,
        action.answer or _("确定"),
    )
