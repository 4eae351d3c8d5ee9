"""Users rename, rewrite, remove and link files at each step of their import.

What is judged in the end is what OMERO has: each content that lies in amy's directory once, with
images, no content twice, nothing half; and the journal has an end for every file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import tifffile

from omero_fs_plugin.dropbox.importing import activity, leftovers, tidying
from omero_fs_plugin.dropbox.importing.importers import native, sources, upload
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.states import OPEN, State
from tests.integration.whole import Whole

from .test_sets import NAMES, write_part

# -- the steps ----------------------------------------------------------------

# What is called at the beginning of each step.  Between blocks is a step of its own.
STEPS: dict[str, tuple[Any, str] | None] = {
    "before the upload": (native.NativeImport, "run"),
    "between blocks": None,
    "before verify": (Journal, "note_verified"),
    "before OMERO is told": (native.NativeImport, "_verify"),
    "while OMERO imports": (native.NativeImport, "_await"),
    "before it is recorded": (Journal, "imported"),
    "when it is recorded": (native.NativeImporter, "done"),
}


class Once:
    """An act at a step, in the thread that takes the step; only the first time."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act: Callable[[], object] | None = act
        self.done = False

    def __call__(self) -> None:
        act, self.act = self.act, None
        if act is not None:
            act()
            self.done = True


def at(step: str, once: Once, monkeypatch: pytest.MonkeyPatch) -> None:
    where = STEPS[step]
    if where is None:
        blocks = upload.blocks

        def between(*arguments: Any) -> Iterator[bytes]:
            for number, block in enumerate(blocks(*arguments)):
                if number == 3:  # a part of the pixels is read by now
                    once()
                yield block

        monkeypatch.setattr(upload, "blocks", between)
        return
    owner, name = where
    real = getattr(owner, name)

    def called(*arguments: Any, **more: Any) -> Any:
        once()
        return real(*arguments, **more)

    monkeypatch.setattr(owner, name, called)


@pytest.fixture(autouse=True)
def _in_a_test_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "BLOCK", 100)
    monkeypatch.setattr(tidying, "SWEEP_S", 0.2)
    monkeypatch.setattr(leftovers, "LATE_S", 1.0)
    for name in ("START_S", "FILE_S", "LATE_S", "WATCH_S"):
        monkeypatch.setattr(activity, name, 1.0)


# -- what users do to one file ------------------------------------------------


def write(path: Path) -> None:
    """An image like no other, of the size of every other."""
    tifffile.imwrite(path, numpy.frombuffer(numpy.random.bytes(256), "uint8").reshape(16, 16))


def rewrite(path: Path) -> None:
    """In the same inode."""
    fresh = path.parents[3] / "fresh.tif"
    write(fresh)
    with path.open("r+b") as file:
        file.write(fresh.read_bytes())


def rewrite_and_set_the_time_back(path: Path) -> None:
    """As programs do that keep the time of what they copy."""
    before = path.stat()
    rewrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """By another inode, as programs that save by a rename."""
    fresh = path.parents[3] / "fresh.tif"
    write(fresh)
    fresh.replace(path)


def begin_anew(path: Path) -> None:
    """Truncates it, and writes something else."""
    path.write_bytes(b"")
    write(path)


def give_again(path: Path) -> None:
    """Removes it, and copies the same there."""
    aside = path.parents[3] / "aside.tif"
    shutil.copy(path, aside)
    path.unlink()
    shutil.copy(aside, path)


