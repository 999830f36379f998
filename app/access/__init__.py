"""Who is asking and what they may: people, roles, sessions, factors, machines, the logs. Knows ids only, no registry.

Owns: who a credential belongs to, how it was proved, what was changed and read by whom. Does not own: which rows exist
(registry), what a route shows (api), the walls themselves (db.walls).
"""
