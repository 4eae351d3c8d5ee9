"""What killed processes left in the directory for what is temporary goes; all else stays."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from omero_fs_plugin import scratch


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for what is temporary."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def _killed(name: str) -> Path:
    """The directory of a process that is no more, with something in it."""
    code = (
        "import os, signal, sys; from omero_fs_plugin import scratch\n"
        f"with scratch.Scratch({name!r}) as made:\n"
        "    (made / 'a').mkdir(); (made / 'a' / 'b').write_text('b'); print(made, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": tempfile.gettempdir()}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    left = Path(done.stdout.strip())
    assert (left / "a" / "b").exists(), done.stderr
    return left


def test_what_a_killed_process_left_goes_when_the_next_one_is_made() -> None:
    left, others = _killed("omero-fs-a"), _killed("omero-fs-b")
    with scratch.Scratch("omero-fs-a") as ours:
        assert not left.exists()
        assert ours.stat().st_mode & 0o777 == 0o700
    assert others.exists()  # of another kind: somebody else looks for it
    assert not ours.exists()


def test_what_a_process_that_lives_has_stays() -> None:
    with scratch.Scratch("omero-fs-a") as first, scratch.Scratch("omero-fs-a") as second:
        assert first.exists() and second.exists() and first != second


def test_a_link_is_not_followed(place: Path) -> None:
    """Anybody may put one there, under any name."""
    (place / "target").mkdir()
    link = place / "omero-fs-a-link"
    link.symlink_to(place / "target")
    file = place / "omero-fs-a-file"
    file.touch()
    with scratch.Scratch("omero-fs-a"):
        assert link.is_symlink() and file.exists() and (place / "target").exists()


@pytest.mark.parametrize("removed", [True, False])
def test_one_that_is_taken_for_left_before_it_has_its_lock_is_made_again(
    monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    """Another process looks around between two steps: it removed the directory, or is about to."""
    open_ = os.open
    theirs: list[int] = []

    def opened(path: Path, flags: int) -> int:
        descriptor = open_(path, flags)
        if not theirs:
            theirs.append(open_(path, flags))
            if removed:
                Path(path).rmdir()
            else:
                fcntl.flock(theirs[0], fcntl.LOCK_EX)
        return descriptor

    with monkeypatch.context() as patch:
        patch.setattr(scratch.os, "open", opened)
        made = scratch.Scratch("omero-fs-a")
    os.close(theirs[0])
    assert made.path.exists()
    with scratch.Scratch("omero-fs-a"):
        assert made.path.exists()
    made.remove()
    made.remove()
    assert not made.path.exists()


def test_without_locks_nothing_is_removed_that_somebody_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_locks(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with scratch.Scratch("omero-fs-a") as first, scratch.Scratch("omero-fs-a") as second:
        assert first.exists() and second.exists()
    assert not first.exists()


def test_without_a_place_it_says_why(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "gone"))
    with pytest.raises(FileNotFoundError):
        scratch.Scratch("omero-fs-a")
