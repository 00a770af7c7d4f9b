"""Every address of the portal."""

from captcha.views import captcha_image
from django.contrib import admin
from django.urls import include, path

from accounts.views.single_sign_on import FirstView
from portal import health, metrics, views

urlpatterns = [
    path("", views.HomeView.as_view(), name="home"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("", include("portal.preferences")),
    path("content/", include("portal.content")),
    path("accounts/", include("accounts.urls")),
    # Of django-simple-captcha only what a page needs: a new picture comes with a form that is posted.
    path("captcha/image/<slug:key>/", captcha_image, name="captcha-image"),
    path("accounts/", include("accounts.allauth_urls")),
    # django-allauth sends whom it does not know to this name.
    path("accounts/standard-edition/first/", FirstView.as_view(), name="socialaccount_signup"),
    path("reference/", include("reference.urls")),
    path("smartgate/", include("smartgate.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "portal.views.bad_request"
handler403 = "portal.views.forbidden"
handler404 = "portal.views.not_found"
handler500 = "portal.views.server_error"
