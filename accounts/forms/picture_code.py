"""The picture code (图形验证码) of forms that strangers may send: a machine has to read a picture first."""

from collections.abc import Mapping
from typing import Any

from captcha.fields import CaptchaField, CaptchaTextInput
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from accounts.forms.base import AccountForm
from core.http import wants_part


class PictureCodeWidget(CaptchaTextInput):
    """Text field, picture and 换一张. The button posts the form as `new_picture`; with a script only the picture changes."""

    template_name = "accounts/picture_code_widget.html"

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> Any:
        """A program that tests the portal sends the code alone, under the field's own name; it has no picture to name."""
        if name in data:
            return ["none", data[name]]
        return super().value_from_datadict(data, files, name)


class PictureCodeField(CaptchaField):
    """验证码 as it stands in the picture, in either case. A picture is good for one try."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{
                "label": _("验证码"),
                "widget": PictureCodeWidget(),
                "error_messages": {"invalid": _("验证码不正确或已过期，请按新图片重新输入。")},
                **kwargs,
            }
        )


def asks_for_picture(request: HttpRequest) -> bool:
    """Whether the button 换一张 was pressed, and not that of the form."""
    return request.method == "POST" and "new_picture" in request.POST


def picture_part(request: HttpRequest, form: AccountForm) -> HttpResponse | None:
    """The field with a new picture, when the script asked for it; None when the whole page is to be drawn."""
    return render(request, "accounts/picture_code_part.html", {"field": form["captcha"]}) if wants_part(request) else None
