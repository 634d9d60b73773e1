"""Pages in Jinja2: what every page shares (base, style, macros of parts and drawings), and what renders them, escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

from keepwell.web.figures import FILTERS, Filter

STYLE: Final = "style.css"
PLAIN: Final = (".txt", ".md")
"""Endings of templates that are no HTML, so that nothing in them is escaped."""


def environment(package: str, filters: Mapping[str, Filter], **known: object) -> Environment:
    """Renders the templates in the folder `pages` of a package, and under `web/` those that all pages share.

    Every value is escaped in HTML, and one that a template names and nobody gives is an error. `filters` turn figures into
    words, beside those of `keepwell.web.figures`; `known` are values and functions that every template may name.
    """
    shared = PrefixLoader({"web": PackageLoader("keepwell.web", "pages")})
    found = Environment(
        loader=ChoiceLoader([shared, PackageLoader(package, "pages")]),
        autoescape=lambda name: name is None or not name.endswith(PLAIN),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters |= {**FILTERS, **filters}
    found.globals |= {"style": style(), "style_hash": style_hash()} | known
    return found


@cache
def style() -> str:
    """The style of every page: light, dark or on paper. It asks no other host for anything."""
    return files("keepwell.web.pages").joinpath(STYLE).read_text(encoding="utf-8")


def style_hash() -> str:
    """The source of the style for `style-src`, where a page holds it: no other style, and no script, is then applied."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
