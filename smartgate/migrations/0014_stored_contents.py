"""Contents that were stored are known again; what was stored from before has no marked workbook without it (docs/adr/0116)."""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models


def forget_whole_sheets(apps, schema_editor):
    """A marked workbook from before still has what was stored from it; the page would say that it has not."""
    apps.get_model("smartgate", "ImportFile").unscoped.filter(upload__stored_by__isnull=False).update(marked=b"")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0023_login_outcomes_of_cards"),
        ("smartgate", "0013_changes_of_dropped_filings"),
    ]

    operations = [
        migrations.AddField(
            model_name="importedfiling",
            name="digest",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.CreateModel(
            name="StoredContents",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.CharField(max_length=64)),
                (
                    "enterprise",
                    models.ForeignKey(
                        db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.enterprise"
                    ),
                ),
                ("filing", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="smartgate.filing")),
            ],
            options={
                "verbose_name": "导入过的内容",
                "verbose_name_plural": "导入过的内容",
                "base_manager_name": "unscoped",
                "indexes": [models.Index(fields=["enterprise", "digest"], name="stored_contents")],
            },
            managers=[
                ("objects", django.db.models.manager.Manager()),
                ("unscoped", django.db.models.manager.Manager()),
            ],
        ),
        migrations.RunPython(forget_whole_sheets, migrations.RunPython.noop),
    ]
