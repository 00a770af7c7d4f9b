"""The portal's addresses and, beside them, the stock list that `listing` compares with."""

from django.urls import path

from benchmarks.stock import StockList
from portal.urls import handler403, handler404, handler500
from portal.urls import urlpatterns as portal_urls

urlpatterns = [*portal_urls, path("bench/stock/", StockList.as_view(), name="bench-stock")]

__all__ = ["handler403", "handler404", "handler500", "urlpatterns"]
