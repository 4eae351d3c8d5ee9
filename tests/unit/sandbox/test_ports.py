"""Sandboxes reserve their ports: two never have the same, and none is given back by hand."""

from __future__ import annotations

import multiprocessing
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.sandbox import ports


@pytest.fixture(autouse=True)
def _ports_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs on this machine."""
    monkeypatch.setattr(ports, "_is_free", lambda port: True)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "reservations"


@pytest.fixture
def sandboxes(tmp_path: Path) -> Iterator[Path]:
    made = (tmp_path / f"sandbox{number}" for number in range(100))

    def make() -> Path:
        directory = next(made)
        directory.mkdir()
        return directory

    return iter(make, None)  # type: ignore[return-value]


def test_each_has_another(sandboxes: Iterator[Path], place: Path) -> None:
    """None of them is started yet."""
    given = [ports.reserve(next(sandboxes), place=place) for _ in ports.PREFIXES]
    assert sorted(given) == sorted(ports.PREFIXES)


def test_one_that_is_gone_has_none(sandboxes: Iterator[Path], place: Path) -> None:
    made = [next(sandboxes) for _ in ports.PREFIXES]
    given = [ports.reserve(directory, place=place) for directory in made]
    shutil.rmtree(made[2])
    assert ports.reserve(next(sandboxes), place=place) == given[2]


def test_when_none_is_left_it_says_who_has_them(sandboxes: Iterator[Path], place: Path) -> None:
    made = [next(sandboxes) for _ in ports.PREFIXES]
    for directory in made:
        ports.reserve(directory, place=place)
    with pytest.raises(ConfigurationError, match="no prefix of ports is free") as told:
        ports.reserve(next(sandboxes), place=place)
    assert all(str(directory) in str(told.value) for directory in made)
    assert "\n" not in str(told.value)


def test_what_somebody_wants_is_given(sandboxes: Iterator[Path], place: Path) -> None:
    assert ports.reserve(next(sandboxes), place=place) == 1
    assert ports.reserve(next(sandboxes), 1, place=place) == 1
    assert ports.reserve(next(sandboxes), place=place) == 2


def test_ports_of_another_program_are_passed_over(
    sandboxes: Iterator[Path], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        taken = listener.getsockname()[1]
        assert not ports._is_free(taken)
    monkeypatch.setattr(ports, "_is_free", lambda port: not 10_000 <= port < 30_000)
    assert ports.reserve(next(sandboxes), place=place) == ports.PREFIXES[2]


def test_a_reservation_of_another_user_holds(
    sandboxes: Iterator[Path], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = next(sandboxes)
    monkeypatch.setattr(ports.os, "getuid", lambda: 4711)
    assert ports.reserve(theirs, place=place) == 1
    monkeypatch.undo()
    monkeypatch.setattr(ports, "_is_free", lambda port: True)
    assert ports.reserve(next(sandboxes), place=place) == 2
    shutil.rmtree(theirs)
    assert ports.reserve(next(sandboxes), place=place) == 1


def test_a_place_that_is_a_link_is_refused(
    sandboxes: Iterator[Path], place: Path, tmp_path: Path
) -> None:
    """Anybody may put one there, to have us write elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ports.reserve(next(sandboxes), place=place)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def _reserve(directory: Path, place: Path) -> int:
    ports._is_free = lambda port: True  # type: ignore[assignment]
    return ports.reserve(directory, place=place)


def test_many_at_once(sandboxes: Iterator[Path], place: Path) -> None:
    wanted = [(next(sandboxes), place) for _ in ports.PREFIXES]
    with multiprocessing.get_context("spawn").Pool(len(wanted)) as pool:
        given = pool.starmap(_reserve, wanted)
    assert sorted(given) == sorted(ports.PREFIXES)
