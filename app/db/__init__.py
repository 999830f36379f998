"""PostgreSQL: the embedded server, pools per class of caller, walls between providers, migrations.

Owns: connections, logins, grants, row-level security, the schema's version. Does not own: any table of a stage.
"""
