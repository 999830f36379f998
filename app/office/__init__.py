"""What an office works with beside the river: imports under way, alerts to units, questions about what was paid.

Owns: these tables and how alerts leave the house. Does not own: any figure; nothing here changes a visit or an account.
"""
