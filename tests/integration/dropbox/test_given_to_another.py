"""Files get into another user's directory at each step of their import, whoever moves them there.

What lies in zak's directory is zak's: it is imported for him, also if amy has it already.  A
directory that is moved takes its files with it, and they keep their inodes and their times.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import OPEN, State
from tests.integration.whole import Whole

from .test_changes_in_mid_import import STEPS, Once, _in_a_test_s_time, at, sha1, write
from .test_sets import NAMES, write_part

__all__ = ["_in_a_test_s_time"]  # a fixture


def move(path: Path, zaks: Path) -> None:
    zaks.mkdir()
    for file in list(path.parent.iterdir()):
        file.rename(zaks / file.name)


def move_directory(path: Path, zaks: Path) -> None:
    path.parent.rename(zaks)


def link(path: Path, zaks: Path) -> None:
    zaks.mkdir()
    for file in path.parent.iterdir():
        (zaks / file.name).hardlink_to(file)


def exchange(path: Path, zaks: Path) -> None:
    """The directories of both users."""
    amys, aside = path.parents[1], path.parents[2] / "nobody"
    amys.rename(aside)
    zaks.parent.rename(amys)
    aside.rename(zaks.parent)


ACTS: dict[str, Callable[[Path, Path], None]] = {
    "move": move,
    "move the directory": move_directory,
    "link": link,
    "exchange": exchange,
}
SHORT = (
    ("move", "before the upload"),
    ("move the directory", "before verify"),
    ("link", "before it is recorded"),
    ("exchange", "while OMERO imports"),
)


def imported_for(whole: Whole, user: str) -> list[str]:
    """The SHA1 of each file of each of the user's filesets with images; "half" for one without."""
    found: list[str] = []
    after = 0
    while some := whole._omero.filesets_after(whole._omero.user(user), after):
        for one in some:
            found += map(str, one.hashes) if one.images else ["half"]
        after = some[-1].id
    return sorted(found)


@pytest.mark.parametrize(
    ("act", "step", "number"),
    [
        pytest.param(
            *(act, step, number),
            id=f"{act} {step} of {number}",
            marks=() if (act, step) in SHORT and number == 1 else (pytest.mark.long,),
        )
        for act in ACTS
        for step in STEPS
        for number in (1, len(NAMES))
    ],
)
def test_each_has_what_lies_in_the_own_directory(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, act: str, step: str, number: int
) -> None:
    path = whole.watch_dir / "amy" / "day 1" / (NAMES[0] if number > 1 else "a.tif")
    zaks = whole.watch_dir / "zak" / "day 1"
    path.parent.mkdir()
    once = Once(lambda: ACTS[act](path, zaks))
    at(step, once, monkeypatch)
    if number > 1:
        dropped = sorted(sha1(write_part(path.parent, one, NAMES)) for one in range(number))
    else:
        write(path)
        dropped = [sha1(path)]
    whole.until("it is done", lambda: once.done)
    whole.dropbox.rescanner.ask()
    whole.until("zak has it", lambda: imported_for(whole, "zak") == dropped)
    wanted = ([], dropped) if act != "link" else (dropped,)  # amy's may have begun before
    whole.until("amy has it once at most", lambda: imported_for(whole, "amy") in wanted)
    whole.until("all has ended", lambda: not any(whole.journal.counts()[one] for one in OPEN))
    assert imported_for(whole, "zak") == dropped
    assert not whole.journal.counts()[State.FAILED]


def test_an_imported_directory_is_moved_to_the_right_user(whole: Whole) -> None:
    """As an admin does if somebody dropped it in the wrong place; later it is moved back."""
    path = whole.drop("day 1/a.tif")
    whole.until_known(path)
    zaks = path.parent.rename(whole.watch_dir / "zak" / "day 1") / "a.tif"
    whole.until_known(zaks)
    zaks.parent.rename(path.parent)
    whole.dropbox.rescanner.ask()
    whole.until_known(whole.drop("last.tif"))
    whole.until_settled()
    whole.assert_once(path, zaks)
