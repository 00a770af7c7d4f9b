"""Pages of what platform staff publish: the lists behind MORE, an item's own page, its attachments (PRT-01, PRT-02)."""

from typing import Any, Final

import structlog
from django.http import FileResponse, Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.utils.functional import cached_property
from django.views.decorators.http import require_safe
from django.views.generic import TemplateView

from core.listing.keyset import InvalidCursorError, Order, Page, Reach
from portal import menu, queries
from portal.models import Attachment, ContentItem, Kind

log = structlog.get_logger(__name__)

PAGE_SIZE: Final = 20
_ORDER = Order(ContentItem, "published_at", descending=True, scope="portal.content")


def readable_by(user: Any) -> Any:
    """The items that a reader may open: what is visible to him; for staff who keep the content also what is not out (yet)."""
    if user.is_authenticated and user.is_staff and user.has_perm("portal.view_contentitem"):
        return ContentItem.objects.all()
    return ContentItem.objects.visible_to(user, at=timezone.now())


class PublicPage(TemplateView):
    """A page for everybody, with the hotlines on top."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(contacts=queries.contacts(), **kwargs)


class ContentListView(PublicPage):
    """All items of one kind, newest first; a page at a time, without a count."""

    template_name = "content/list.html"

    @cached_property
    def kind(self) -> Kind:
        """The kind that the address names. Raises Http404."""
        try:
            return Kind(self.kwargs["kind"])
        except ValueError:
            raise Http404(f"{self.kwargs['kind']!r} is no kind of content") from None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        items = ContentItem.objects.visible_to(self.request.user, at=timezone.now()).filter(kind=self.kind)
        if self.kind != Kind.FAQ:
            items = items.defer("body")
        page, is_lost = self._page(items)
        kwargs |= {"kind": self.kind, "is_faq": self.kind == Kind.FAQ, "page": page, "cursor_is_lost": is_lost}
        return super().get_context_data(**kwargs)

    def _page(self, items: Any) -> tuple[Page, bool]:
        """The page that the address asks for, and whether its cursor led nowhere (then it is the first page)."""
        for reach in (Reach.AFTER, Reach.BEFORE):
            cursor = self.request.GET.get(reach)
            if cursor:
                try:
                    return _ORDER.page(items, size=PAGE_SIZE, position=_ORDER.position(reach, cursor)), False
                except InvalidCursorError:
                    return _ORDER.page(items, size=PAGE_SIZE), True
        return _ORDER.page(items, size=PAGE_SIZE), False


class ContentItemView(PublicPage):
    """One item with its attachments and the application's page that it opens."""

    template_name = "content/item.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        item = get_object_or_404(readable_by(self.request.user), pk=self.kwargs["pk"])
        target = menu.page(item.target_page) if item.target_page else None
        return super().get_context_data(
            item=item,
            kind=Kind(item.kind),
            attachments=item.attachments.all(),
            is_preview=not item.is_public_at(timezone.now()),
            target=target,
            target_url=reverse(target.url_name) if target else "",
            **kwargs,
        )


@require_safe
def attachment(request: HttpRequest, pk: int) -> HttpResponseBase:
    """A file, to be stored by the reader: no browser is to show it as a page of the portal. 404 like its item."""
    found = get_object_or_404(Attachment, pk=pk, item__in=readable_by(request.user))
    try:
        file = found.file.open()
    except FileNotFoundError:
        log.exception("portal.attachment.lost", attachment=pk)
        raise Http404(f"the file of attachment {pk} is not in the storage") from None
    response = FileResponse(file, as_attachment=True, filename=found.name, content_type=found.media_type)
    response["X-Content-Type-Options"] = "nosniff"
    patch_cache_control(response, private=True, no_store=True)
    return response


urlpatterns = [
    path("<slug:kind>/", ContentListView.as_view(), name="content_list"),
    path("items/<int:pk>/", ContentItemView.as_view(), name="content_item"),
    path("attachments/<int:pk>/", attachment, name="content_attachment"),
]
