"""Client paths: sanitised, trimmed, and never out of the repository."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omero
from omero_fs_plugin.sandbox.paths import (
    PATH_RULES_DEFAULT,
    below,
    check_names,
    components,
    leads_elsewhere,
    new_directory,
    safe_component,
    trimmed,
)


def test_components_are_those_that_are_there() -> None:
    assert components("a//b:c/d\\e.tif/") == ["a", "b:c", "d\\e.tif"]
    assert components("a/../b/./c\0d") == ["a", "__", "b", "_", "c_d"]


@pytest.mark.parametrize(
    ("path", "rules", "illegal"),
    [
        ("a/con.tif", PATH_RULES_DEFAULT, ([], ["CON."], [], [])),
        ("aux/b.tif", PATH_RULES_DEFAULT, ([], [], [], ["AUX"])),
        ("$a/b?.tif", PATH_RULES_DEFAULT, ([63], ["$"], [], [])),
        ("a\n.tif", "UNIX required", ([10], [], [], [])),
        (".a/b.", "UNIX optional,Windows optional", ([], ["."], ["."], [])),
        ("-a", "local optional", ([], ["-"], [], [])),
    ],
)
def test_a_name_against_the_rules_is_refused(
    path: str, rules: str, illegal: tuple[list[Any], ...]
) -> None:
    with pytest.raises(omero.FilePathNamingException, match="illegal file path") as refused:
        check_names(path, rules)
    told = refused.value
    assert told.illegalFilePath == path
    assert illegal == (
        told.illegalCodePoints,
        told.illegalPrefixes,
        told.illegalSuffixes,
        told.illegalNames,
    )


def test_what_the_rules_do_not_name_is_taken() -> None:
    check_names("con.tif/$a?b", "UNIX required")
    check_names(".a/-b/c.", PATH_RULES_DEFAULT)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_a_safe_component_is_one_name_on_disk(text: str) -> None:
    safe = safe_component(text)
    assert "/" not in safe and "\0" not in safe and safe not in (".", "..")
    assert len(safe.encode()) <= len(text.encode())
    assert safe_component(safe) == safe


@given(st.text(alphabet="./ab", max_size=12))
def test_no_client_path_leaves_the_repository(path: str) -> None:
    root = Path("/repository/root")
    for name in trimmed([path], reader=""):
        assert root in below(root, "amy_2/" + name).parents


@pytest.mark.parametrize(
    ("reader", "paths", "expected"),
    [
        ("loci.formats.in.DicomReader", ["home/amy/a.dcm"], ["a.dcm"]),
        ("", ["a.dcm"], ["a.dcm"]),
        ("", ["r/home/amy/data/a.dcm"], ["home/amy/data/a.dcm"]),
        ("R", ["d/x/1.tif", "d/y/1.tif"], ["x/1.tif", "y/1.tif"]),
        ("", ["1/2/3/4/x/1.tif", "1/2/3/4/2.tif"], ["2/3/4/x/1.tif", "2/3/4/2.tif"]),
        ("R", ["d/x/1.tif", "d/x"], ["x/1.tif", "x"]),
        ("", [""], [""]),
    ],
)
def test_parents_are_trimmed(reader: str, paths: list[str], expected: list[str]) -> None:
    assert trimmed(paths, reader=reader) == expected


def test_dots_lead_elsewhere() -> None:
    assert leads_elsewhere("../..") and leads_elsewhere("a/./b")
    assert not leads_elsewhere("a/..b/c...")


def test_every_fileset_gets_a_directory_of_its_own(tmp_path: Path) -> None:
    now = datetime(2026, 11, 3, 8, 5, 9, 7000)
    assert new_directory(tmp_path, "a/m<y", 7, now) == "a_m[y_7/2026-11/03/08-05-09.007/"
    assert new_directory(tmp_path, "a/m<y", 7, now) == "a_m[y_7/2026-11/03/08-05-09.007_1/"
    assert (tmp_path / "a_m[y_7/2026-11/03/08-05-09.007_1").is_dir()


@pytest.mark.parametrize("path", ["..", "a/../..", "/../x", "../rootless"])
def test_below_refuses_what_is_outside(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="outside"):
        below(tmp_path / "root", path)
