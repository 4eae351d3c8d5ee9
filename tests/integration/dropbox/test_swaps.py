"""A user replaces a file or directory after DropBox looked at it, at each step of a file's way.

amy owns the directory above hers, and puts links to what is not hers into the place
of the directory, of one on the way, or of the file itself.  Whatever the step:
nothing foreign is imported as hers, and nothing foreign is removed or moved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
import tifffile

from omero_fs_plugin.dropbox.importing import importing, quarantine
from omero_fs_plugin.dropbox.importing.importers import native, sources
from omero_fs_plugin.dropbox.settling import groupers
from omero_fs_plugin.dropbox.settling.resting import Resting
from omero_fs_plugin.sandbox.store import FILE
from tests.integration.whole import Whole

NAME = Path("day 1", "a.tif")


class Swapping:
    """amy's directory, a foreign one with the same names in it, and a Whole over both."""

    def __init__(
        self, make_whole: Callable[..., Whole], place: Path, *, foreign: str, transfer: str
    ) -> None:
        home = place / "home" / "amy"
        self.mine = home / "myData"
        (self.mine / NAME.parent).mkdir(parents=True)
        home.chmod(0o777)  # the way to it is the admin's; from here on it is hers
        self.failed = place / "failed"
        self.whole = make_whole(
            importUsers="amy;zak",
            watchDir=f"{self.mine};",
            transfer=transfer,
            quarantine=str(self.failed),
        )
        self.repository = self.whole.watch_dir.parent / "ManagedRepository"
        self.foreign = {"zak": place / "home" / "zak", "repository": self.repository}[foreign]
        (self.foreign / NAME.parent).mkdir(parents=True)
        image(self.foreign / NAME)
        (self.foreign / NAME.parent / "omero-fs.toml").write_text('description = "stolen"')
        self.before = self.contents()
        self._begun = self.swapped = False

    def contents(self) -> dict[Path, str]:
        """SHA1 of each foreign file."""
        files = (self.foreign / NAME.parent).iterdir()
        return {path: sha1(path) for path in files}

    def swap(self, what: str, *_: object) -> None:
        """amy does it, once."""
        if self._begun:
            return
        self._begun = True
        at = {"root": Path(), "exchanged root": Path(), "middle": NAME.parent, "file": NAME}[what]
        if (self.mine / at).exists():
            (self.mine / at).rename(self.mine.parent / "away")
        if what == "exchanged root":
            # As where amy may write to what is another's, but not read all of it.
            self.foreign.rename(self.mine)
            self.foreign = self.mine
            self.before = {
                self.mine / path.relative_to(path.parents[1]): value
                for path, value in self.before.items()
            }
        else:
            (self.mine / at).symlink_to(self.foreign / at)
        self.swapped = True

    def goes_on(self) -> None:
        """Everything is looked at again, and another user's file is imported meanwhile."""
        for _ in range(2):
            self.whole.dropbox.rescanner.ask()
            self.whole.until_known(self.whole.drop("z.tif", user="zak"))

    def assert_nothing_foreign(self) -> None:
        assert self.contents() == self.before, "nothing of it was removed, moved or changed"
        stolen = set(self.before.values())
        places = [self.repository, self.failed, self.mine.parent / "away"]
        taken = [
            path
            for path in (path for place in places for path in place.rglob("*"))
            if path not in self.before
            and path.is_file()
            and not path.is_symlink()
            and sha1(path) in stolen
        ]
        assert taken == []
        rows = self.whole.journal.select()
        assert not stolen & {one for row in rows for one in row.sha1s if one}
        database = self.whole.blitz.data
        assert not any(b"stolen" in path.read_bytes() for path in database.glob(f"{FILE}*"))


def sha1(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()


def image(path: Path) -> None:
    """Like no other."""
    tifffile.imwrite(path, numpy.frombuffer(numpy.random.bytes(256), "uint8").reshape(16, 16))


Swap = Callable[..., Any]


def before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, swap: Swap) -> None:
    """amy swaps just before `name` of `owner` is called for a file of hers."""
    real = getattr(owner, name)

    def called(*arguments: Any, **more: Any) -> Any:
        if "myData" in f"{arguments} {getattr(arguments[0], '_fileset', '')}":
            swap()
        return real(*arguments, **more)

    monkeypatch.setattr(owner, name, called)


