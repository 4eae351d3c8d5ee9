"""The sidecar: what it says, how several are merged, and what is wrong with one, in one line."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("tags = " + "[" * 5000, "not a sidecar: nested more than 8 deep"),
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


def test_what_costs_a_parser_dear_is_not_parsed() -> None:
    """The first one took 20 s of a processor, at each look at the directory."""
    dear = {
        "a." * 20_000 + "a = 1": "a key of more than 8 parts",
        "[" + "a." * 20_000 + "a]": "a key of more than 8 parts",
        '"a".' * 10_000 + "a = 1": "a key of more than 8 parts",
        "a . " * 10_000 + "a = 1": "a key of more than 8 parts",
        "x = [{" + "a." * 20_000 + "a = 1}]": "a key of more than 8 parts",
        "tags = " + "[" * 60_000: "nested more than 8 deep",
        "key_value = " + "{a=" * 20_000: "nested more than 8 deep",
        "[key_value]\n" + "".join(f"{n}=1\n" for n in range(6_000)): "more than 4000 values",
        "tags = [" + "1," * 30_000 + "]": "more than 4000 values",
        "[[a]]\n" * 10_000: "more than 4000 values",
    }
    begun = time.process_time()
    for text, says in dear.items():
        assert len(text) <= MAX_BYTES, says
        with pytest.raises(ConfigurationError, match=says):
            understand("f", text.encode())
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "text",
    [
        'description = "a.b.c.d.e.f.g.h.i.j [[[[[[[[[[ {{{{{{{{{{ = = ="',
        "description = 'C:.a.b.c.d.e.f.g.h.i.j.[[[[[[[[[[[[['",
        'description = """\na.b.c.d.e.f.g.h.i.j \\""" [[[[[[[[[[[ ""\n"""',
        "description = '''\n[[[[[[[[[[[[[[[[ '' a.b.c.d.e.f.g.h.i.j.k.l\n'''",
        "# [[[[[[[[[[[[[ a.b.c.d.e.f.g.h.i.j.k.l = '\nname = 'x'",
        '[key_value]\n"a.b.c.d.e.f.g.h.i.j.k" = 1.5\nTime = 07:32:00.999',
        "tags = [\n  'a',  # [[[[[[[[[[[[[[\n  \"b.c.d.e.f.g.h.i.j.k.l\",\n]",
    ],
)
def test_what_stands_in_texts_and_comments_is_nobodys_structure(text: str) -> None:
    assert understand("f", text.encode()).files == ("f",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"tags = {[str(n) for n in range(101)]}", "tags has 101 of them, at most 100"),
        (f'tags = ["{"t" * 256}"]', "tags has one of 256 characters, at most 255"),
        (f"[key_value]\na = {[str(n) for n in range(501)]}", "key_value has 501 pairs"),
        (f'[key_value]\n"{"k" * 256}" = 1', "key_value has a key of 256 characters"),
        (f'[key_value]\na = "{"v" * 4001}"', "key_value.a has 4001 characters, at most 4000"),
        (f'target = "Dataset:name:{"x" * 2000}"', "target has 2013 characters, at most 2000"),
        ('name = "a\\u0000b"', "a NUL character, which OMERO cannot keep"),
        ('[key_value]\na = ["\\u0000"]', "a NUL character"),
        ("[key_value]\na = 0x" + "f" * 60_000, "key_value.a is a number of too many digits"),
        ("[key_value]\na = " + "9" * 60_000, "not TOML: "),
        ("x" * 60_000 + " = 1", "unknown key 'xxx"),
    ],
)
def test_caps(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        understand("f", text.encode())
    assert says in str(wrong.value)
    assert len(str(wrong.value)) < 600


def test_as_much_as_there_may_be() -> None:
    tags = [f"{n:0255}" for n in range(100)]
    found = understand("f", f"tags = {tags}".encode())
    assert found.tags == tuple(tags)
    pairs = "".join(f"k{n} = 'v'\n" for n in range(500))
    assert len(understand("f", f"[key_value]\n{pairs}".encode()).key_value) == 500


PIECES = [
    *[
        "a",
        ".",
        "=",
        "[",
        "]",
        "{",
        "}",
        ",",
        '"',
        "'",
        '"""',
        "'''",
        "\\",
        "#",
        "1",
        "[[",
        "]]",
        "target",
        "a.b.c",
        "0x",
        "inf",
        "true",
        "regex:",
        "é",
    ],
    *("\n", " ", "tags = [", "[key_value]\n", "name = ", "1979-05-27", "\\u0000", "\x00", "\ud7ff"),
    "Dataset:name:{dir1}",
]


@given(st.lists(st.sampled_from(PIECES), max_size=60), st.integers(1, 300))
def test_nothing_unexpected_comes_of_any_text(pieces: list[str], times: int) -> None:
    content = ("".join(pieces) * times).encode()[:MAX_BYTES]
    begun = time.process_time()
    with contextlib.suppress(ConfigurationError):
        understand("f", content)
    assert time.process_time() - begun < 5


@given(st.binary(max_size=300))
def test_nothing_unexpected_comes_of_any_bytes(content: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        understand("f", content)
