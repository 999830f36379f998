"""Every file and column of the bundle, once: the reader, the staging tables, the writer and datapackage.json use this.

A column's name is its name in the database too. Order of FILES is the order in which they can be stored.
"""

from __future__ import annotations

from app.registry.bundle.parts import Column, File, Period, Rule
from app.registry.bundle.registry_files import REGISTRY_FILES
from app.registry.bundle.statement_files import FORKS_FILE, STATEMENT_FILES, TAPS_FILE

__all__ = [
    "BY_NAME", "DESCRIPTION", "FILES", "FORKS_FILE", "POLICIES", "RECEIPTS", "REGISTRY_FILES", "STATEMENT_FILES",
    "TAPS_FILE", "Column", "File", "Period", "Rule",
]  # fmt: skip

FILES: tuple[File, ...] = (*REGISTRY_FILES, TAPS_FILE, FORKS_FILE, *STATEMENT_FILES)
BY_NAME = {file.name: file for file in FILES}
# Beside the CSV files: the description (ignored when read), dated policies, what only `verify` and a full copy need.
DESCRIPTION, POLICIES, RECEIPTS = "datapackage.json", "policies.toml", "receipts.jsonl"