# Each step: what is called at its beginning.
STEPS: dict[str, tuple[Any, str]] = {
    "between meet and settle": (Resting, "_hand_on"),
    "between settle and group": (groupers, "group_whole"),
    "between group and sidecar": (importing, "read_sidecar"),
    "between group and upload": (native.NativeImport, "run"),
    "between upload and remove": (sources, "remove"),
    "before quarantine": (quarantine, "move_out"),
}
SWAPS = ["root", "exchanged root", "middle", "file"]


@pytest.fixture
def swapping(make_whole: Callable[..., Whole], tmp_path: Path) -> Callable[..., Swapping]:
    return partial(Swapping, make_whole, tmp_path)


def _rows() -> Iterator[Any]:
    """Every swap at each step.  In a short run two of them, in turn, so that each is at three."""
    for number, step in enumerate(STEPS):
        for place, what in enumerate(SWAPS):
            marks = () if place % 2 == number % 2 else (pytest.mark.long,)
            yield pytest.param(step, what, id=f"{step}-{what}", marks=marks)


@pytest.mark.parametrize(("step", "what"), [*_rows()])
def test_at_each_step(
    swapping: Callable[..., Swapping], monkeypatch: pytest.MonkeyPatch, step: str, what: str
) -> None:
    foreign = "repository" if what == "file" else "zak"
    world = swapping(foreign=foreign, transfer="upload_rm")
    before(monkeypatch, *STEPS[step], partial(world.swap, what))
    if step == "before quarantine":
        (world.mine / NAME).write_bytes(b"no image at all")
    else:
        image(world.mine / NAME)
    world.whole.until("amy has swapped", lambda: world.swapped)
    world.goes_on()
    world.assert_nothing_foreign()
    if what.endswith("root"):
        world.whole.until_state("watch directory changed")


@pytest.mark.parametrize("foreign", ["zak", "repository"])
@pytest.mark.parametrize("what", ["root", "exchanged root", "middle"])
def test_while_nothing_is_under_way(
    swapping: Callable[..., Swapping], what: str, foreign: str
) -> None:
    if (what, foreign) == ("exchanged root", "repository"):
        pytest.skip("OMERO would have no repository any more")
    world = swapping(foreign=foreign, transfer="upload_rm")
    world.whole.until_state("running")
    world.swap(what)
    world.goes_on()
    world.assert_nothing_foreign()
    assert not [row for row in world.whole.journal.select() if row.user == "amy"]


@pytest.mark.parametrize("transfer", ["ln", "ln_s", "ln_rm", "cp_rm"])
@pytest.mark.parametrize("step", ["between group and upload", "between upload and remove"])
def test_in_place(
    swapping: Callable[..., Swapping], monkeypatch: pytest.MonkeyPatch, step: str, transfer: str
) -> None:
    if step == "between upload and remove" and not transfer.endswith("_rm"):
        pytest.skip("nothing is removed")
    world = swapping(foreign="zak", transfer=transfer)
    before(monkeypatch, *STEPS[step], partial(world.swap, "root"))
    image(world.mine / NAME)
    world.whole.until("amy has swapped", lambda: world.swapped)
    world.goes_on()
    world.assert_nothing_foreign()


def test_a_reload_takes_what_may_be_taken(swapping: Callable[..., Swapping]) -> None:
    world = swapping(foreign="zak", transfer="upload")
    whole = world.whole
    whole.until_state("running")
    (world.mine).rename(world.mine.with_name("old"))
    (world.mine / NAME.parent).mkdir(parents=True)
    image(world.mine / NAME)
    whole.dropbox.rescanner.ask()
    whole.until_state("watch directory changed")
    left, ends = f"left.{world.mine}", "omero fs reload takes it, if that is meant"
    whole.until("it is told", lambda: whole.dropbox.figures().get(left, "").endswith(ends))
    before = whole.dropbox.figures()["seen"]
    whole.dropbox.reconfigure(whole.properties | {"omero.fs.rescanInterval": "3000"})
    whole.until("it is reloaded", lambda: whole.dropbox.figures()["seen"] != before)
    whole.until_known(world.mine / NAME)
    whole.until_state("running")
