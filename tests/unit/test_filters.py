"""Which names a monitor has to do with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.filters import Filter

ROOT = b"/data/Root"


@pytest.mark.parametrize(
    ("rule", "name", "passes"),
    [
        (".tif", b"a.tif", True),
        ("tif", b"a.TIF", True),
        ("*.TIF", b"a.tif", True),
        (".ome.tiff", b"a.ome.tiff", True),
        (".ome.tiff", b"a.tiff", False),
        ("tif", b"atif", False),
        ("tif", b"tif", True),
        ("image.dcm", b"IMAGE.DCM", True),
        ("image.dcm", b"other.dcm", False),
        ("/data/root/sub/a.x", b"a.x", True),
        ("sub/a.x", b"a.x", True),
        ("other/a.x", b"a.x", False),
        ("ÄÖ.tif", "äö.tif".encode(), True),
        ("tif", b"\xff.tif", True),
    ],
)
def test_whitelist(rule: str, name: bytes, passes: bool) -> None:
    assert Filter(ROOT, whitelist=[rule]).file(ROOT + b"/sub", name) is passes


@pytest.mark.parametrize(
    ("rule", "file", "directory"),
    [
        ("scratch", False, False),
        ("Scratch/", True, False),
        ("*.scratch", True, True),
        ("/data/root/scratch", False, False),
        ("sub/scratch", True, True),
    ],
)
def test_blacklist(rule: str, file: bool, directory: bool) -> None:
    passes = Filter(ROOT, blacklist=[rule])
    assert passes.file(ROOT, b"SCRATCH") is file
    assert passes.directory(ROOT, b"SCRATCH") is directory


def test_blacklist_wins_and_the_whitelist_is_of_files_only() -> None:
    passes = Filter(ROOT, whitelist=["tif"], blacklist=["bad.tif"])
    assert passes.file(ROOT, b"good.tif")
    assert not passes.file(ROOT, b"bad.tif")
    assert passes.directory(ROOT, b"anything")


def test_blank_items_are_no_rules() -> None:
    passes = Filter(ROOT, whitelist=["", "  "], blacklist=["", "/"])
    assert passes.file(ROOT, b"a")
    assert passes.directory(ROOT, b"a")


@pytest.mark.parametrize(
    "name",
    [
        b".hidden",
        b".DS_Store",
        b"._a.tif",
        b".a.tif.x7Y2k1",
        b"a.tif~",
        b"#a.tif#",
        b"~$report.docx",
        b"a.tif.part",
        b"a.tif.filepart",
        b"a.crdownload",
        b"A.TMP",
        b"Thumbs.db",
        b"desktop.ini",
    ],
)
def test_system_files(name: bytes) -> None:
    assert not Filter(ROOT, ignore_sys_files=True).file(ROOT, name)
    assert Filter(ROOT).file(ROOT, name)


@pytest.mark.parametrize(
    "name", [b"a.tif", b"~data.tif", b"party", b"thumbs.db.tif", b"4913", b"a\n.tif", b"a.tmpl"]
)
def test_no_system_files(name: bytes) -> None:
    assert Filter(ROOT, ignore_sys_files=True).file(ROOT, name)


def test_system_directories_are_not_entered() -> None:
    passes = Filter(ROOT, ignore_sys_files=True)
    for name in (b".snapshot", b"$RECYCLE.BIN", b"System Volume Information", b"lost+found"):
        assert not passes.directory(ROOT, name)


@pytest.mark.parametrize("name", [b"New Folder", b"New folder (2)", b"untitled folder 3"])
def test_a_new_folder_is_entered_and_not_told(name: bytes) -> None:
    passes = Filter(ROOT, ignore_sys_files=True)
    assert passes.directory(ROOT, name)
    assert not passes.directory_event(name)
    assert Filter(ROOT).directory_event(name)
    assert passes.directory_event(b"New folder of mine")


@given(st.lists(st.text()), st.lists(st.text()), st.binary(min_size=1), st.booleans())
def test_any_rules_and_any_name(
    whitelist: list[str], blacklist: list[str], name: bytes, system: bool
) -> None:
    passes = Filter(ROOT, whitelist=whitelist, blacklist=blacklist, ignore_sys_files=system)
    assert passes.file(ROOT, name) in (True, False)
    assert passes.directory(ROOT, name) in (True, False)
