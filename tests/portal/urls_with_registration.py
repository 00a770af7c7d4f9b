"""The portal's addresses and a registration, which the portal itself does not have yet."""

from django.http import HttpResponse
from django.urls import include, path

from portal.urls import handler400, handler403, handler404, handler500
from portal.urls import urlpatterns as portal_urls

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

_accounts = ([path("login/", HttpResponse, name="login"), path("register/", HttpResponse, name="register")], "accounts")
urlpatterns = [path("", include(_accounts)), *portal_urls]
