"""The database counts what there is to tell of a filing that came by the drop folder: nothing that changes one can forget to (docs/adr/0114)."""

from django.db import migrations, models

NUMBERED = """
UPDATE smartgate_droppedfiling AS dropped
   SET told = dropped.told_version + dropped.told_receipts,
       changes = filing.lock_version + (SELECT count(*) FROM smartgate_filingreceipt AS receipt WHERE receipt.filing_id = filing.id)
  FROM smartgate_filing AS filing
 WHERE filing.id = dropped.filing_id;
"""
#: Backwards, what was not told by then is told as soon as it changes again.
TOLD = """
UPDATE smartgate_droppedfiling AS dropped
   SET told_version = filing.lock_version,
       told_receipts = (SELECT count(*) FROM smartgate_filingreceipt AS receipt WHERE receipt.filing_id = filing.id)
  FROM smartgate_filing AS filing
 WHERE filing.id = dropped.filing_id;
"""
COUNTING = """
CREATE FUNCTION smartgate_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    IF TG_TABLE_NAME = 'smartgate_filing' THEN
        changed := NEW.id;
    ELSE
        changed := NEW.filing_id;
    END IF;
    UPDATE smartgate_droppedfiling SET changes = changes + 1 WHERE filing_id = changed;
    RETURN NULL;
END $$;
CREATE TRIGGER filing_count_change AFTER UPDATE OF lock_version ON smartgate_filing
    FOR EACH ROW WHEN (OLD.lock_version <> NEW.lock_version) EXECUTE FUNCTION smartgate_count_change();
CREATE TRIGGER filing_receipt_count_change AFTER INSERT ON smartgate_filingreceipt
    FOR EACH ROW EXECUTE FUNCTION smartgate_count_change();
"""
NOT_COUNTING = """
DROP TRIGGER filing_receipt_count_change ON smartgate_filingreceipt;
DROP TRIGGER filing_count_change ON smartgate_filing;
DROP FUNCTION smartgate_count_change();
"""


class Migration(migrations.Migration):
    dependencies = [("smartgate", "0012_versions")]

    operations = [
        migrations.AddField("droppedfiling", "changes", models.PositiveIntegerField(default=1)),
        migrations.AddField("droppedfiling", "told", models.PositiveIntegerField(default=1)),
        migrations.RunSQL(NUMBERED, TOLD),
        migrations.RemoveField("droppedfiling", "told_version"),
        migrations.RemoveField("droppedfiling", "told_receipts"),
        migrations.AddIndex(
            "droppedfiling",
            models.Index(fields=["enterprise", "id"], condition=models.Q(told__lt=models.F("changes")), name="dropped_filing_news"),
        ),
        migrations.RunSQL(COUNTING, NOT_COUNTING),
    ]
