"""The bounds of a process that reads users' files.  A served module tries to pass each of them."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.grouping.child import landlock
from omero_fs_plugin.dropbox.grouping.child.bounds import Bounds
from omero_fs_plugin.dropbox.grouping.child.process import Child, ChildDied
from omero_fs_plugin.dropbox.processes.program import STARTED_BY

ATTEMPTING = f"{__name__.rpartition('.')[0]}.attempting"
NOTHING_OF_KERNEL = "this kernel has no Landlock"

needs_landlock = pytest.mark.skipif(not landlock.abi(), reason=NOTHING_OF_KERNEL)

Try = Callable[[str, object], int]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A watched directory with a file, and an OMERO.server beside it."""
    for name in ("drop/amy", "drop/zak", "OMERO.server/etc/grid", "repository"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "drop/amy/a.tif").write_bytes(b"II*\0")
    (tmp_path / "OMERO.server/etc/grid/config.xml").write_text("<password/>")
    (tmp_path / "repository/image.tif").write_bytes(b"II*\0")
    (tmp_path / "drop/amy/link.tif").symlink_to(tmp_path / "repository/image.tif")
    return tmp_path


@pytest.fixture
def child(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    monkeypatch.setenv("OMERO_ROOT_PASSWORD", "secret")
    monkeypatch.setenv("PYTHONPATH", str(place))
    one = Child(ATTEMPTING, Bounds((str(place / "drop"),), memory=256), {}, scratch=True)
    yield one
    one.close()


@pytest.fixture
def attempt(child: Child) -> Try:
    def attempted(what: str, given: object) -> int:
        return int(child.ask({"what": what, "with": str(given)}, 20)["errno"])

    return attempted


def test_it_reads_what_is_watched(attempt: Try, place: Path) -> None:
    assert attempt("read", place / "drop/amy/a.tif") == 0
    assert attempt("list", place / "drop/zak") == 0


@needs_landlock
@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/hostname",
        "{place}/OMERO.server/etc/grid/config.xml",
        "{place}/repository/image.tif",
        "{place}/drop/amy/link.tif",
        "{place}/drop/../repository/image.tif",
        "/proc/{parent}/environ",
        "/proc/{parent}/maps",
        "/proc/1/cmdline",
        "/var/log/dpkg.log",
    ],
)
def test_it_reads_nothing_else(attempt: Try, place: Path, path: str) -> None:
    named = path.format(place=place, parent=os.getpid())
    assert attempt("read", named) in (errno.EACCES, errno.EPERM)


@needs_landlock
@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("list", "/etc"),
        ("list", "/"),
        ("list", "{place}"),
        ("list", "{place}/OMERO.server"),
        ("write", "{place}/drop/amy/new.tif"),
        ("write", "{place}/drop/amy/a.tif"),
        ("append", "{place}/drop/amy/a.tif"),
        ("truncate", "{place}/drop/amy/a.tif"),
        ("remove", "{place}/drop/amy/a.tif"),
        ("rename", "{place}/drop/amy/a.tif"),
        ("make a directory", "{place}/drop/amy/made"),
        ("make a link", "{place}/drop/amy/made"),
        ("link in", "{place}/drop/amy/made"),
        ("make a FIFO", "{place}/drop/amy/made"),
        ("write", "{place}/elsewhere"),
        ("write", "/tmp/omero-fs-elsewhere"),
        ("append", "{place}/OMERO.server/etc/grid/config.xml"),
        ("execute", "/bin/true"),
        ("execute", "/usr/bin/env"),
    ],
)
def test_it_changes_and_runs_nothing(attempt: Try, place: Path, what: str, path: str) -> None:
    before = sorted(str(one) for one in place.rglob("*"))
    assert attempt(what, path.format(place=place)) in (errno.EACCES, errno.EPERM, errno.EXDEV)
    assert sorted(str(one) for one in place.rglob("*")) == before
    assert (place / "drop/amy/a.tif").read_bytes() == b"II*\0"


@pytest.mark.parametrize("what", ["change the mode", "change the time", "set an attribute"])
def test_it_changes_nothing_of_what_is_beside_the_content(
    attempt: Try, place: Path, what: str
) -> None:
    path = place / "drop/amy/a.tif"
    before = path.stat()
    assert attempt(what, path) == errno.EACCES
    assert path.stat() == before


def test_it_talks_to_nobody(attempt: Try, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for what in ("connect", "send over UDP"):
            assert attempt(what, port) == errno.EACCES
    assert attempt("bind", "") == errno.EACCES
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "drop/amy/socket"))
        assert attempt("connect to a socket", place / "drop/amy/socket") == errno.EACCES


