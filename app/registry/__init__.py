"""Who and what exists, with validity; and the bundle: reader, writer, its columns.

Owns: the registry's tables, the format of the bundle. Does not own: statements (evidence), anything derived.
"""
