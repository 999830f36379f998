"""A kind of import-linter contract of our own: some modules may import nothing but what is listed.

The forbidden contract must name every module that is not allowed, and those unborn are errors there; this one says the
rule as ARCHITECTURE says it: "rules import only facts, policies, core".
"""

from __future__ import annotations

import re
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class OnlyContract(Contract):
    """`modules` (`*` stands for one part of a name) import only `allowed`, their own, and libraries not forbidden."""

    type_name = "only"

    modules = fields.ListField(subfield=fields.StringField())
    allowed = fields.ListField(subfield=fields.StringField())
    forbidden_libraries = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 -- the signature is the library's
        """Every import that is not allowed, as (importer, imported)."""
        options: dict[str, Any] = self.contract_options
        sources = [re.compile(name.replace(".", r"\.").replace("*", r"\w+") + r"(\.|$)") for name in options["modules"]]
        allowed, libraries = options["allowed"], options.get("forbidden_libraries", [])
        broken: list[tuple[str, str]] = []
        for importer in sorted(graph.modules):
            stage = next((match.group(0).rstrip(".") for source in sources if (match := source.match(importer))), None)
            if stage is None:
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                ours = imported.split(".")[0] in {"app", "device_agent"}
                fine = any(imported == name or imported.startswith(f"{name}.") for name in (*allowed, stage))
                if (ours and not fine) or (not ours and imported.split(".")[0] in libraries):
                    broken.append((importer, imported))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line an import."""
        for importer, imported in check.metadata["broken"]:
            output.print_error(f"{importer} imports {imported}, which is not allowed")
