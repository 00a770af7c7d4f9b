"""The project: settings, URLs, home page. Imports every other room; none imports it."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
