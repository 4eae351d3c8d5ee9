"""The sidecar: what it says, how several are merged, and what is wrong with one, in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.targets.sidecar import (
    FILE,
    MAX_BYTES,
    Sidecar,
    is_sidecar,
    read,
    understand,
)
from omero_fs_plugin.errors import ConfigurationError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "amy"
    (made / "a" / "b").mkdir(parents=True)
    return made


def put(directory: Path, text: str) -> None:
    (directory / FILE).write_text(text, encoding="utf-8")


def of(root: Path, *parts: str) -> Sidecar:
    return read(str(root), str(root.joinpath(*parts, "x.tif")))


WHOLE = """
target = "Project:name:{dir1}/Dataset:name:{dir2}"
group = "lab"
name = "cells"
description = '''
two
lines'''
tags = ["mitosis", " HeLa ", "mitosis"]
[key_value]
Stain = "DAPI"
Passage = 12
Fixed = true
"Day of month" = 2026-03-04
Antibody = ["anti-tubulin", 0.5]
"""


def test_all_that_may_be_in_one(root: Path) -> None:
    put(root, WHOLE)
    found = of(root)
    assert str(found.target) == "Project:name:{dir1}/Dataset:name:{dir2}"
    assert (found.group, found.name, found.description) == ("lab", "cells", "two\nlines")
    assert found.tags == ("mitosis", "HeLa")
    assert found.key_value == (
        ("Stain", "DAPI"),
        ("Passage", "12"),
        ("Fixed", "true"),
        ("Day of month", "2026-03-04"),
        ("Antibody", "anti-tubulin"),
        ("Antibody", "0.5"),
    )
    assert found.files == (str(root / FILE),)
    assert found.annotates


def test_none(root: Path) -> None:
    assert of(root, "a", "b") == Sidecar()
    assert not Sidecar().annotates
    put(root, "")
    assert of(root) == Sidecar(files=(str(root / FILE),))


def test_the_nearest_wins_key_by_key(root: Path) -> None:
    put(root, WHOLE)
    put(root / "a", 'name = "a"\n[key_value]\nAntibody = "none"\nDish = 3\n')
    put(root / "a" / "b", 'target = ""\ntags = []\ndescription = ""\n')
    a, b = of(root, "a"), of(root, "a", "b")
    assert (a.name, a.group, a.tags) == ("a", "lab", ("mitosis", "HeLa"))
    pairs = dict(a.key_value)
    assert (pairs["Antibody"], pairs["Dish"], pairs["Stain"]) == ("none", "3", "DAPI")
    assert len(a.key_value) == 6
    assert b.target is not None and not b.target.steps  # orphaned, whatever holds above
    assert (b.tags, b.description, b.name) == ((), "", "a")
    assert b.files == tuple(str(d / FILE) for d in (root, root / "a", root / "a" / "b"))
    assert of(root) == of(root)


def test_only_the_directories_above_the_file_count(root: Path) -> None:
    put(root.parent, 'name = "of everybody"')
    (root / "c").mkdir()
    put(root / "c", 'name = "beside"')
    assert of(root, "a") == Sidecar()
    put(root, 'name = "mine"')
    assert read(str(root), "/elsewhere/x.tif") == Sidecar()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('taget = "x"', "unknown key 'taget'"),
        ('taget = "x"', "did you mean target?"),
        ('[key-value]\na = "b"', "did you mean key_value?"),
        ("name = 3", "name must be text in quotes, and is the value '3'"),
        (f'name = "{"n" * 256}"', "name has 256 characters, at most 255"),
        (f'group = "{"n" * 256}"', "group has 256 characters, at most 255"),
        ('tags = "a"', 'tags must be a list such as ["a", "b"], and is the value'),
        ("tags = [1]", "a list with the value '1' in it"),
        ('tags = [" "]', "tags has an empty one"),
        ("key_value = 1", "key_value must be a table"),
        ("[key_value.Stain]\nx = 1", "key_value.Stain must be text"),
        ('target = "Datset:name:x"', "target: 'Datset:name:x', at character 1"),
        ('target = "Datset:name:x"', "did you mean Dataset?"),
        ("target = 'regex:(?<Container1>(a+)+)b'", "regex: is for omero.fs.target"),
        ("name = x", "not TOML: Invalid value (at line 1, column 8)"),
        ('name = "a"\nname = "b"', "not TOML: Cannot overwrite a value"),
        ("tags = " + "[" * 5000, "not TOML: "),
    ],
)
def test_what_is_wrong_in_one_line(root: Path, text: str, says: str) -> None:
    put(root, text)
    with pytest.raises(ConfigurationError) as wrong:
        of(root, "a")
    told = str(wrong.value)
    assert told.startswith(f"{root / FILE}: ")
    assert says in told
    assert "\n" not in told


def test_not_utf_8() -> None:
    with pytest.raises(ConfigurationError, match="byte 9 is not UTF-8"):
        understand("f", b'name = "\xff"')


def test_size(root: Path) -> None:
    put(root, "#" * MAX_BYTES)
    assert of(root).files
    put(root, "#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigurationError, match="larger than 64 KiB"):
        of(root)


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_only_regular_files_are_read(root: Path, kind: str) -> None:
    place = root / "a" / FILE
    if kind == "link":
        secret = root.parent / "secret"
        secret.write_text('name = "root:x:0"')
        place.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    with pytest.raises(ConfigurationError) as wrong:
        of(root, "a", "b")
    assert str(place) in str(wrong.value)
    assert "root:x:0" not in str(wrong.value)


def test_its_name() -> None:
    assert is_sidecar(f"/drop/amy/{FILE}")
    assert not is_sidecar(f"/drop/amy/{FILE}.tif")
