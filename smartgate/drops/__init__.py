"""Drafts from other software (SGW-10): files in a directory for each enterprise, answered in files (docs/protocol/drop-folder.md)."""
