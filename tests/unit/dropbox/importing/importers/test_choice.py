"""Which importer it is, and why; what the Java one prints; who imports Ice for that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.importing.importers.choice import choose
from omero_fs_plugin.dropbox.importing.importers.printed import Printed, ids, reason
from omero_fs_plugin.dropbox.importing.importers.protocol import Figures, Progress
from omero_fs_plugin.dropbox.importing.importers.transfer import Transfer
from omero_fs_plugin.errors import ConfigurationError


@pytest.fixture
def omerodir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One with the importer's jars, and a `java` on PATH."""
    (tmp_path / "lib" / "client").mkdir(parents=True)
    (tmp_path / "lib" / "client" / "omero-blitz.jar").touch()
    (tmp_path / "java").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "arguments", "importer", "why"),
    [
        ("native", "", "native", "omero.fs.importer says so"),
        ("java", "", "java", "omero.fs.importer says so"),
        ("auto", "", "native", "nothing in omero.fs.importArgs needs Java"),
        ("auto", "-report -d 5 --skip all", "native", "nothing in omero.fs.importArgs needs Java"),
        ("auto", "-l r.txt --frob", "java", "has what only it knows: -l, --frob"),
    ],
)
def test_where_there_is_java(
    omerodir: str, wanted: str, arguments: str, importer: str, why: str
) -> None:
    choice = choose(wanted, arguments, omerodir=omerodir)
    assert choice.importer == importer
    assert why in choice.why and "\n" not in choice.why
    assert choice.unknown == ()
    assert (choice.client_dir is not None) == (importer == "java")


def test_native_says_what_it_does_not_know_and_what_changes_nothing(omerodir: str) -> None:
    choice = choose("native", "-l r.txt --report -k secret", omerodir=omerodir)
    assert choice.unknown == ("-l",)
    assert [option for option, _ in choice.ignored] == ["-k", "--report"]
    assert [option for option, _ in choose("java", "--report -q", omerodir=omerodir).ignored] == [
        "-q"
    ]


@pytest.mark.parametrize("lacking", ["no OMERODIR", "no jars of OMERO's importer", "no java on"])
def test_where_there_is_none(omerodir: str, monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    if lacking == "no java on":
        monkeypatch.setenv("PATH", os.devnull)
    elif lacking != "no OMERODIR":
        Path(omerodir, "lib", "client", "omero-blitz.jar").unlink()
    here = None if lacking == "no OMERODIR" else omerodir
    choice = choose("auto", "-l r.txt", omerodir=here)
    assert (choice.importer, choice.unknown) == ("native", ("-l",))
    assert lacking in choice.why
    with pytest.raises(ConfigurationError, match=lacking):
        choose("java", "", omerodir=here)


def test_the_transfer_in_the_arguments_is_the_one() -> None:
    assert choose("auto", "", transfer="cp", omerodir=None).transfer is Transfer.CP
    assert choose("auto", "--transfer ln", transfer="cp", omerodir=None).transfer is Transfer.LN


@pytest.mark.parametrize(("wanted", "transfer"), [("jav", "upload"), ("auto", "mv")])
def test_values_that_are_none(wanted: str, transfer: str) -> None:
    with pytest.raises(ConfigurationError, match=r"omero\.fs\..*: one of "):
        choose(wanted, "", transfer=transfer, omerodir=None)


PRINTED = [
    ("", Printed(frozenset(), frozenset(), frozenset())),
    (
        "---\n- Fileset: 51\n  Image: [101, 102]\n- Fileset: 52\n  Plate: [3]\n",
        Printed(frozenset({51, 52}), frozenset({101, 102}), frozenset({3})),
    ),
    ("Image:101,102\nPlate:3\n", Printed(frozenset(), frozenset({101, 102}), frozenset({3}))),
    ("Image: many\nImage 3\nlog Image:4\nImage:-1", Printed(*(frozenset[int](),) * 3)),
    ("Image: [99999999999999999999]", Printed(*(frozenset[int](),) * 3)),
]


@pytest.mark.parametrize(("output", "wanted"), PRINTED)
def test_ids_are_read_and_everything_else_passed_over(output: str, wanted: Printed) -> None:
    assert ids(output) == wanted


def test_a_reason_is_one_line_and_keeps_the_secret() -> None:
    errors = """
2026-01-02 03:04:05,678 1234 [      main] INFO  o.f.i.cli - key is s3cr3t
2026-01-02 03:04:05,678 1234 [      main] ERROR o.f.i.cli - /a/b.tif: s3cr3t is no image
java.lang.RuntimeException: nothing
\tat loci.formats.Main(Main.java:1)
2026-01-02 03:04:05,678 1234 [      main] INFO  o.f.i.cli - bye
"""
    assert reason(errors, "/a/b.tif", "s3cr3t") == "ERROR o.f.i.cli - /a/b.tif: *** is no image"
    assert reason(errors, "/a/c.tif", "s3cr3t") == "java.lang.RuntimeException: nothing"
    assert reason("bye\n", "/a/c.tif", "s3cr3t") == "bye"
    assert reason("", "/a/c.tif", "s3cr3t") == ""
    assert len(reason("x" * 10_000, "/a", "s3cr3t")) == 300


def test_progress() -> None:
    progress = Progress()
    assert progress.figures() == Figures()
    progress.begin(10)
    progress.more(3)
    progress.more(4)
    assert progress.figures() == Figures(7, 10)


def test_pure_modules_import_nothing_heavy() -> None:
    package = "omero_fs_plugin.dropbox.importing.importers"
    names = [f"{package}.{name}" for name in ("arguments", "choice", "printed", "protocol")]
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"Ice", "omero", "watchdog", "sqlalchemy", "lxml"}.isdisjoint(loaded)