@needs_landlock
def test_it_leaves_other_processes_alone(attempt: Try) -> None:
    assert attempt("trace", os.getpid()) == errno.EACCES
    if landlock.abi() >= 6:
        assert attempt("signal", os.getpid()) == errno.EPERM
    if os.getuid():  # no limit holds for root
        assert attempt("fork", "") == errno.EAGAIN


def test_its_memory_has_a_limit(attempt: Try, child: Child) -> None:
    assert child.ask({"what": "fill", "with": "300"}, 20) == {"errno": "memory"}
    assert attempt("fill", 20) == 0


def test_its_scratch_directory_is_the_only_place_to_write(child: Child, attempt: Try) -> None:
    scratch = Path(child.ask({"what": "show"}, 20)["environment"]["TMPDIR"])
    assert attempt("write", scratch / "note") == 0
    assert attempt("read", scratch / "note") == 0
    child.close()
    assert not scratch.exists()


def test_it_holds_no_secret(child: Child, place: Path) -> None:
    shown = child.ask({"what": "show"}, 20)
    assert "secret" not in str(shown["environment"])
    known = {"PATH", "LD_LIBRARY_PATH", "TZ", "JAVA_HOME", "LC_ALL", "LC_CTYPE", "HOME", "TMPDIR"}
    known.add(STARTED_BY)
    assert set(shown["environment"]) <= known
    # Nothing of ours is open in it: the null device, what it says, the socket and the pulse.
    kinds = ("/dev/null", "pipe:", "socket:", "/memfd:pulse", "/proc/")
    assert [one for one in shown["held"] if one and not one.startswith(kinds)] == []


@needs_landlock
def test_a_directory_that_does_not_answer_is_left_out(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not there stands for it: neither can be opened in time."""
    roots = (str(place / "drop/amy"), str(place / "gone"))
    one = Child(ATTEMPTING, Bounds(roots), {})
    try:
        assert [*one.roots] == [roots[0]] and one.asked_roots == roots
    finally:
        one.close()


@needs_landlock
def test_one_that_is_known_not_to_answer_is_not_waited_for(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each child waited five seconds for it, and everybody's files with it."""
    roots = (str(place / "drop/amy"), str(place / "drop/zak"))
    monkeypatch.setattr(CALLS, "answers", lambda root: root != roots[1])
    one = Child(ATTEMPTING, Bounds(roots), {})
    try:
        assert [*one.roots] == [roots[0]] and one.asked_roots == roots
    finally:
        one.close()


def test_without_landlock_the_rest_still_holds(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The served module says that the kernel has none, before the bounds are taken."""
    one = Child(f"{ATTEMPTING}_without", Bounds((str(place / "drop"),), memory=256), {})
    try:
        assert one.ready["bound"]["landlock"] == 0  # type: ignore[index]
        asked = {"what": "read", "with": str(place / "repository/image.tif")}
        assert one.ask(asked, 20) == {"errno": 0}
        assert one.ask({"what": "bind", "with": ""}, 20) == {"errno": errno.EACCES}
        assert one.ask({"what": "fill", "with": "300"}, 20) == {"errno": "memory"}
    finally:
        one.close()


def test_one_that_cannot_be_served_says_why(place: Path) -> None:
    with pytest.raises(ChildDied, match="could not be started: ModuleNotFoundError"):
        Child("omero_fs_plugin.no_such", Bounds(()), {})


@pytest.mark.parametrize(
    ("last", "said"),
    [("", "ended with exit code 3"), ("out of paper", "ended with exit code 3: out of paper")],
)
def test_why_it_ended_is_what_it_printed_for_this_request(
    child: Child, attempt: Try, last: str, said: str
) -> None:
    """Libraries print notices at their start, as SLF4J without a provider: they explain nothing."""
    attempt("print", "a notice of a library")
    with pytest.raises(ChildDied) as died:
        attempt("exit", last)
    assert str(died.value) == said


def test_one_that_prints_without_end_is_not_waited_for_without_end(child: Child) -> None:
    """What it prints is no answer, and no sign that it gets on."""
    rescue = threading.Timer(30.0, child.kill)
    rescue.start()
    try:
        with pytest.raises(ChildDied, match="no answer within 1 s"):
            child.ask({"what": "print without end", "with": ""}, 1.0)
    finally:
        rescue.cancel()
        rescue.join()


def test_bounds_arrive_as_they_were_sent() -> None:
    bounds = Bounds(("/a", "/b"), ("/e",), ("/e",), ("/c",), "/d", 5, 6, True)
    assert Bounds.of(bounds.frame()) == bounds == replace(bounds)
