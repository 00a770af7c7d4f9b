"""A printed document as a web answer."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header


def pdf_response(content: bytes, name: str) -> HttpResponse:
    """The document for the browser's own viewer, which prints it; saved it is called `<name>.pdf`."""
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = content_disposition_header(as_attachment=False, filename=f"{name}.pdf") or "inline"
    response["Cache-Control"] = "private, no-store"
    return response