def exchange(path: Path) -> None:
    """With the file beside it."""
    other, aside = path.with_name("other.tif"), path.with_name(".aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


def copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy.tif"))


ACTS: dict[str, Callable[[Path], object]] = {
    "rename": lambda path: path.rename(path.with_name("renamed.tif")),
    "rename its directory": lambda path: path.parent.rename(path.parent.with_name("day 2")),
    "rewrite": rewrite,
    "rewrite, time set back": rewrite_and_set_the_time_back,
    "replace": replace,
    "begin anew": begin_anew,
    "hard link": lambda path: path.with_name("linked.tif").hardlink_to(path),
    "copy": copy,
    "remove": lambda path: path.unlink(),
    "give again": give_again,
    "exchange": exchange,
    "chmod": lambda path: path.chmod(0o600),
    "touch": lambda path: os.utime(path),
}


def pairs(acts: Sequence[str], *always: tuple[str, str]) -> list[Any]:
    """Each act at each step.  In a short run, each act at one step, and those of `always`."""
    found = []
    for number, act in enumerate(acts):
        for place, step in enumerate(STEPS):
            short = place == number % len(STEPS) or (step, act) in always
            marks = () if short else (pytest.mark.long,)
            found.append(pytest.param(step, act, id=f"{act} {step}", marks=marks))
    return found


# -- what must come of it -----------------------------------------------------


def sha1(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


def contents(whole: Whole) -> list[tuple[tuple[str, ...], bool]]:
    """Of each fileset of amy's in OMERO: the SHA1s of its files, and whether it has images."""
    found: list[tuple[tuple[str, ...], bool]] = []
    after = 0
    user = whole._omero.user("amy")
    while some := whole._omero.filesets_after(user, after):
        found += [(tuple(sorted(map(str, one.hashes))), bool(one.images)) for one in some]
        after = some[-1].id
    return found


def assert_each_once(whole: Whole, wanted: Sequence[tuple[str, ...]], *known: str) -> None:
    """OMERO has each of the contents in `wanted` once, and no content twice.

    A content has the SHA1s of all files of a fileset.  Nobody ever wrote another file than
    `known`, or what is wanted.
    """

    def wrong() -> str:
        there = contents(whole)
        number = Counter(content for content, _ in there)
        every = {*known, *(one for content in wanted for one in content)}
        return "; ".join(
            [f"{content} is missing" for content in wanted if not number[tuple(sorted(content))]]
            + [f"{content} is there {n} times" for content, n in number.items() if n > 1]
            + [f"{content} has no images" for content, whole in there if not whole]
            + [f"nobody wrote {one}" for content, _ in there for one in set(content) - every]
        )

    def settled() -> bool:
        return not any(whole.journal.counts()[state] for state in OPEN)

    whole.until("everything has an end in the journal", settled)
    try:
        whole.until("OMERO has it so", lambda: not wrong())
    except pytest.fail.Exception as error:
        raise AssertionError(f"{wrong()}\n{error}") from None


@pytest.mark.parametrize(
    ("step", "act"),
    pairs(
        [*ACTS],
        ("before the upload", "rename its directory"),
        ("between blocks", "rewrite, time set back"),
    ),
)
def test_one_file(whole: Whole, monkeypatch: pytest.MonkeyPatch, step: str, act: str) -> None:
    path = whole.watch_dir / "amy" / "day 1" / "a.tif"
    path.parent.mkdir()
    once = Once(partial(ACTS[act], path))
    if act == "exchange":
        write(path.with_name("other.tif"))
        whole.until_known(path.with_name("other.tif"))
    at(step, once, monkeypatch)
    write(path)
    first = sha1(path)
    whole.until("it is done", lambda: once.done)
    whole.dropbox.rescanner.ask()
    left = {sha1(file) for file in path.parent.parent.rglob("*.tif")}
    assert_each_once(whole, [(one,) for one in sorted(left)], first)
    assert not whole.journal.counts()[State.FAILED]


@pytest.mark.parametrize(
    ("step", "act"),
    pairs(["away and back", "away and a new one"], ("between blocks", "away and back")),
)
def test_the_directory_of_the_user(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, step: str, act: str
) -> None:
    """It is renamed to where nobody is a user, and comes back, or what was in it does."""
    home = whole.watch_dir / "amy"
    away = whole.watch_dir / "amy, former"
    path = home / "day 1" / "a.tif"
    path.parent.mkdir()
    once = Once(lambda: home.rename(away))
    at(step, once, monkeypatch)
    write(path)
    first = sha1(path)
    whole.until("it is done", lambda: once.done)
    whole.dropbox.rescanner.ask()
    whole.until_known(whole.drop("marker.tif", user="zak"))
    if act == "away and back":
        away.rename(home)
    else:
        home.mkdir()
        (away / "day 1").rename(home / "day 2")
    whole.dropbox.rescanner.ask()
    whole.until_known(whole.drop("marker 2.tif", user="zak"))
    assert_each_once(whole, [(first,)], first)
    assert not whole.journal.counts()[State.FAILED]


def test_a_directory_is_renamed_while_its_files_are_queued(whole: Whole) -> None:
    """The files' own inodes do not change by that: they look like what is queued."""
    before = whole.drop("before.tif")
    whole.until_known(before)
    whole.blitz.stop()
    paths = [whole.drop(f"day 1/{number}.tif") for number in range(3)]
    whole.until_known(*paths, states=(State.QUEUED, State.IMPORTING))
    whole.until_state("waiting for OMERO")
    with whole.clock.halted():  # so long they are in their quiet period
        renamed = paths[0].parent.rename(paths[0].parent.with_name("day 2"))
        moved = [renamed / path.name for path in paths]
        settler = whole.dropbox.pipeline.settler
        whole.until("they are met again", lambda: all(str(path) in settler for path in moved))
    whole.blitz.start()
    whole.until_known(*moved)
    assert_each_once(whole, [(sha1(path),) for path in (before, *moved)])
    whole.assert_once(*moved)


# -- sets ---------------------------------------------------------------------


def rewrite_part(path: Path) -> None:
    write_part(path.parent, NAMES.index(path.name), NAMES)


def link_all(path: Path) -> None:
    """All of them, into a directory of their own."""
    other = path.parent.with_name("linked")
    other.mkdir()
    for name in NAMES:
        (other / name).hardlink_to(path.with_name(name))


def copy_all(path: Path) -> None:
    shutil.copytree(path.parent, path.parent.with_name("copied"))


def give_another(path: Path) -> None:
    """Removes it; its replacement comes."""
    path.unlink()
    rewrite_part(path)


def away_and_back(path: Path) -> None:
    aside = path.parents[3] / "aside.tif"
    path.rename(aside)
    aside.rename(path)


ACTS_ON_SETS: dict[str, Callable[[Path], object]] = {
    "rename the directory": lambda path: path.parent.rename(path.parent.with_name("day 2")),
    "rewrite a member": rewrite_part,
    "give a member again": give_again,
    "give another member": give_another,
    "rename a member away and back": away_and_back,
    "link all": link_all,
    "copy all": copy_all,
    "chmod a member": lambda path: path.chmod(0o600),
}


@pytest.mark.parametrize(
    ("step", "act"), pairs([*ACTS_ON_SETS], ("before the upload", "rename the directory"))
)
def test_a_set(whole: Whole, monkeypatch: pytest.MonkeyPatch, step: str, act: str) -> None:
    directory = whole.watch_dir / "amy" / "day 1"
    directory.mkdir()
    once = Once(partial(ACTS_ON_SETS[act], directory / NAMES[1]))
    at(step, once, monkeypatch)
    first = [sha1(write_part(directory, number, NAMES)) for number in range(len(NAMES))]
    whole.until("it is done", lambda: once.done)
    whole.dropbox.rescanner.ask()
    sets = {path.parent for path in (whole.watch_dir / "amy").rglob(NAMES[0])}
    wanted = {tuple(sorted(sha1(one / name) for name in NAMES)) for one in sets}
    assert_each_once(whole, sorted(wanted), *first)
    assert not whole.journal.counts()[State.FAILED]


def test_a_member_is_removed_and_given_later(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meanwhile its set waits for it."""
    directory = whole.watch_dir / "amy" / "day 1"
    directory.mkdir()
    member, aside = directory / NAMES[1], whole.watch_dir.parent / "aside.tif"
    once = Once(lambda: member.rename(aside))
    at("before the upload", once, monkeypatch)
    parts = [sha1(write_part(directory, number, NAMES)) for number in range(len(NAMES))]
    whole.until(
        "it waits for it",
        lambda: any(row.reason == f"waits for {member}" for row in whole.journal.select()),
    )
    assert contents(whole) in ([], [(tuple(sorted(parts)), False)])
    aside.rename(member)
    assert_each_once(whole, [tuple(parts)])
