"""Addresses of the code tables."""

from django.urls import path

from reference import views

app_name = "reference"
urlpatterns = [
    path("lookup/<slug:table>/", views.lookup, name="lookup"),
]
