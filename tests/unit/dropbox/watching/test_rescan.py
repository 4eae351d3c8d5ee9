"""The look at the whole tree: what it finds, and what it says of the rest."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.confine.roots import RootChanged
from omero_fs_plugin.dropbox.disks.calls import HUNG_S, LOST_S, Calls, RootAway
from omero_fs_plugin.dropbox.watching import rescan
from omero_fs_plugin.dropbox.watching.rescan import oddity_at, top, walk
from omero_fs_plugin.stores import MARKERS
from tests.clocks import Ahead


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "amy"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.tif").write_bytes(b"a")
    (root / "sub" / "deep" / "b.tif").write_bytes(b"b")
    (root / ".hidden").write_bytes(b"h")
    (root / ".sync").mkdir()
    (root / ".sync" / "c.tif").write_bytes(b"c")
    return root


def test_every_regular_file_once_and_no_dot_file(tree: Path) -> None:
    assert sorted(met.path for met in walk(str(tree))) == [
        str(tree / "a.tif"),
        str(tree / "sub" / "deep" / "b.tif"),
    ]


def test_directories_one_in_the_other_without_end_are_not_entered(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels, below = 300, os.open(tree, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=below)
        inner = os.open("d", os.O_RDONLY, dir_fd=below)
        os.close(below)
        below = inner
    for name in ("last.tif", "x" * 251 + ".tif"):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=below))
    os.close(below)
    last = tree / "/".join("d" * rescan.DEEPEST) / "at-the-limit.tif"
    last.touch()
    opened, open_ = [0], os.open

    def counted(*given: object, **how: object) -> int:
        opened[0] += 1
        return open_(*given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", counted)
    told: dict[str, str] = {}
    errors: list[OSError] = []
    found = {met.path for met in walk(str(tree), told.__setitem__, failed=errors.append)}
    assert found == {str(tree / "a.tif"), str(tree / "sub" / "deep" / "b.tif"), str(last)}
    assert opened[0] < rescan.DEEPEST**2, "each directory is reached from the top"
    assert told == {str(last.parent / "d"): rescan.TOO_DEEP}
    assert not errors, "nothing has to be looked at again soon"


def test_what_is_no_file_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tree / "pipe.tif")
    (tree / "link.tif").symlink_to(tree / "a.tif")
    (tree / "door").symlink_to(tree / "sub")
    monkeypatch.chdir(tree)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.tif")
        told: dict[str, str] = {}
        found = [Path(met.path).name for met in walk(str(tree), told.__setitem__)]
    assert sorted(found) == ["a.tif", "b.tif"]
    assert {Path(path).name: why.split(",")[0] for path, why in told.items()} == {
        "pipe.tif": "not a file",
        "socket.tif": "not a file",
        "link.tif": "a symbolic link",
        "door": "a symbolic link",
    }
    assert {path: oddity_at(path) for path in told} == told


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_what_cannot_be_listed_is_told(tree: Path) -> None:
    (tree / "sub").chmod(0)
    told: dict[str, str] = {}
    assert [met.path for met in walk(str(tree), told.__setitem__)] == [str(tree / "a.tif")]
    assert told == {str(tree / "sub"): "cannot be listed: Permission denied"}
    (tree / "sub").chmod(0o755)


def test_a_listing_that_breaks_off_is_told_and_closed(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a share that goes away in the middle: the rest of the tree is looked at."""
    real, closed = os.scandir, []

    class Broken:
        def __init__(self, directory: int) -> None:
            self._entries = real(directory)
            self._breaks = Path(f"/proc/self/fd/{directory}").readlink().name == "sub"

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()
            closed.append(self)

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            yield from self._entries
            if self._breaks:
                raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "scandir", Broken)
    (tree / "sub" / "deep" / "b.tif").rename(tree / "sub" / "b.tif")
    told: dict[str, str] = {}
    found = sorted(Path(met.path).name for met in walk(str(tree), told.__setitem__))
    assert found == ["a.tif", "b.tif"]
    assert told == {str(tree / "sub"): "cannot be listed: Stale file handle"}
    assert len(closed) == 3


