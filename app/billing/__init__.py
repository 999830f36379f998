"""WHAT IS OWED? Billing lines and the basis of client fees from month accounts (DOMAIN.md 5).

Owns: prices applied to minutes, rounding of money, lines, control totals, statements. Does not own: how many minutes
there are (the months below), the fee itself (another system's).
"""
