from django.db import migrations, models


class Migration(migrations.Migration):
    """业务数据统计 counts vehicles, too, from the index by time alone (docs/adr/0102)."""

    dependencies = [("smartgate", "0007_line_numbers")]

    operations = [
        migrations.RemoveIndex(model_name="filing", name="filing_by_time"),
        migrations.AddIndex(
            model_name="filing",
            index=models.Index(
                fields=["enterprise", "-entered_at", "-id"],
                include=["status", "customs_code", "business_type", "bind_key_type", "ie_flag", "bind_key_info"],
                condition=models.Q(("deleted_at__isnull", True)),
                name="filing_by_time",
            ),
        ),
    ]
