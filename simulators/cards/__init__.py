"""Cards without hardware: a test authority, software card files, and a PIV card behind vsmartcard-vpcd (README.md)."""
