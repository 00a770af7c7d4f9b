"""Deliveries for operators: to be looked at only."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from notifications.models import Delivery


@admin.register(Delivery)
class DeliveryAdmin(admin.ModelAdmin):
    list_display = ["created_at", "way", "recipient", "status", "attempts", "sent_at", "error"]
    list_filter = ["way", "status"]
    search_fields = ["recipient"]
    date_hierarchy = "created_at"
    #: Never the body: it may hold a code.
    fields = [
        "reference",
        "way",
        "recipient",
        "subject",
        "status",
        "attempts",
        "created_at",
        "due_at",
        "expires_at",
        "sent_at",
        "error",
        "request_id",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Without the body, which is not even decrypted."""
        return super().get_queryset(request).defer("body")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False
