"""WHAT DOES IT SHOW? Continuity, quality, premium, shadow runs, irregularities (DOMAIN.md 5, 6, 7).

Computed at read, never writes. Owns: measures, figures and their pictures. Does not own: visits, minutes, money that is
paid. Everything here is a function of visits and registry; `store.py` alone asks the database.
"""
