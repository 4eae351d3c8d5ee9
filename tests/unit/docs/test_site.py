"""The documentation site: it is built without a warning, and its links lead somewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import CHECKOUT

DOCS = CHECKOUT / "docs"
pytest.importorskip("sphinx", reason="`make test-packages` installs it")


def build(source: Path, to: Path, *more: str) -> subprocess.CompletedProcess[str]:
    options = ("-b", "html", "-W", "--keep-going", "-q", *more)
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(source), str(to)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("site")
    done = build(DOCS, to, "-d", str(tmp_path_factory.mktemp("doctrees")))
    assert done.returncode == 0, done.stderr
    return to


def test_every_page_is_there(site: Path) -> None:
    for page in DOCS.glob("*.rst"):
        assert (site / f"{page.stem}.html").is_file(), page.name


def test_the_readme_names_every_page() -> None:
    """But those that the site makes from the README and from files beside it."""
    made = {"index", "installation", "changes", "contributing"}
    readme = (CHECKOUT / "README.rst").read_text(encoding="utf-8")
    assert [
        page.name
        for page in sorted(DOCS.glob("*.rst"))
        if page.stem not in made and f"<docs/{page.name}>`_" not in readme
    ] == []


def test_links_between_files_lead_to_pages(site: Path) -> None:
    pages = list(site.glob("*.html"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert 'href="targets.html"' in text and 'href="contributing.html"' in text
    left = [page.name for page in pages if '.rst"' in page.read_text(encoding="utf-8")]
    assert left == [], "links to files of the repository, which the site has not"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("`gone.rst <gone.rst>`_", "unknown document: '/gone'"),
        ("`x <../nowhere/x.txt>`_", "x.txt, which is not there"),
        (":doc:`gone`", "unknown document"),
        ("`Nowhere`_", "Unknown target name"),
    ],
)
def test_a_link_to_nowhere_is_found(tmp_path: Path, line: str, told: str) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(DOCS / "conf.py", docs)
    (docs / "index.rst").write_text(f"Title\n=====\n\n{line}\n", encoding="utf-8")
    done = build(docs, tmp_path / "site", "-D", "html_theme=basic")
    assert done.returncode != 0
    assert told in done.stderr
