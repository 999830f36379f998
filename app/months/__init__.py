"""HOW MUCH? A client's month with a provider: ordered, executed, declined, reported, free and excess (DOMAIN.md 3).

Owns: month accounts and their ledgers, reasons' effect, closing, forecast, the explanation. Does not own: visits (the
stage below), money (the stage above).
"""
