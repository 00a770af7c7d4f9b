"""业务数据统计 (M4 §3.2, SGW-09): how many filings, by day, customs district, business type, state and vehicle."""
