"""Enterprises and users from before applications were opened and granted keep what they had; they have logged in before."""

from django.db import migrations
from django.db.models import F

EVERY_APPLICATION = ["smartgate", "origin_cert", "inspection", "hscode_library"]


def keep(apps, schema_editor):
    apps.get_model("accounts", "Enterprise").objects.update(applications=EVERY_APPLICATION)
    users = apps.get_model("accounts", "User").objects
    users.update(first_login_verified_at=F("date_joined"))
    users.filter(role="operator").update(applications=EVERY_APPLICATION)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_registration")]
    operations = [migrations.RunPython(keep, migrations.RunPython.noop)]
