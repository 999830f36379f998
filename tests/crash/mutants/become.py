"""How a fault takes the place of a part of the product, in this process only."""

from __future__ import annotations

from typing import Any


def become(owner: Any, **changed: Any) -> None:
    """Replace functions of a module, or methods of a class, by name."""
    for name, value in changed.items():
        if not hasattr(owner, name):
            raise AttributeError(f"{owner} has no {name} any more: this mutant no longer is one")
        setattr(owner, name, value)
