"""The portal's URLs with the example entry page beside them."""

from django.urls import include, path

from portal.urls import handler400, handler403, handler404, handler500
from portal.urls import urlpatterns as portal_urls
from tests.core.forms.example import (
    ExamplePage,
    LongPage,
    MovedOnPage,
    SavedPage,
    SigningPage,
    StoredPage,
    WorkPage,
    WorkSigningPage,
    lookup,
)

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [
    path("entry/", ExamplePage.as_view()),
    path("work/", WorkPage.as_view()),
    path("long/", LongPage.as_view()),
    path("moved-on/", MovedOnPage.as_view()),
    path("stored/", StoredPage.as_view()),
    path("saved/", SavedPage.as_view()),
    path("signing/", SigningPage.as_view()),
    path("work-signing/", WorkSigningPage.as_view()),
    path("lookup/", lookup),
    path("", include("portal.preferences")),
    *portal_urls,
]
