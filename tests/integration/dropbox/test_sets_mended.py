"""A set with something wrong waits as a whole, and is imported once when that is mended."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests import samples
from tests.integration.whole import Whole

from .test_sets import paths_in_omero

ACCENT = "zé.tif"


def plain(to: Path) -> None:
    """A companion, whose files have no metadata of their own; one has an accent in its name."""
    inner = samples.pixels(2, samples.part(0, "z0.tif", 0), samples.part(1, ACCENT, 1))
    (to / "a.companion.ome").write_text(samples.ome(inner, 9), encoding="utf-8")
    for name in ("z0.tif", ACCENT):
        samples.tiff(to / name)


def as_directory(path: Path) -> Callable[[], None]:
    aside = path.parent.parent / ".aside"
    path.rename(aside)
    path.mkdir()

    def mend() -> None:
        path.rmdir()
        aside.rename(path)

    return mend


def as_link(path: Path) -> Callable[[], None]:
    aside = path.parent.parent / ".aside"
    path.rename(aside)
    path.symlink_to(aside)

    def mend() -> None:
        path.unlink()
        aside.rename(path)

    return mend


def called(other: Callable[[str], str]) -> Callable[[Path], Callable[[], None]]:
    def damage(path: Path) -> Callable[[], None]:
        wrong = path.rename(path.with_name(other(path.name)))
        assert wrong != path
        return lambda: wrong.rename(path) and None

    return damage


def forbidden(path: Path) -> Callable[[], None]:
    path.chmod(0)
    return lambda: path.chmod(0o644)


def elsewhere(path: Path) -> Callable[[], None]:
    """It lies in another directory of the user, and is moved from there."""
    there = path.parent.parent / "elsewhere"
    there.mkdir()
    aside = path.rename(there / path.name)
    return lambda: aside.rename(path) and None


def a_byte_short(path: Path) -> Callable[[], None]:
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    return lambda: path.write_bytes(data) and None


@dataclass(frozen=True)
class Row:
    """What is wrong with which file of which set."""

    what: str
    make: Callable[[Path], None]
    member: str
    damage: Callable[[Path], Callable[[], None]]  # gives what mends it


MEMBERS = ((samples.ome_companion, "t1.ome.tif"), (plain, ACCENT))
INDEXES = ((samples.ome_companion, "set.companion.ome"), (plain, "a.companion.ome"))
ROWS = (
    *(Row("a directory", make, name, as_directory) for make, name in MEMBERS),
    *(Row("a link", make, name, as_link) for make, name in MEMBERS),
    *(Row("in another case", make, name, called(str.swapcase)) for make, name in MEMBERS),
    Row("NFD", plain, ACCENT, called(lambda name: unicodedata.normalize("NFD", name))),
    *(Row("not to be read", make, name, forbidden) for make, name in (*MEMBERS, *INDEXES)),
    *(Row("a byte short", make, name, a_byte_short) for make, name in (*MEMBERS, *INDEXES)),
    Row("moved in from elsewhere", *MEMBERS[0], elsewhere),
    Row("a temporary name", *INDEXES[0], called(lambda name: f"{name}.part")),
    Row("a name of its own", *INDEXES[0], called(lambda name: f"{name}.copytool")),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.member} {row.what}")
def test_it_waits_and_is_imported_once(whole: Whole, tmp_path: Path, row: Row) -> None:
    if row.damage is forbidden and os.geteuid() == 0:
        pytest.skip("root may read everything")
    aside, at = tmp_path / "aside", whole.watch_dir / "amy" / "set"
    aside.mkdir()
    row.make(aside)
    names = {path.name for path in aside.iterdir()}
    with whole.clock.halted():  # nobody takes it for whole
        aside.rename(at)
        mend = row.damage(at / row.member)
    others = [at / name for name in sorted(names - {row.member})]

    def rests() -> bool:
        rows = {r.path: r for r in whole.journal.select() if r.path in map(str, others)}
        return len(rows) == len(others) and all(
            r.state in (State.WAITING, State.FAILED) and r.reason for r in rows.values()
        )

    whole.until("each says why it waits", rests)
    beside = whole.drop("beside.tif", user="zak")
    whole.until_known(beside)
    assert [path for path in others if whole.filesets(path)] == []
    mend()
    first = next(path for path in others if path.exists())

    def imported() -> bool:
        rows = whole.journal.select(State.IMPORTED)
        return any(met.path == str(first) for row in rows for met in row.files)

    whole.until("it is imported", imported)
    whole.until_settled()
    whole.dropbox.rescanner.ask()
    whole.until_known(whole.drop("another.tif", user="zak"))
    whole.until_settled()
    mine = [row for row in whole.journal.select() if row.user == "amy"]
    (one,) = [row for row in mine if row.state is State.IMPORTED]
    assert {Path(met.path).name for met in one.files} == names
    for row_of_failed in (row for row in mine if row is not one):
        # What had failed by itself says what became of it.
        assert row_of_failed.state is State.SKIPPED, row_of_failed
        assert f"fileset {one.id}" in row_of_failed.reason, row_of_failed
    (there,) = paths_in_omero(whole, first)
    assert set(there) == names


def test_an_index_that_gets_one_more_frame_is_a_revision(whole: Whole) -> None:
    at = whole.watch_dir / "amy" / "set"
    at.mkdir()
    samples.ome_companion_plain(at)
    index = at / "a.companion.ome"
    whole.until_known(index)
    former = whole.row(index)
    more = (samples.part(t, f"z{t}.tif", t) for t in range(3))
    index.write_text(samples.ome(samples.pixels(3, *more), 9))
    samples.tiff(at / "z2.tif")
    whole.until("it is imported again", lambda: whole.row(index).id != former.id)
    whole.until_known(index)
    whole.until_settled()
    assert whole.row(index).revision_of == former.id
    names = ("a.companion.ome", "z0.tif", "z1.tif")
    assert paths_in_omero(whole, index) == [names, (*names, "z2.tif")]
    assert paths_in_omero(whole, at / "z2.tif") == [(*names, "z2.tif")]


def test_two_sets_that_share_a_member_have_it_both(whole: Whole, tmp_path: Path) -> None:
    at = tmp_path / "aside"
    at.mkdir()
    for index, names in {"a": ("z0.tif", "z1.tif"), "b": ("z1.tif", "z2.tif")}.items():
        inner = samples.pixels(2, *(samples.part(t, name, t) for t, name in enumerate(names)))
        (at / f"{index}.companion.ome").write_text(samples.ome(inner, ord(index)))
    for t in range(3):
        samples.tiff(at / f"z{t}.tif")
    at = at.rename(whole.watch_dir / "amy" / "set")
    one, other = at / "a.companion.ome", at / "b.companion.ome"
    whole.until_known(one, other)
    whole.until_settled()
    assert paths_in_omero(whole, one) == [(one.name, "z0.tif", "z1.tif")]
    assert paths_in_omero(whole, other) == [(other.name, "z1.tif", "z2.tif")]
    assert whole.journal.counts()[State.IMPORTED] == 2


def test_a_set_in_the_directory_of_a_set_is_one_of_its_own(whole: Whole, tmp_path: Path) -> None:
    at = tmp_path / "aside"
    for directory, make in ((at, plain), (at / "inner", samples.ome_companion)):
        directory.mkdir()
        make(directory)
    at = at.rename(whole.watch_dir / "amy" / "set")
    outer, inner = at / "a.companion.ome", at / "inner" / "set.companion.ome"
    whole.until_known(outer, inner)
    whole.until_settled()
    assert [len(names) for path in (outer, inner) for names in paths_in_omero(whole, path)] == [
        3,
        4,
    ]
    assert whole.journal.counts()[State.IMPORTED] == 2
