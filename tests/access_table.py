"""The table of routes and roles in the README, from the routes' own declarations: `python -m tests.access_table`."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from app.access.principals import ROLES, SIGNED_IN
from app.api.access import Access, routes_of
from app.main import ROUTERS

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- routes and roles: begin -->", "<!-- routes and roles: end -->"
_WHO = {ROLES: "all people in a role", ROLES | {SIGNED_IN}: "all people"}


def access_table() -> str:
    """Markdown: one line a route, its roles, how far they see, what is noted in the read log, whether it steps up."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for router in ROUTERS:
        app.include_router(router)
    lines = ["| Route | Who | Sees | Read log | Step-up |", "|---|---|---|---|---|"]
    for method, path, declaration in routes_of(app):
        route = f"`{method} {path.removeprefix('/api/v1')}`"
        if isinstance(declaration, Access):
            who = _WHO.get(declaration.roles) or ", ".join(sorted(declaration.roles))
            fresh = "yes" if declaration.fresh else ""
            lines.append(f"| {route} | {who} | {declaration.tenant} | {declaration.reads} | {fresh} |")
        else:
            lines.append(f"| {route} | {declaration} | | | |")
    return "\n".join(lines)


def with_table(readme: str) -> str:
    """The README with the table of today between the marks; added at the end where they are missing."""
    before, begin, rest = readme.partition(BEGIN)
    if not begin:
        before, rest = f"{readme.rstrip()}\n\n## Routes and roles\n\n", f"{END}\n"
    return f"{before}{BEGIN}\n{access_table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text("utf-8")), "utf-8")
