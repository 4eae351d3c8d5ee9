"""Names and reasons that users choose are text in the HTML pages, and nothing else."""

from __future__ import annotations

import pytest
from lxml import html

from omero_fs_plugin.cli import receipt_text, report_text
from omero_fs_plugin.cli.report_facts import facts
from omero_fs_plugin.dropbox.receipts.proof import Proof

NAMES = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]><style>*{display:none}</style>",
    "</table></body>",
    "a\x1b[31m\x00\nb",
    "byte \udcff",
    "\u202etif.exe",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_adds_nothing_to_a_page(name: str) -> None:
    def pages(it: str) -> list[str]:
        proof = Proof(f"/drop/amy/{it}", why_not=f"{it} differs")
        told = facts([], 0.0, 3600.0)
        return [
            report_text.as_html(told, [(f"/drop/{it}", f"{it} differs")], f"of {it}"),
            receipt_text.as_html([proof], {1: (it, it)}, [f"/drop/{it}"]),
        ]

    for page, plain in zip(pages(name), pages("plain"), strict=True):
        page.encode("utf-8")  # it can be written
        assert not set(page) & set("\x00\x1b\u202e")
        tags = [[one.tag for one in html.fromstring(text).iter()] for text in (page, plain)]
        assert tags[0] == tags[1]
