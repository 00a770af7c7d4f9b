"""URLs of the smart gate."""

from django.urls import path

from smartgate import change_views, views
from smartgate.base_data import views as base_data
from smartgate.batches import views as batches
from smartgate.importing import views as importing
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
    path("filings/<int:pk>/amend/", change_views.AmendFilingView.as_view(), name="amend"),
    path("filings/<int:pk>/amend/discard/", change_views.DiscardAmendmentView.as_view(), name="discard_amendment"),
    path("filings/<int:pk>/void/", change_views.VoidFilingView.as_view(), name="void"),
    path("filings/<int:pk>/versions/<int:number>/", change_views.VersionView.as_view(), name="version"),
    path("filings/<int:pk>/print/", views.PrintFilingView.as_view(), name="print"),
    path("filings/<int:pk>/receipts/", views.ReceiptsView.as_view(), name="receipts"),
    path("filings/<int:pk>/signature/<int:version>/", views.SignatureView.as_view(), name="signature"),
    path("statistics/", StatisticsView.as_view(), name="statistics"),
    path("base/vehicles/", base_data.VehicleListView.as_view(), name="vehicles"),
    path("base/vehicles/new/", base_data.NewVehicleView.as_view(), name="vehicle_new"),
    path("base/vehicles/lookup/", base_data.lookup_vehicles, name="vehicle_lookup"),
    path("base/vehicles/<int:pk>/edit/", base_data.EditVehicleView.as_view(), name="vehicle_edit"),
    path("base/vehicles/<int:pk>/delete/", base_data.DeleteVehicleView.as_view(), name="vehicle_delete"),
    path("base/bills/", base_data.BillListView.as_view(), name="bills"),
    path("base/bills/new/", base_data.NewBillView.as_view(), name="bill_new"),
    path("base/bills/lookup/", base_data.lookup_bills, name="bill_lookup"),
    path("base/bills/<int:pk>/edit/", base_data.EditBillView.as_view(), name="bill_edit"),
    path("base/bills/<int:pk>/delete/", base_data.DeleteBillView.as_view(), name="bill_delete"),
    path("import/", importing.ImportsView.as_view(), name="imports"),
    path("import/template.xlsx", importing.TemplateView.as_view(), name="import_template"),
    path("import/<int:pk>/", importing.ImportView.as_view(), name="import"),
    path("import/<int:pk>/progress/", importing.ProgressView.as_view(), name="import_progress"),
    path("import/<int:pk>/marked.xlsx", importing.MarkedView.as_view(), name="import_marked"),
    path("import/<int:pk>/store/", importing.StoreView.as_view(), name="import_store"),
    path("import/<int:pk>/delete/", importing.DeleteView.as_view(), name="import_delete"),
    path("import/<int:pk>/declare/", batches.FromImportView.as_view(), name="import_declare"),
    path("declare/", batches.BatchesView.as_view(), name="batches"),
    path("declare/<int:pk>/", batches.BatchView.as_view(), name="batch"),
    path("declare/<int:pk>/items/", batches.DeclareItemsView.as_view(), name="batch_items"),
]
