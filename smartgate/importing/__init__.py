"""批量导入 (SGW-10): workbooks of filings checked by the page's own forms, handed back with what is wrong, stored as drafts all at once."""
