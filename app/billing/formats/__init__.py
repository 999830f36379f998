"""How lines and statements are written: CSV, JSON, XLSX. No figure is computed here."""
