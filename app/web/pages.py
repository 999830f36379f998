"""How a screen is written: a template in the reader's language, Swedish unless she asks for English.

Texts are English in templates and scripts, and Swedish in `locale/sv/LC_MESSAGES/komgick.po`. A page carries the texts
of its script in a `<template>`, since scripts lie in files and are the same for everybody.
"""

from __future__ import annotations

import gettext
import io
from functools import lru_cache
from pathlib import Path

from babel import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

LANGUAGES = ("sv", "en")
STATIC = Path(__file__).parent / "static"
_HERE = Path(__file__).parent


def page(request: Request, screen: str, **values: object) -> HTMLResponse:
    """The screen's template in the language asked for: `?lang=` goes before the browser's own. `values`: what it shows
    beside its texts."""
    language = language_of(request)
    other = next(one for one in LANGUAGES if one != language)
    template = _environment(language).get_template(f"{screen}.html")
    content = template.render(lang=language, other=other, screen=screen, **values)
    return HTMLResponse(content, headers={"Cache-Control": "no-cache", "Vary": "Accept-Language"})


def language_of(request: Request) -> str:
    """`sv` or `en`; Swedish where neither is asked for."""
    asked = request.query_params.get("lang", "")
    if asked in LANGUAGES:
        return asked
    wanted = [part.partition(";")[0].strip() for part in request.headers.get("accept-language", "").split(",")]
    return negotiate_locale([one for one in wanted if one], list(LANGUAGES), sep="-") or "sv"


@lru_cache(maxsize=len(LANGUAGES))
def _environment(language: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts = _catalogue(language)
    environment.install_gettext_callables(texts.gettext, texts.ngettext, newstyle=True)  # type: ignore[attr-defined] # the i18n extension adds it
    return environment


def _catalogue(language: str) -> gettext.NullTranslations:
    """The texts of a language; English is what the templates say."""
    file = _HERE / "locale" / language / "LC_MESSAGES" / "komgick.po"
    if not file.exists():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
