"""The portal's addresses and one query page of the tests' own, over a table that core itself has."""

from django.urls import include, path

from tests.core.listing.audit_list import AuditListView, EmptyListView

urlpatterns = [
    path("test/audit/", AuditListView.as_view(), name="test-audit"),
    path("test/audit/<int:pk>/", AuditListView.as_view(), name="test-audit-entry"),
    path("test/empty/", EmptyListView.as_view(), name="test-empty"),
    path("", include("portal.urls")),
]
