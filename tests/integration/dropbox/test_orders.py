"""Sets whose files come in any order, in any way, with pauses: each is imported once, and whole.

Each seed is another order.  The files of six sets come side by side, in directories with odd names.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests import samples
from tests.integration.whole import QUIET_S, Whole
from tests.stores import image

from .test_stores import hasty, omerodir, stored

__all__ = ["hasty", "omerodir", "stored"]

Steps = Iterator[None]  # a pause may come after each
PAUSES = (0.0, 0.0, 0.0, 0.5, 1.2, 2.5)  # quiet periods
# The maker of a set -> what must come first, because without it nobody can know of a set.
SETS: dict[str, tuple[Callable[[Path], None], str]] = {
    "die Größe – 画像": (samples.ome_tiff_set, ""),
    "two  spaces ": (samples.ome_companion, ""),
    "it's #1 (copy)": (samples.ome_companion_plain, "a.companion.ome"),
    "-rf": (samples.ome_companion_above, ""),
    "a.b.c": (samples.ome_master, ""),
    "[x]{y} %20 $HOME": (samples.ome_tiff_two_images, ""),
}


def at_once(source: Path, to: Path) -> Steps:
    shutil.copyfile(source, to)
    yield


def empty_first(source: Path, to: Path) -> Steps:
    to.touch()
    yield
    shutil.copyfile(source, to)
    yield


def in_two(source: Path, to: Path) -> Steps:
    data = source.read_bytes()
    with to.open("wb") as file:
        file.write(data[: len(data) * 6 // 10])
    yield
    with to.open("ab") as file:
        file.write(data[len(data) * 6 // 10 :])
    yield


def but_its_last_byte(source: Path, to: Path) -> Steps:
    data = source.read_bytes()
    to.write_bytes(data[:-1] if not data[-1:].isspace() else data[:-2])
    yield
    to.write_bytes(data)
    yield


def a_hole_first(source: Path, to: Path) -> Steps:
    to.touch()
    os.truncate(to, source.stat().st_size)
    yield
    with to.open("r+b") as file:
        file.write(source.read_bytes())
    yield


def zeros_first(source: Path, to: Path) -> Steps:
    """As `a_hole_first`, on a share that does not tell of holes."""
    to.write_bytes(bytes(source.stat().st_size))
    yield
    shutil.copyfile(source, to)
    yield


def from_a_name_of(name: str) -> Callable[[Path, Path], Steps]:
    def come(source: Path, to: Path) -> Steps:
        temporary = to.with_name(name.format(to.name))
        shutil.copyfile(source, temporary)
        yield
        temporary.rename(to)
        yield

    return come


def from_an_unknown_name(source: Path, to: Path) -> Steps:
    """What has such a name is an image like any other, so it is only half there for longer."""
    data, temporary = source.read_bytes(), to.with_name(f"{to.name}.copytool")
    temporary.write_bytes(data[: len(data) // 2])
    yield
    temporary.write_bytes(data)
    temporary.rename(to)
    yield


def from_elsewhere(source: Path, to: Path) -> Steps:
    aside = source.parent / f"{source.name}.aside"
    shutil.copyfile(source, aside)
    aside.rename(to)
    yield


def forbidden_first(source: Path, to: Path) -> Steps:
    shutil.copyfile(source, to)
    to.chmod(0)
    yield
    to.chmod(0o644)
    yield


def as_directory_first(source: Path, to: Path) -> Steps:
    to.mkdir()
    yield
    to.rmdir()
    shutil.copyfile(source, to)
    yield


def as_link_first(source: Path, to: Path) -> Steps:
    to.symlink_to(source)
    yield
    to.unlink()
    shutil.copyfile(source, to)
    yield


def given_up_and_copied_again(source: Path, to: Path) -> Steps:
    shutil.copyfile(source, to)
    yield
    to.unlink()
    yield
    shutil.copyfile(source, to)
    yield


WAYS = (
    at_once,
    empty_first,
    in_two,
    but_its_last_byte,
    a_hole_first,
    zeros_first,
    from_a_name_of("{}.part"),
    from_a_name_of(".{}.x7Y2k1"),
    from_elsewhere,
    as_directory_first,
    as_link_first,
    *((forbidden_first,) if os.geteuid() else ()),
)
# The last one of a set is never there before its time.
LATER = (given_up_and_copied_again, from_an_unknown_name)


def coming(chance: random.Random, whole: Path, to: Path, first: str) -> Steps:
    """The steps of one set: its files in some order, each in some way."""
    names = sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file())
    chance.shuffle(names)
    names.sort(key=lambda name: name != first)
    for number, name in enumerate(names):
        ways: Sequence[Callable[[Path, Path], Steps]] = WAYS
        if number + 1 < len(names):
            ways = (*WAYS, *LATER)
        if name == first:
            ways = (at_once, from_elsewhere)
        path = to / name
        path.parent.mkdir(parents=True, exist_ok=True)
        yield from chance.choice(ways)(whole / name, path)


@pytest.mark.parametrize(
    "seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 25))]
)
def test_each_set_is_imported_once_and_whole(stored: Whole, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    under_way: list[Steps] = []
    sets: dict[Path, list[str]] = {}
    for number, (name, (make, first)) in enumerate(SETS.items()):
        aside = tmp_path / "aside" / f"{number}"
        aside.mkdir(parents=True)
        make(aside) if make is not samples.ome_companion_above else _with_planes(aside)
        to = stored.watch_dir / chance.choice(("amy", "zak")) / name
        to.mkdir()
        sets[to] = sorted(str(p.relative_to(aside)) for p in aside.rglob("*") if p.is_file())
        under_way.append(coming(chance, aside, to, first))
    while under_way:
        one = chance.choice(under_way)
        if next(one, under_way) is under_way:
            under_way.remove(one)
        stored.clock.sleep(chance.choice(PAUSES) * QUIET_S / 2)
    indexes = [to / names[0] for to, names in sets.items()]

    def imported() -> bool:
        done = {met.path for row in stored.journal.select(State.IMPORTED) for met in row.files}
        return set(map(str, indexes)) <= done

    stored.until("each is imported", imported, patience=60.0)
    stored.dropbox.rescanner.ask()
    stored.until_known(stored.drop("last.tif", user="zak"))
    stored.until_settled()
    for to, names in sets.items():
        for name in names:
            found = [fileset for fileset in stored.filesets(to / name) if fileset.images]
            got = [sorted(os.path.relpath(f"/{path}", to) for path in f.paths) for f in found]
            assert got == [names], (to.name, name, stored._in_the_journal())
    mine = [row for row in stored.journal.select() if "last.tif" not in row.path]
    assert [row for row in mine if row.state is State.FAILED] == []
    done = [row for row in mine if row.state is State.IMPORTED]
    told = [(row.id, row.path, row.reason, [met.path for met in row.files]) for row in done]
    assert len(done) == len(sets), told


def _with_planes(to: Path) -> None:
    (to / "planes").mkdir()
    samples.ome_companion_above(to)


@pytest.mark.parametrize("whose", ["amy", "zak"])
@pytest.mark.parametrize("make", [samples.ome_companion, samples.ome_tiff_set])
def test_a_set_that_waits_is_moved_with_its_directory(
    whole: Whole, tmp_path: Path, make: Callable[[Path], None], whose: str
) -> None:
    """Twice, the second time perhaps to another user; then its last file comes."""
    aside = tmp_path / "aside"
    aside.mkdir()
    make(aside)
    names = sorted(path.name for path in aside.iterdir())
    last = (aside / names[-1]).rename(tmp_path / names[-1])
    at = aside.rename(whole.watch_dir / "amy" / "Set")

    def waits() -> bool:
        rows = [row for row in whole.journal.select(State.WAITING) if row.path.startswith(f"{at}/")]
        return bool(rows) and all(row.reason for row in rows)

    for to in (whole.watch_dir / "amy" / "set", whole.watch_dir / whose / "eine Größe/set"):
        whole.until("it waits", waits)
        to.parent.mkdir(exist_ok=True)
        at = at.rename(to)
    whole.until("it waits there", waits)
    last.rename(at / last.name)
    whole.until_known(at / names[0])
    whole.dropbox.rescanner.ask()
    whole.until_known(whole.drop("last.tif", user="zak"))
    whole.until_settled()
    (found,) = [fileset for fileset in whole.filesets(at / names[0]) if fileset.images]
    assert sorted(Path(path).name for path in found.paths) == names
    counts = whole.journal.counts()
    assert counts[State.IMPORTED] == 2 and counts[State.FAILED] == 0


def test_a_store_whose_files_come_in_any_order(stored: Whole, tmp_path: Path) -> None:
    """Chunks before their metadata, and what was never to be in it taken away again."""
    chance = random.Random(5)
    store = image(stored.watch_dir / "amy" / "Größe 1.zarr", levels=2)
    aside = image(tmp_path / "aside.zarr", levels=2)
    aside.write()
    names = sorted(store.files)
    chance.shuffle(names)
    with stored.clock.halted():  # a busy machine adds nothing to the pauses
        for name in names:
            to = store.top / name
            to.parent.mkdir(parents=True, exist_ok=True)
            ways = (at_once, empty_first, from_a_name_of("{}.part"), from_a_name_of(".{}.x7Y2k1"))
            for _ in chance.choice(ways)(aside.top / name, to):
                pause = chance.choice((0, 0, QUIET_S / 2))
                stored.clock.sleep(pause)
                stored.clock.pass_by(pause)
    stored.until_known(store.path)
    (row,) = [r for r in stored.journal.select() if r.path.startswith(str(store.top))]
    assert row.state is State.IMPORTED
