"""The portal's URLs with the example entry page beside them."""

from django.urls import include, path

from portal.urls import handler403, handler404, handler500
from portal.urls import urlpatterns as portal_urls
from tests.core.forms.example import ExamplePage, SavedPage, StoredPage, lookup

__all__ = ["handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    path("entry/", ExamplePage.as_view()),
    path("stored/", StoredPage.as_view()),
    path("saved/", SavedPage.as_view()),
    path("lookup/", lookup),
    path("", include("portal.preferences")),
    *portal_urls,
]
