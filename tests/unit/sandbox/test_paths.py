"""Client paths: sanitised, trimmed, and never out of the repository."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omero_fs_plugin.sandbox.paths import (
    below,
    components,
    leads_elsewhere,
    new_directory,
    safe_component,
    trimmed,
)


def test_components_are_sanitised_one_by_one() -> None:
    assert components("a/b\n\x7f\x85c//<d>:*?|\"'.tif") == ["a", "b___c", "[d];x%!''.tif"]
    assert components("Zellen \u00e4\u65e5\u672c\u8a9e/\\ -rf $(x)`.tif") == [
        "Zellen \u00e4\u65e5\u672c\u8a9e",
        "\\ -rf $(x)`.tif",
    ]


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
