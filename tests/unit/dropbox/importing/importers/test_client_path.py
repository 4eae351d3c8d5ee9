"""Client paths: as OMERO's own importer writes them."""

from __future__ import annotations

import pytest

from omero_fs_plugin.dropbox.importing.importers import client_path
from omero_fs_plugin.errors import ImportRefused


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data/amy/a.tif", "data/amy/a.tif"),
        ("//data///a.tif", "data/a.tif"),
        ("/d/tab\there\nline", "d/tab_here_line"),
        ('/d/a"b*c:d<e>f?g|h', "d/a'bxc;d[e]f%g!h"),
        ("/d/ünï 🔬.tif", "d/ünï 🔬.tif"),
        ("/d/\x7f", "d/_"),
        ("/d/..a/b..", "d/..a/b.."),
    ],
)
def test_names_are_made_safe(path: str, expected: str) -> None:
    assert client_path(path) == expected


@pytest.mark.parametrize("path", ["", "/", "a/b.tif", "/a/../b", "/..", "/a/./b"])
def test_what_omero_would_refuse_after_the_upload_is_refused_before(path: str) -> None:
    with pytest.raises(ImportRefused):
        client_path(path)
