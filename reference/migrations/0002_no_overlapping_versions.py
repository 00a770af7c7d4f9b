"""Let the database itself refuse two versions of one code, or of one element, that hold on the same day.

An exclusion constraint would need the extension btree_gist; a statement trigger needs core PostgreSQL only and looks at all
rows of a bulk load in one join. The join is planned anew each time (EXECUTE): a plan made for a table of ten rows and kept for
the session turns the next load of thirty thousand into hours.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION {table}_refuse_overlap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    clash text;
BEGIN
    EXECUTE $query$
        SELECT concat_ws(' ', {columns})
        FROM changed JOIN {table} other ON {same} AND other.id <> changed.id
            AND daterange(other.valid_from, other.valid_to) && daterange(changed.valid_from, changed.valid_to)
        LIMIT 1
    $query$ INTO clash;
    IF clash IS NOT NULL THEN
        RAISE EXCEPTION 'versions of % overlap', clash USING ERRCODE = 'exclusion_violation', CONSTRAINT = '{table}_no_overlap';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER {table}_no_overlap_insert AFTER INSERT ON {table}
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse_overlap();
CREATE TRIGGER {table}_no_overlap_update AFTER UPDATE ON {table}
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse_overlap();
"""

REVERSE = """
DROP TRIGGER {table}_no_overlap_insert ON {table};
DROP TRIGGER {table}_no_overlap_update ON {table};
DROP FUNCTION {table}_refuse_overlap();
"""


def guard(table: str, *key: str) -> migrations.RunSQL:
    columns = ", ".join(f"changed.{column}" for column in key)
    same = " AND ".join(f"other.{column} = changed.{column}" for column in key)
    return migrations.RunSQL(FUNCTION.format(table=table, columns=columns, same=same), REVERSE.format(table=table))


class Migration(migrations.Migration):
    dependencies = [("reference", "0001_initial")]

    operations = [
        guard("reference_code", "table_id", "code"),
        guard("reference_declarationelement", "prefix", "name"),
    ]
