"""Was it said? Statements of devices and of people: append-only, never changed.

Owns: every table of statements, signatures, chains, grades. Does not own: what follows from them (visits).
"""
