"""DOOR for machines: devices, neighbouring systems, operators. One file per resource.

Owns: HTTP forms and statuses. Reads through `<stage>/store.py`, writes only through `pipeline.py`.
"""
