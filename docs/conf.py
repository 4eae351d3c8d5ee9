"""The documentation site: `make docs` builds it, and each warning is an error.

The pages link to each other by file, as in ``targets.rst``, so that they can be read in the
repository too.  Here such a link becomes one between pages of the site, and is checked as such.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util import logging

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
sys.path.insert(0, str(CHECKOUT))

from omero_fs_plugin import __version__  # noqa: E402

project = "OMERO.fs"
author = "the authors of omero-fs-plugin"
project_copyright = "the authors of omero-fs-plugin; GPL, version 2 or later"
version = release = __version__
html_theme = "furo"
html_title = f"OMERO.fs {version}"
html_copy_source = False
html_show_sphinx = False
extensions: list[str] = []
exclude_patterns = ["_build"]
# The examples are commands and their output; nothing in them is to be coloured.
highlight_language = "none"
pygments_style = "sphinx"
smartquotes = False
nitpicky = True
linkcheck_timeout = 20  # s
linkcheck_retries = 2
# Examples: nothing is to answer there.
linkcheck_ignore = [
    r"https?://(127\.0\.0\.1|localhost)\b",
    r"https?://([^/]+\.)?example\.(org|com)\b",
]

log = logging.getLogger(__name__)

# Files above docs/ that are pages of the site.
_ABOVE = {
    "README.rst": "installation",
    "CONTRIBUTING.rst": "contributing",
    "CHANGELOG.rst": "changes",
}


def _page(target: str, source: Path) -> str | None:
    """The page that a link to the file `target` leads to; None if it is no page of the site.

    `source` is the file that has the link: an included file lies above docs/.
    """
    path = (source.parent / target).resolve()
    if path.suffix != ".rst":
        return None
    if path.parent == HERE:
        return path.stem
    return _ABOVE.get(path.name) if path.parent == CHECKOUT else None


def _between_pages(app: Any, tree: nodes.document) -> None:
    """Makes links between files links between pages."""
    docname = app.env.docname
    for link in list(tree.findall(nodes.reference)):
        target = link.get("refuri", "")
        file, _, anchor = target.partition("#")
        if not file or re.match(r"[a-z]+:", target):
            continue
        source = Path(link.source or tree["source"])
        source = source if source.is_absolute() else HERE / source
        # A page that includes one of the files above docs/ has its links too.
        page = _page(file, source) or _page(file, CHECKOUT / "README.rst")
        if page is None:
            if not (source.parent / file).exists() and not (CHECKOUT / file).exists():
                log.warning("a link to %s, which is not there", file, location=link)
            link.replace_self(nodes.literal("", link.astext()))
            continue
        words = link.astext()
        if words.endswith(".rst") and not anchor:
            words = ""  # the page's title says more
        found = pending_xref(
            "",
            refdoc=docname,
            refdomain="std",
            reftype="doc",
            reftarget=f"/{page}",
            refexplicit=bool(words),
            refwarn=True,
        )
        found.source, found.line = link.source, link.line
        found += nodes.inline("", words or page, classes=["doc"])
        link.replace_self(found)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx calls it."""
    app.connect("doctree-read", _between_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
