"""Which names a monitor has to do with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin import system_names
from omero_fs_plugin.filters import Filter
from omero_fs_plugin.system_names import SystemName

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


@pytest.mark.parametrize(
    ("parent", "enters"),
    [("/data/a.zarr", False), ("/data/A.OME.ZARR", False), ("/data", True), ("/data/azarr", True)],
)
def test_the_directories_of_a_store_are_not_entered(parent: str, enters: bool) -> None:
    filtered = Filter(b"/data", blacklist=["*.zarr/*/"])
    assert filtered.directory(parent.encode(), b"0") is enters
    assert filtered.directory(b"/data", b"a.zarr")
    assert filtered.file(parent.encode(), b".zattrs")
    assert Filter(b"/data").directory(parent.encode(), b"0")


@pytest.mark.parametrize(
    ("directory", "name", "closes"),
    [
        ("/data/amy/plain", "zarr.json", True),
        ("/data/amy/plain/0", "zarr.json", True),
        ("/data/amy", "zarr.json", False),
        ("/data", "zarr.json", False),
        ("/data/amy/plain", "other.json", False),
        ("/data/amy/plain", "ZARR.JSON", False),
    ],
)
def test_a_file_says_that_no_directory_beside_it_is_entered(
    directory: str, name: str, closes: bool
) -> None:
    """As deep as the item says at least: a user's own directory is never a store."""
    filtered = Filter(b"/data", blacklist=["*/*/[zarr.json]/*/"])
    assert filtered.closes(directory.encode(), name.encode()) is closes
    assert filtered.directory(directory.encode(), b"0"), "only the disk knows of the file"
    assert filtered.file(directory.encode(), name.encode())


def test_blank_items_are_no_rules() -> None:
    passes = Filter(ROOT, whitelist=["", "  "], blacklist=["", "/"])
    assert passes.file(ROOT, b"a")
    assert passes.directory(ROOT, b"a")


@pytest.mark.parametrize(
    "name", [example for kind in system_names.FILES for example in kind.examples]
)
@pytest.mark.parametrize("change", [str, str.upper, str.lower])
def test_system_files(name: str, change: Callable[[str], str]) -> None:
    given = change(name).encode()
    assert not Filter(ROOT, ignore_sys_files=True).file(ROOT, given)
    assert Filter(ROOT).file(ROOT, given)


@pytest.mark.parametrize(
    "kind", [*system_names.FILES, *system_names.DIRECTORIES], ids=lambda kind: kind.pattern
)
def test_each_kind_of_system_name_matches_its_own_examples(kind: SystemName) -> None:
    for example in kind.examples:
        assert system_names.any_of((kind,)).match(example.casefold())


@pytest.mark.parametrize(
    "name",
    [
        "a.tif",
        "~data.tif",
        "party",
        "thumbs.db.tif",
        "4913",
        "a\n.tif",
        "a.tmpl",
        "scan.20241128",
        "cells.tif.20241128",
        "1.2.840.113619.2",
        "series.deadbeef",
        "a.tif.6EcE1dBa.tif",
        "tile.part.tif",
        "uploaded.tif",
        "a.sb-1.tif",
        "#1.tif",
        "a.aspx.tif",
        ".zattrs",
        ".zgroup",
        ".zarray",
        ".zmetadata",
    ],
)
def test_no_system_files(name: str) -> None:
    assert Filter(ROOT, ignore_sys_files=True).file(ROOT, name.encode())


@pytest.mark.parametrize(
    "name", [example for kind in system_names.DIRECTORIES for example in kind.examples]
)
@pytest.mark.parametrize("change", [str, str.upper, str.lower])
def test_system_directories_are_not_entered(name: str, change: Callable[[str], str]) -> None:
    given = change(name).encode()
    assert not Filter(ROOT, ignore_sys_files=True).directory(ROOT, given)
    assert Filter(ROOT).directory(ROOT, given)


@pytest.mark.parametrize("name", ["trashcan", "recycled polymers", "snapshot", "@home", "raw~1"])
def test_other_directories_are_entered(name: str) -> None:
    assert Filter(ROOT, ignore_sys_files=True).directory(ROOT, name.encode())


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


@given(
    st.sampled_from([(), ("tif",), ("sub/a.tif",)]),
    st.sampled_from([(), ("b.tif",), ("*.zarr/*/", "old/")]),
    st.lists(
        st.sampled_from([b"a.tif", b"b.tif", b".hidden", b"a.tif.part", b"c~"])
        | st.binary(min_size=1)
    ),
    st.booleans(),
)
def test_of_many_files_those_pass_that_pass_alone(
    whitelist: tuple[str, ...], blacklist: tuple[str, ...], names: list[bytes], system: bool
) -> None:
    passes = Filter(ROOT, whitelist=whitelist, blacklist=blacklist, ignore_sys_files=system)
    files = {name: number for number, name in enumerate(names)}
    before = dict(files)
    wanted = {name: number for name, number in files.items() if passes.file(ROOT, name)}
    passing = passes.passing(ROOT, files)
    assert passing == wanted and list(passing) == list(wanted)
    assert files == before and passing is not files  # it becomes the picture's own
