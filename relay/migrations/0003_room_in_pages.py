"""Half of each page is left for the new versions of its rows, and rare rows are found by an index (docs/adr/0098)."""

from django.db import migrations, models

_TABLES = ("relay_outboundmessage", "relay_inboundmessage")


class Migration(migrations.Migration):
    dependencies = [
        ("relay", "0002_operations"),
    ]

    operations = [
        migrations.RunSQL(
            [f"ALTER TABLE {table} SET (fillfactor = 50)" for table in _TABLES],
            [f"ALTER TABLE {table} RESET (fillfactor)" for table in _TABLES],
        ),
        migrations.AddIndex(
            model_name="inboundmessage",
            index=models.Index(condition=models.Q(("state", "discarded")), fields=["received_at", "id"], name="relay_in_discarded"),
        ),
        migrations.AddIndex(
            model_name="inboundmessage",
            index=models.Index(
                condition=models.Q(("reason_code", ""), _negated=True), fields=["reason_code", "received_at", "id"], name="relay_in_reason"
            ),
        ),
    ]
