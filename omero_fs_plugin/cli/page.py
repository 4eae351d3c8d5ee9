"""A page for a browser, in one file: it loads nothing, so it can be kept and sent.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxml import etree
from lxml.builder import ElementMaker

from omero_fs_plugin.names import printable

E: Any = ElementMaker()

_STYLE = """
:root { color-scheme: light dark; --bad: #b3261e; --line: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 75rem;
       padding: 0 1rem; }
h1 { font-size: 1.3rem; overflow-wrap: anywhere; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0;
         border-bottom: 1px solid var(--line); overflow-wrap: anywhere; min-width: 4rem; }
tr.bad td:first-child { color: var(--bad); font-weight: 600; }
figure { margin: 1.2rem 0; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; }
svg rect { fill: #3a7ca5; }
svg text { font-size: 11px; fill: currentColor; }
svg .axis { stroke: var(--line); fill: none; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; } }
"""


def page(title: str, sentences: Sequence[str], *parts: Any) -> str:
    """The whole page: its title, some paragraphs, and elements after them."""
    tree = E.html(
        E.head(
            E.meta(charset="utf-8"),
            E.meta(name="viewport", content="width=device-width, initial-scale=1"),
            E.title(printable(title)),
            E.style(_STYLE),
        ),
        E.body(
            E.h1(printable(title)),
            *(E.p(printable(sentence)) for sentence in sentences),
            *parts,
        ),
        lang="en",
    )
    text: bytes = etree.tostring(tree, method="html", encoding="utf-8", doctype="<!DOCTYPE html>")
    return text.decode()


def rows_of(headings: Sequence[str], rows: Sequence[Sequence[str]], bad: Sequence[bool]) -> Any:
    """A table; `bad` says which rows stand out."""
    body = [
        E.tr(*(E.td(printable(cell)) for cell in row), **({"class": "bad"} if stands_out else {}))
        for row, stands_out in zip(rows, bad, strict=True)
    ]
    head = E.thead(E.tr(*(E.th(heading) for heading in headings)))
    return E.div(E.table(head, E.tbody(*body)), **{"class": "wide"})