@pytest.mark.parametrize("at_once", [2, 1_000], ids=["in several lists", "in one"])
@pytest.mark.parametrize("breaks", [False, True], ids=["", "breaks off"])
@pytest.mark.parametrize("marker", MARKERS)
def test_a_marker_is_found_wherever_it_is_listed(
    tree: Path, monkeypatch: pytest.MonkeyPatch, marker: str, breaks: bool, at_once: int
) -> None:
    """Here it is the last name, or comes only after a listing has broken off."""
    real = os.scandir

    class MarkerLast:
        def __init__(self, directory: int) -> None:
            self._entries = real(directory)

        def __enter__(self) -> MarkerLast:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            every = sorted(self._entries, key=lambda entry: entry.name == marker)
            last = bool(every) and every[-1].name == marker
            yield from every[:-1] if last and breaks else every
            if last and breaks:
                raise OSError(errno.ESTALE, "Stale file handle")

    for number in range(5):
        (tree / "sub" / f"{number}").touch()
    (tree / "sub" / marker).touch()
    monkeypatch.setattr(rescan, "AT_ONCE", at_once)
    monkeypatch.setattr(os, "scandir", MarkerLast)
    told: dict[str, str] = {}
    found = [met.path for met in walk(str(tree), told.__setitem__)]
    store = f"{tree}/sub/"
    assert sorted(found) == [str(tree / "a.tif"), *([] if breaks else [store])]
    assert list(told) == ([store] if breaks else []), "and none of its files alone"


def test_a_directory_that_is_no_marker_makes_no_store(tree: Path) -> None:
    (tree / "sub" / MARKERS[0]).mkdir()
    assert str(tree / "sub" / "deep" / "b.tif") in {met.path for met in walk(str(tree))}


