"""常用车辆 and 常用提单: what an enterprise enters once and is offered while it fills in filings (SGW-11, docs/adr/0106)."""
