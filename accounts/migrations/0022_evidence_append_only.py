"""Evidence of signatures is only ever added to: the database itself refuses whatever would change or remove it (CARD-07)."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION accounts_evidence_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'evidence of signatures is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER evidence_append_only_rows BEFORE UPDATE OR DELETE ON accounts_signatureevidence
    FOR EACH ROW EXECUTE FUNCTION accounts_evidence_append_only();
CREATE TRIGGER evidence_append_only_truncate BEFORE TRUNCATE ON accounts_signatureevidence
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_evidence_append_only();
CREATE TRIGGER revocation_proof_append_only_rows BEFORE UPDATE OR DELETE ON accounts_revocationproof
    FOR EACH ROW EXECUTE FUNCTION accounts_evidence_append_only();
CREATE TRIGGER revocation_proof_append_only_truncate BEFORE TRUNCATE ON accounts_revocationproof
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_evidence_append_only();
"""
BACKWARD = """
DROP TRIGGER revocation_proof_append_only_truncate ON accounts_revocationproof;
DROP TRIGGER revocation_proof_append_only_rows ON accounts_revocationproof;
DROP TRIGGER evidence_append_only_truncate ON accounts_signatureevidence;
DROP TRIGGER evidence_append_only_rows ON accounts_signatureevidence;
DROP FUNCTION accounts_evidence_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0021_bound_cards_and_evidence")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
