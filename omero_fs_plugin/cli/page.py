"""A page for a browser, in one file: it loads nothing, so it can be kept and sent.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxml import etree
from lxml.builder import ElementMaker

from omero_fs_plugin.names import printable

E: Any = ElementMaker()

# On a narrow screen, a table becomes a list: each cell stands below the other, with its heading.
_STYLE = """
:root { color-scheme: light dark; --bad: #b3261e; --line: #8886; --bar: #3a7ca5;
        --dim: #636363; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 75rem;
       padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; line-height: 1.25; }
h2 { font-size: 1.15rem; margin: 1.8rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0;
         border-bottom: 1px solid var(--line); min-width: 4rem; }
td:last-child { min-width: 14rem; }
td.number { white-space: nowrap; }
tr.bad td:first-child { color: var(--bad); font-weight: 600; }
table.figures { width: auto; }
table.figures td:last-child { min-width: 4rem; }
table.figures :is(th, td):not(:first-child) { text-align: right; overflow-wrap: normal; }
figure { margin: 1.8rem 0; }
figcaption { font-weight: 600; margin-bottom: .4rem; }
div.plot { display: grid; grid-template-columns: auto 1fr; gap: .2rem .6rem; font-size: 13px;
           overflow-wrap: normal; }
div.scale { display: flex; flex-direction: column; justify-content: space-between;
            text-align: right; white-space: nowrap; }
svg { display: block; width: 100%; height: 10rem; border-bottom: 1px solid var(--line); }
svg rect { fill: var(--bar); }
div.times { grid-column: 2; position: relative; height: 1.4em; white-space: nowrap; }
div.times span { position: absolute; transform: translateX(-50%); }
div.times span:first-child { transform: none; }
div.times span:last-child:not(:first-child) { transform: translateX(-100%); }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --bar: #62a9d4; --dim: #aaa; } }
@media (max-width: 44rem) {
  table:not(.figures) thead { display: none; }
  table:not(.figures) :is(tr, td) { display: block; }
  table:not(.figures) tr { border-bottom: 1px solid var(--line); padding: .4rem 0; }
  table:not(.figures) td { border: 0; padding: 0; }
  table:not(.figures) td:not(:empty)[data-heading]::before { content: attr(data-heading) ": ";
    font-weight: 400; color: var(--dim); }
  table.figures :is(th, td) { padding-right: .5rem; min-width: 0; }
  div.times span:nth-child(even) { display: none; }
}
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


def rows_of(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    bad: Sequence[bool],
    *,
    figures: bool = False,
) -> Any:
    """A table; `bad` says which rows stand out.

    With `figures`, all columns but the first have numbers, and it stays a table on narrow screens.
    """
    body = [
        E.tr(*map(_cell, headings, row), **({"class": "bad"} if stands_out else {}))
        for row, stands_out in zip(rows, bad, strict=True)
    ]
    head = E.thead(E.tr(*(E.th(heading) for heading in headings)))
    return E.table(head, E.tbody(*body), **({"class": "figures"} if figures else {}))


def _cell(heading: str, text: str) -> Any:
    named = {"data-heading": heading} if heading else {}
    number = {"class": "number"} if text.replace(",", "").isdigit() else {}
    return E.td(printable(text), **named, **number)
