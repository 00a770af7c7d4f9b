"""批量申报 (SGW-10): many drafts declared with one entry of the card's PIN, each signed and sent by itself (docs/adr/0104)."""
