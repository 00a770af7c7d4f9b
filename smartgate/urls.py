"""URLs of the smart gate."""

from django.urls import path

from smartgate import views
from smartgate.statistics.views import StatisticsView

app_name = "smartgate"
urlpatterns = [
    path("filings/", views.FilingListView.as_view(), name="list"),
    path("filings/new/", views.NewFilingView.as_view(), name="new"),
    path("filings/<int:pk>/", views.FilingView.as_view(), name="detail"),
    path("filings/<int:pk>/status/", views.FilingStatusView.as_view(), name="status"),
    path("filings/<int:pk>/edit/", views.EditFilingView.as_view(), name="edit"),
    path("filings/<int:pk>/copy/", views.CopyFilingView.as_view(), name="copy"),
    path("filings/<int:pk>/delete/", views.DeleteFilingView.as_view(), name="delete"),
    path("filings/<int:pk>/print/", views.PrintFilingView.as_view(), name="print"),
    path("filings/<int:pk>/receipts/", views.ReceiptsView.as_view(), name="receipts"),
    path("filings/<int:pk>/signature/<int:version>/", views.SignatureView.as_view(), name="signature"),
    path("statistics/", StatisticsView.as_view(), name="statistics"),
]
