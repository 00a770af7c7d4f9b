"""What the operators' pages in /admin/ have in common: lists by keyset, pages of one message, questions before something is done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import BinaryField, QuerySet
from django.db.models.functions import Length, Substr
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.functional import Promise

from core.listing.keyset import InvalidCursorError, Order, Position, Reach
from core.workflow import ActionRefused
from relay.services.operations import Operator
from relay.shown import SHOWN_BYTES, Shown, shown

PAGE_SIZE = 50
OPERATE = "relay.operate"


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a list; with an address it is a link."""

    text: Any
    url: str = ""


class OperatorsAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # takes none at run time
    """A table that is only looked at, page by page in the order of an index; what can be done has addresses of its own.

    Looking needs the model's view permission, doing `relay.operate`.
    """

    list_template: ClassVar[str]
    filter_form: ClassVar[type[forms.Form]]
    #: The column that the list is sorted by, newest first.
    time: ClassVar[str]
    headers: ClassVar[Sequence[str | Promise]]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def cells(self, row: Any) -> list[Cell]:
        """A row of the list."""
        raise NotImplementedError

    def doings(self) -> list[tuple[str, str, Callable[..., HttpResponse]]]:
        """Further addresses: route, name, view."""
        return []

    def get_urls(self) -> list[URLPattern]:
        """The pages for what can be done, before Django's own."""
        own = [
            path(route, self.admin_site.admin_view(view), name=f"relay_{self.opts.model_name}_{name}")
            for route, name, view in self.doings()
        ]
        return [*own, *super().get_urls()]

    def address(self, name: str, *args: Any) -> str:
        """The address of one of these pages."""
        return reverse(f"admin:relay_{self.opts.model_name}_{name}", args=args)

    # -- Looking -------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list. Nothing is counted, and no page is reached by passing over those before it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = self.filter_form(request.GET)
        rows = form.chosen() if form.is_valid() else self.model._default_manager.none()  # type: ignore[attr-defined]
        order = Order(self.model, self.time, descending=True, scope=f"admin.{self.opts.model_name}")
        page = order.page(self.listed(rows), size=PAGE_SIZE, position=self._position(request, order))
        context = {
            **self._context(request, str(self.opts.verbose_name_plural)),
            "form": form,
            "headers": self.headers,
            "rows": [self.cells(row) for row in page.rows],
            "newer": self._query(request, before=page.before) if page.before else "",
            "older": self._query(request, after=page.after) if page.after else "",
            "filters": self._query(request),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.list_template, context)

    def listed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """What of each row the list needs."""
        return rows

    def _position(self, request: HttpRequest, order: Order) -> Position | None:
        for reach in (Reach.AFTER, Reach.BEFORE):
            if cursor := request.GET.get(reach.value):
                try:
                    return order.position(reach, cursor)
                except InvalidCursorError:
                    return None
        return None

    def _query(self, request: HttpRequest, **cursor: str | None) -> str:
        query = request.GET.copy()
        for name in ("after", "before"):
            query.pop(name, None)
        for name, value in cursor.items():
            query[name] = value or ""
        return query.urlencode()

    def _context(self, request: HttpRequest, title: str) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "may_operate": self.may_operate(request),
            "list_url": self.address("changelist"),
        }

    # -- Doing ---------------------------------------------------------------------------------

    def may_operate(self, request: HttpRequest) -> bool:
        """Whether the user has the right to do something here."""
        return request.user.has_perm(OPERATE)

    def require_operator(self, request: HttpRequest) -> Operator:
        """The user, as the one who does it. Raises PermissionDenied."""
        if not (self.may_operate(request) and self.has_view_permission(request)):
            raise PermissionDenied
        return cast("Operator", request.user)

    def sent(self, request: HttpRequest) -> Any:
        """What a form is to be filled with: what was sent, also when that was nothing; None when nothing was sent."""
        return request.POST if request.method == "POST" else None

    def question(
        self,
        request: HttpRequest,
        *,
        title: str,
        text: str,
        button: str,
        form: forms.Form,
        back: str,
        do: Callable[[dict[str, Any]], str],
        context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A page that asks first. A POST with a valid form does it; `do` gives the sentence for the user, or raises ActionRefused."""
        if request.method == "POST" and form.is_valid():
            try:
                done = do(form.cleaned_data)
            except ActionRefused as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, done)
                return redirect(back)
        shown_context = {**self._context(request, title), "text": text, "button": button, "form": form, "back": back, **(context or {})}
        return TemplateResponse(request, "admin/relay/question.html", shown_context)


class MessageAdmin(OperatorsAdmin):
    """A table of messages: a page of each with its bytes, shown safely, and the bytes as they are to download."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the bytes, which may be many, and without what only the database can hold."""
        return super().get_queryset(request).defer("content", *self.not_for_python)

    #: Columns whose values Python may not be able to hold.
    not_for_python: ClassVar[tuple[str, ...]] = ()

    def listed(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.defer("content", *self.not_for_python)

    def message(self, request: HttpRequest, pk: Any) -> Any:
        """One message. Raises PermissionDenied, Http404."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            found = self.get_queryset(request).filter(pk=pk).first()
        except (ValueError, OverflowError):
            found = None
        if found is None:
            raise Http404(f"no message {pk}")
        return found

    def content_of(self, message: Any) -> Shown:
        """The beginning of its bytes, and nothing more is read of them."""
        part = self.model._default_manager.filter(pk=message.pk).values_list(
            Substr("content", 1, SHOWN_BYTES, output_field=BinaryField()), Length("content")
        )
        beginning, size = part.get()
        return shown(bytes(beginning), size=size)

    def download(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The bytes as they are; no browser takes them for a page."""
        message = self.message(request, pk)
        content = bytes(self.model._default_manager.values_list("content", flat=True).get(pk=pk))
        if not content:
            raise Http404("its bytes are not here")
        return HttpResponse(
            content,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{self.opts.model_name}-{message.pk}.bin"'},
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Everything about one message."""
        message = self.message(request, object_id)
        if request.method != "GET":
            raise PermissionDenied
        context = {
            **self._context(request, str(message)),
            "original": message,
            "facts": self.facts(message),
            "content": self.content_of(message),
            "download_url": self.address("content", message.pk),
            "actions": self.actions_for(message) if self.may_operate(request) else [],
            **self.more(message),
        }
        return TemplateResponse(request, "admin/relay/message.html", context)

    def facts(self, message: Any) -> list[tuple[str, Any, str]]:
        """Label, value and address of everything that is known of it."""
        raise NotImplementedError

    def actions_for(self, message: Any) -> list[tuple[str, str]]:
        """Address and label of what can be done with it."""
        raise NotImplementedError

    def more(self, message: Any) -> dict[str, Any]:
        """What else its page shows."""
        return {}

    def labelled(self, message: Any, names: Sequence[str]) -> list[tuple[str, Any, str]]:
        """Fields of it with their labels; choices by their labels."""
        found = []
        for name in names:
            display = getattr(message, f"get_{name}_display", None)
            value = display() if display else getattr(message, name)
            found.append((str(self.opts.get_field(name).verbose_name), value, ""))  # type: ignore[union-attr]
        return found
