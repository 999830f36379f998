"""`komgick demo`: a fictional town with a month of history and a live day, on this machine only.

Owns: what the demo needs beside the real thing (its town, its clockwork, what it prints). Does not own: anything the
real thing does. Server, devices, import and derivation are those of production; only the tags are simulated.
"""
