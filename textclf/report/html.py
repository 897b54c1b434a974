"""The HTML templates, and how they escape what they are given."""

from functools import cache
from pathlib import Path

import jinja2

from textclf.io.sanitize import printable

TEMPLATES = Path(__file__).parent / "templates"


@cache
def page_environment() -> jinja2.Environment:
    """How every page is written: escaped, and with a mark in place of what cannot be seen."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["shown"] = lambda text: printable(" ".join(str(text).split()))
    return environment
