"""卡控件下载 (CARD-01, M1, M2): what makes the browser reach the card in the reader, for everybody who needs it."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from django.views.generic import TemplateView

from accounts import bridge_archive

#: Where the program answers when it is told nothing (domain.md §2).
OFFICIAL_PORT = 61232


class CardControlView(TemplateView):
    """Which programs there are, how ours is installed and started for this portal, and 检测: whether one answers."""

    template_name = "accounts/card_control.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            options=" ".join(self._options()),
            bridge_url=settings.CARD_BRIDGE_URL,
            version=bridge_archive.version(),
            **kwargs,
        )

    def _options(self) -> Iterator[str]:
        """What our program is to be told so that it serves the pages of this portal, reached as it is now."""
        yield f"--origin {self.request.scheme}://{self.request.get_host()}"
        port = urlsplit(settings.CARD_BRIDGE_URL).port
        if port not in (None, OFFICIAL_PORT):
            yield f"--port {port}"


@require_safe
def download(request: HttpRequest) -> HttpResponse:
    """Our card bridge as a zip."""
    return HttpResponse(
        bridge_archive.archive(),
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="card_bridge-{bridge_archive.version()}.zip"'},
    )
