"""Sandboxes reserve their ports.  Two never have the same, and nobody must release a port."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.errors import ConfigurationError
from omero_fs_plugin.sandbox import ports
from omero_fs_plugin.sandbox.ports import ALL, PREFIXES, Ports

Make = Callable[[], Path]


@pytest.fixture(autouse=True)
def _ports_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs on this machine."""
    monkeypatch.setattr(ports, "_is_free", lambda port: True)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "reservations"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes the directory of one more sandbox."""
    directories = (tmp_path / f"sandbox{number}" for number in range(100))

    def one() -> Path:
        directory = next(directories)
        directory.mkdir()
        return directory

    return one


def _reserve(directory: Path, place: Path) -> Ports:
    ports._is_free = lambda port: True  # type: ignore[assignment]
    return ports.reserve(directory, place=place)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> tuple[Ports, ...]:
    """All that there are, for tests that use them up; each prefix has two."""
    some = ALL[: 2 * len(PREFIXES)]
    monkeypatch.setattr(ports, "ALL", some)
    return some


def test_there_are_many_and_no_two_have_a_port_in_common() -> None:
    numbers = [number for one in ALL for number in one.numbers]
    assert len(set(numbers)) == 3 * 600
    assert all(1024 < number < 65536 for number in numbers)


def test_each_has_others(make: Make, place: Path, few: tuple[Ports, ...]) -> None:
    """None of them is started yet."""
    assert {ports.reserve(make(), place=place) for _ in few} == set(few)


def test_those_the_kernel_gives_to_clients_come_last(
    make: Make,
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    few: tuple[Ports, ...],
) -> None:
    kernel = tmp_path / "range"
    kernel.write_text("20000\t59999\n")
    monkeypatch.setattr(ports, "_EPHEMERAL", kernel)
    prefixes = [ports.reserve(make(), place=place).prefix for _ in few]
    assert prefixes[:4] == [1, 6, 1, 6]
    assert set(prefixes[4:]) == {2, 3, 4, 5}


def test_one_that_is_gone_has_none(make: Make, place: Path, few: tuple[Ports, ...]) -> None:
    made = [make() for _ in few]
    given = [ports.reserve(directory, place=place) for directory in made]
    shutil.rmtree(made[2])
    assert ports.reserve(make(), place=place) == given[2]


def test_when_none_is_left_it_says_who_has_them(
    make: Make, place: Path, few: tuple[Ports, ...]
) -> None:
    made = [make() for _ in few]
    for directory in made:
        ports.reserve(directory, place=place)
    with pytest.raises(ConfigurationError, match="no ports are free for a sandbox") as told:
        ports.reserve(make(), place=place)
    assert all(str(directory) in str(told.value) for directory in made[:5])
    assert str(made[5]) not in str(told.value)
    assert f"the files in {place} name all 12 sandboxes" in str(told.value)
    assert "\n" not in str(told.value)


def test_a_prefix_that_somebody_wants_is_given(make: Make, place: Path) -> None:
    """Both that have it hold it: it is free when both are gone."""
    first, second = make(), make()
    assert ports.reserve(first, place=place) == Ports(1)
    assert ports.reserve(second, 1, place=place) == Ports(1)
    assert ports.reserve(make(), place=place) == Ports(2)
    shutil.rmtree(second)
    assert ports.reserve(make(), place=place).router not in (14064, 24064)
    shutil.rmtree(first)
    assert ports.reserve(make(), place=place) == Ports(1)


def test_one_that_is_made_again_holds_no_others_than_its_own(make: Make, place: Path) -> None:
    again = make()
    assert ports.reserve(again, place=place) == Ports(1)
    assert ports.reserve(again, 2, place=place) == Ports(2)
    assert ports.reserve(make(), place=place) == Ports(1)


def test_one_that_was_not_made_after_all_holds_none(make: Make, place: Path) -> None:
    """Its directory may have been there before."""
    failed = make()
    ports.reserve(failed, place=place)
    ports.release(failed, place=place)
    assert ports.reserve(make(), place=place) == Ports(1)


def test_ports_of_another_program_are_passed_over(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "_is_free", lambda port: not 10_000 <= port < 30_000)
    assert ports.reserve(make(), place=place).router == 64064


def test_a_port_that_somebody_listens_on_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for address in ("127.0.0.1", "0.0.0.0"):
        with socket.socket() as listener:
            listener.bind((address, 0))
            listener.listen()
            assert not ports._is_free(listener.getsockname()[1])


def test_a_reservation_of_another_user_holds(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = make()
    with monkeypatch.context() as patch:
        patch.setattr(ports.os, "getuid", lambda: 4711)
        assert ports.reserve(theirs, place=place) == Ports(1)
    assert ports.reserve(make(), place=place) == Ports(2)
    shutil.rmtree(theirs)
    assert ports.reserve(make(), place=place) == Ports(1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter")
def test_a_sandbox_where_one_may_not_look_is_there(make: Make, place: Path, tmp_path: Path) -> None:
    home = make()
    (home / "theirs").mkdir()
    assert ports.reserve(home / "theirs", place=place) == Ports(1)
    home.chmod(0)
    try:
        assert ports.reserve(make(), place=place) == Ports(2)
    finally:
        home.chmod(0o700)


def test_the_place_is_for_every_user(make: Make, place: Path) -> None:
    before = os.umask(0o077)
    try:
        ports.reserve(make(), place=place)
    finally:
        os.umask(before)
    assert place.stat().st_mode & 0o7777 == 0o1777
    assert {file.stat().st_mode & 0o777 for file in place.iterdir()} == {0o644}


def test_a_place_that_is_a_link_is_refused(make: Make, place: Path, tmp_path: Path) -> None:
    """Anybody may put one there, to have us write elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ports.reserve(make(), place=place)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_others_put_there_is_no_reservation(make: Make, place: Path) -> None:
    place.mkdir()
    os.mkfifo(place / "14064.4711")
    (place / "14064.4712").mkdir()
    (place / "14064.4713").symlink_to("/etc/passwd")
    (place / "14064.4714").write_bytes(b"\xff\0\n\n")
    assert ports.reserve(make(), place=place) == Ports(1)


def test_a_place_that_stays_locked_is_refused(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "_LOCK_LIMIT", 0)
    with ports._locked(place), pytest.raises(ConfigurationError, match="locked for 0 s"):
        ports.reserve(make(), place=place)


@pytest.fixture
def pool() -> Iterator[multiprocessing.pool.Pool]:
    with multiprocessing.get_context("spawn").Pool(8) as made:
        yield made


def test_many_at_once(pool: multiprocessing.pool.Pool, make: Make, place: Path) -> None:
    given = pool.starmap(_reserve, [(make(), place) for _ in range(40)], chunksize=1)
    assert len({one.router for one in given}) == 40
