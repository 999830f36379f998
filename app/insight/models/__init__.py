"""Model files that come with the program; a municipality's own are files of its own."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from app.refusals import NotFound


def model_names() -> list[str]:
    """The built-in models."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in files(__name__).iterdir() if entry.name.endswith(".toml")
    )


def model_text(name: str) -> str:
    """The TOML of a built-in model by name, or of a file by path. NotFound with the names there are."""
    if name in model_names():
        return (files(__name__) / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name)
    if not path.is_file():
        raise NotFound(f"there is no model file {name!r}; built in: {', '.join(model_names())}")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"the model file {name!r} cannot be read: {error}") from error
