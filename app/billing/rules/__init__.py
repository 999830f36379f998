"""Pure rules of money. Öre are whole; they are rounded in `lines.py` and nowhere else, once per line."""
