"""Who writes: real processes and descriptors, and a /proc that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.settling.writers import Writers

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")


@contextmanager
def another_process(path: Path, mode: str) -> Iterator[None]:
    script = f"import sys; f = open(sys.argv[1], {mode!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "held by a writer.tif"
    path.write_bytes(b"data")
    return path


@pytest.mark.parametrize("mode", ["ab", "r+b", "wb"])
def test_a_process_that_writes(file: Path, tmp_path: Path, mode: str) -> None:
    with another_process(file, mode):
        assert Writers(lambda path: str(tmp_path)).of([str(file)]) == {str(file)}
    assert Writers(lambda path: str(tmp_path)).of([str(file)]) == set()


def test_a_process_that_reads_is_none(file: Path, tmp_path: Path) -> None:
    with another_process(file, "rb"):
        assert Writers(lambda path: str(tmp_path)).of([str(file)]) == set()


def test_only_what_was_asked_for(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tif"
    with file.open("ab"), other.open("wb"):
        assert Writers(lambda path: str(tmp_path)).of([str(other)]) == {str(other)}


def test_a_directory_that_is_reached_over_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    path = str(link / file.name)
    with file.open("ab"):
        assert Writers(lambda path: str(link)).of([path]) == {path}


def test_without_proc_nobody_is_known(file: Path, tmp_path: Path) -> None:
    with file.open("ab"):
        assert (
            Writers(lambda path: str(tmp_path), proc=str(tmp_path / "none")).of([str(file)])
            == set()
        )


def test_processes_that_end_or_are_not_ours_are_passed_over(file: Path, tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "1" / "fd").mkdir(parents=True)
    (proc / "1" / "fd" / "3").symlink_to(file)  # ended: no fdinfo any more
    (proc / "2").mkdir()
    (proc / "3" / "fd").mkdir(parents=True, mode=0o000)
    (proc / "self" / "fd").mkdir(parents=True)
    assert Writers(lambda path: str(tmp_path), proc=str(proc)).of([str(file)]) == set()


class TestWhatLookingCosts:
    @pytest.fixture
    def looks(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The directories that were listed."""
        listed: list[str] = []
        real = os.scandir

        def scandir(path: str) -> Any:
            listed.append(path)
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)
        return listed

    def test_where_nothing_is_asked_nobody_is_looked_at(self, looks: list[str]) -> None:
        assert Writers(lambda path: None).of([]) == set()
        assert looks == []

    def test_a_look_that_took_long_serves_for_a_while(
        self, looks: list[str], file: Path, tmp_path: Path
    ) -> None:
        # A look that takes 40 ms may be had after 800 ms, by the rule of a twentieth.
        times = iter([0.0, 0.0, 0.040, 0.839, 0.841, 0.841, 0.881])
        writers = Writers(lambda path: str(tmp_path), clock=lambda: next(times))
        with file.open("ab"):
            assert writers.of([str(file)]) == {str(file)}
            number = len(looks)
            assert writers.of([str(file)]) == {str(file)}
            assert len(looks) == number
        assert writers.of([str(file)]) == set()
        assert len(looks) > number

    def test_what_was_closed_since_is_seen_all_the_same(self, file: Path, tmp_path: Path) -> None:
        times = iter([0.0, 0.0, 1.0, 1.5])
        writers = Writers(lambda path: str(tmp_path), clock=lambda: next(times))
        with file.open("ab"):
            assert writers.of([str(file)]) == {str(file)}
        assert writers.of([str(file)]) == set()
