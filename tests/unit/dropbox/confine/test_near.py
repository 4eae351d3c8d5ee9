"""Roots are compared with those that may have to do with them, and with no others."""

from __future__ import annotations

import cProfile
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.confine.near import Near
from omero_fs_plugin.dropbox.confine.roots import Roots
from omero_fs_plugin.dropbox.confine.shown import Shown, two_ways
from omero_fs_plugin.links import Route

PATHS = ("/", "/a", "/a/b", "/a/b/c", "/ab", "/d")


def route(path: str) -> Route:
    """As if inode numbers were the paths' lengths and hashes."""
    parts = [part for part in path.split("/") if part]
    above = ["/", *("/" + "/".join(parts[: n + 1]) for n in range(len(parts)))]
    return Route("/", tuple(parts), tuple((1, hash(one)) for one in above))


@pytest.mark.parametrize("mine", PATHS)
@pytest.mark.parametrize("theirs", PATHS)
def test_one_that_lies_in_another_is_found(mine: str, theirs: str) -> None:
    near = Near()
    near.add("theirs", route(theirs), ())
    one, other = route(mine), route(theirs)
    related = one.identity in other.above or other.identity in one.above
    assert near.candidates(one, ()) == ({"theirs"} if related else set())


@pytest.mark.parametrize("mine", PATHS)
@pytest.mark.parametrize("theirs", PATHS)
@pytest.mark.parametrize("system", ["8:1", "8:2"])
def test_what_is_shown_at_two_places_is_found(mine: str, theirs: str, system: str) -> None:
    some, others = [Shown("8:1", mine, "/x")], [Shown(system, theirs, "/y")]
    near = Near()
    near.add("theirs", route("/y"), others)
    found = near.candidates(route("/x"), some) == {"theirs"}
    assert found or two_ways(some, others) is None
    assert not found or system == "8:1"


def test_what_was_taken_anew_is_found_where_it_is_now() -> None:
    near = Near()
    near.add("/r", route("/a"), ())
    near.add("/r", route("/d"), ())
    assert near.candidates(route("/a"), ()) == set()
    assert near.candidates(route("/d/e"), ()) == {"/r"}


def _calls(top: Path, number: int) -> int:
    paths = [str(top / f"{number}-{n}") for n in range(number)]
    for path in paths:
        Path(path).mkdir()
    roots = Roots()
    roots.apply(paths, {})
    profile = cProfile.Profile()
    profile.runcall(lambda: [roots.look(path) for path in paths])
    assert all(roots.real(path) for path in paths)
    return sum(entry.callcount for entry in profile.getstats())


def test_twice_as_many_roots_take_twice_as_many_calls(tmp_path: Path) -> None:
    assert _calls(tmp_path, 200) < 2.1 * _calls(tmp_path, 100)