def test_only_where_a_name_is_that_of_a_marker_is_it_looked_for(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large letter in it may be the same name on this disk."""
    asked: list[object] = []
    monkeypatch.setattr(rescan, "has_marker", lambda descriptor: bool(asked.append(descriptor)))
    (tree / "sub" / "zarr.json.tif").touch()
    list(walk(str(tree)))
    assert not asked
    (tree / "sub" / "ZARR.json").touch()
    list(walk(str(tree)))
    assert len(asked) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("marker", [False, True], ids=["", "with a marker"])
def test_one_that_may_be_listed_and_not_entered_is_told_as_one(tree: Path, marker: bool) -> None:
    """A hundred thousand files in it are not each looked at again every five seconds."""
    for number in range(3):
        (tree / "sub" / f"{number}.tif").touch()
    if marker:
        (tree / "sub" / MARKERS[0]).touch()
    (tree / "sub").chmod(0o444)
    told: list[tuple[str, str]] = []
    errors: list[OSError] = []
    try:
        found = [
            met.path
            for met in walk(
                str(tree), lambda path, why: told.append((path, why)), failed=errors.append
            )
        ]
    finally:
        (tree / "sub").chmod(0o755)
    assert found == [str(tree / "a.tif")]
    assert told == [(str(tree / "sub"), "cannot be listed: Permission denied")]
    assert [type(error) for error in errors] == [PermissionError]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_one_file_that_may_not_be_looked_at_hides_no_other(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SELinux says it of a single file."""
    real = os.scandir

    class Refused:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.name, self.path, self.is_file = entry.name, entry.path, entry.is_file

        def stat(self, *, follow_symlinks: bool) -> os.stat_result:
            raise PermissionError(errno.EACCES, "Permission denied")

    class Listed:
        def __init__(self, directory: int) -> None:
            self._entries = real(directory)

        def __enter__(self) -> Listed:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()

        def __iter__(self) -> Iterator[object]:
            for entry in self._entries:
                yield Refused(entry) if entry.name == "shut.tif" else entry

    for name in ("b.tif", "shut.tif", "z.tif"):
        (tree / "sub" / name).touch()
    monkeypatch.setattr(os, "scandir", Listed)
    told: dict[str, str] = {}
    found = {Path(met.path).name for met in walk(str(tree), told.__setitem__)}
    assert found == {"a.tif", "b.tif", "z.tif"}
    assert told == {str(tree / "sub" / "shut.tif"): "cannot be looked at: Permission denied"}


def test_a_share_that_lists_slowly_is_not_one_that_does_not_answer(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whatever else is asked of it fails, until the first thousand names have come."""
    real, clock = os.scandir, Ahead()
    calls = Calls(clock)
    answered: list[bool] = []

    class Slow:
        def __init__(self, directory: int) -> None:
            self._entries = real(directory)

        def __enter__(self) -> Slow:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()

        def __iter__(self) -> Iterator[os.DirEntry[str]]:
            for entry in self._entries:
                clock.ahead += 0.75 * HUNG_S
                answered.append(calls.answers(str(tree)))
                yield entry

    for number in range(5):
        (tree / "sub" / f"{number}.tif").touch()
    monkeypatch.setattr(os, "scandir", Slow)
    with calls.at(str(tree)) as call:
        assert len(list(walk(str(tree), call=call))) == 7
    assert len(answered) > 7 and all(answered)


class Endless:
    """A listing of a share that lists names for ever; of any other directory the real one."""

    def __init__(self, real: object, directory: int, endless: str) -> None:
        self._entries = real(directory)  # type: ignore[operator]
        self._endless = Path(f"/proc/self/fd/{directory}").readlink().name == endless
        self.listed = 0

    def __enter__(self) -> Endless:
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.close()

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        every = list(self._entries)
        yield from every
        while self._endless:
            assert self.listed < 1_000, "it would be listed for ever"
            self.listed += 1
            yield every[0]


def test_a_directory_that_lists_names_for_ever_has_an_end(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "sub" / "c.tif").touch()
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda directory: Endless(real, directory, "sub"))
    monkeypatch.setattr(rescan, "MOST_NAMES", 20)
    told: dict[str, str] = {}
    found = {met.path for met in walk(str(tree), told.__setitem__)}
    assert str(tree / "a.tif") in found, "the rest of the tree is looked at"
    assert told == {str(tree / "sub"): "more than 20 names in one directory: the rest is not met"}
    directories, _ = top(str(tree / "sub"))
    assert len(directories) <= 20


def test_one_who_stops_looking_leaves_no_directory_open(tree: Path) -> None:
    def open_directories() -> list[str]:
        links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return [link for link in map(os.readlink, links) if link.startswith(str(tree))]

    looking = walk(str(tree))
    next(looking)
    looking.close()
    assert open_directories() == []


def test_nothing_is_odd_about_files_directories_and_what_is_not_there(tree: Path) -> None:
    assert [oddity_at(str(tree / name)) for name in ("a.tif", "sub", "gone")] == ["", "", ""]


def test_the_top_has_directories_and_strays(tree: Path) -> None:
    (tree / "link").symlink_to(tree / "sub")
    names, strays = top(str(tree))
    assert names == ["sub"]
    assert [met.path for met in strays] == [str(tree / "a.tif")]


def test_a_directory_that_is_away_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        top(str(tmp_path / "unmounted"))


class TestADiskThatIsNotThere:
    """Each directory of the tree would only say the same, and perhaps slowly."""

    @pytest.fixture
    def wide(self, tmp_path: Path) -> Path:
        root = tmp_path / "zak"
        for number in range(50):
            (root / str(number)).mkdir(parents=True)
            (root / str(number) / "a.tif").write_bytes(b"a")
        return root

    def failing(
        self, monkeypatch: pytest.MonkeyPatch, error: OSError, *, after: int = 3
    ) -> list[str]:
        """The directories that are listed; all but the first of them fail with `error`."""
        real, asked = rescan.listing, []

        def listing(root: str, directory: str) -> AbstractContextManager[int]:
            asked.append(directory)
            if len(asked) > after:
                raise error
            return real(root, directory)

        monkeypatch.setattr(rescan, "listing", listing)
        return asked

    def test_one_that_is_away_ends_the_walk(
        self, wide: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = self.failing(monkeypatch, RootAway(str(wide), 3.0))
        with pytest.raises(RootAway):
            list(walk(str(wide)))
        assert len(asked) == 4

    @pytest.mark.parametrize(
        "error",
        [
            OSError(errno.ENOTCONN, "Transport endpoint is not connected"),
            OSError(errno.ETIMEDOUT, "Connection timed out"),
            OSError(errno.EHOSTDOWN, "Host is down"),
            RootChanged("another directory is there than the one that was taken"),
        ],
        ids=["FUSE ended", "NFS gave up", "CIFS gave up", "exchanged"],
    )
    def test_what_holds_for_all_of_it_ends_the_walk(
        self, wide: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
    ) -> None:
        asked, failed = self.failing(monkeypatch, error), []
        found = list(walk(str(wide), failed=failed.append))
        assert (len(asked), len(found), failed) == (4, 2, [error])

    def test_what_holds_for_one_directory_does_not(
        self, wide: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = self.failing(monkeypatch, OSError(errno.EIO, "Input/output error"))
        assert len(list(walk(str(wide)))) == 2
        assert len(asked) == 51

    def test_a_walk_that_was_given_up_ends_with_its_last_directory(self, wide: Path) -> None:
        """Another thread may have taken over its root, also while it is at the last entry."""
        (wide / "7" / "b.tif").write_bytes(b"b")
        clock = Ahead()
        calls = Calls(clock)
        call = calls.at(str(wide))
        call.__enter__()
        found = walk(str(wide / "7"), call=call)
        next(found)
        clock.ahead += LOST_S
        assert calls.give_up(str(wide), clock())
        with pytest.raises(RootAway):
            list(found)
        with pytest.raises(RootAway):
            call.__exit__(None, None, None)
