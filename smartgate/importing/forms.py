"""The upload."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from smartgate.importing.workbook import kind_refused

_HEAD, _TAIL = 4096, 65_536


class UploadForm(forms.Form):
    """One workbook. What it is not is told at once by its first bytes; what is in it, after a worker has read it."""

    workbook = forms.FileField(
        label=gettext_lazy("Excel 文件"),
        allow_empty_file=True,
        max_length=200,
        widget=forms.FileInput(attrs={"class": "form-control", "accept": ".xlsx"}),
        error_messages={
            "required": gettext_lazy("请选择要上传的 Excel 文件。"),
            "max_length": gettext_lazy("文件名过长，请改短后再上传。"),
        },
    )

    def clean_workbook(self) -> Any:
        file = self.cleaned_data["workbook"]
        if not file.size:
            raise ValidationError(_("文件是空的。请检查后重新上传。"))
        if file.size > settings.IMPORT_MAX_BYTES:
            raise ValidationError(
                _("文件大小为 %(size)s，超过上限 %(limit)s。请删除多余的内容，或拆成几个文件。"),
                params={"size": filesizeformat(file.size), "limit": filesizeformat(settings.IMPORT_MAX_BYTES)},
            )
        head = file.read(_HEAD)
        file.seek(max(0, file.size - _TAIL))
        refused = kind_refused(file.name, head, file.read(_TAIL))
        file.seek(0)
        if refused:
            raise ValidationError(refused)
        return file
