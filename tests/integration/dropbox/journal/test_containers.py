"""Two DropBoxes with one hostname, each in a namespace of pids of its own, as in two containers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import EXPIRES, Holder, Lease

TOP = Path(__file__).parents[4]
# Takes the lease, if it can, and says whether it could and who it is.  Each line on its input
# is the holder of another process: it says whether that one is dead.
INSIDE = """
import os, sys
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.lease import Holder, Lease
lease = Lease(Journal(sys.argv[1]))
print(lease.hold(0.0), flush=True)
print(Holder.me(), flush=True)
for line in sys.stdin:
    print(Holder.parse(line.strip()).is_dead(Holder.me()), flush=True)
"""


class Inside:
    """A process in a namespace of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.has_it = self.hears() == "True"
        self.holder = Holder.parse(self.hears())

    def hears(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "it has ended"
        return line.strip()

    def takes_for_dead(self, other: Holder) -> bool:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{other}\n")
        self._process.stdin.flush()
        return self.hears() == "True"


@contextmanager
def inside(url: str, *, own_proc: bool = True) -> Iterator[Inside]:
    """`own_proc`: /proc has the processes of that namespace, as in every container."""
    alone = ["unshare", "--pid", "--fork", "--kill-child"]
    alone += ["--mount-proc"] if own_proc else []
    alone += ["--user", "--map-root-user"] if os.geteuid() else []
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespace of pids can be made here")
    with subprocess.Popen(
        [*alone, sys.executable, "-c", INSIDE, url],
        cwd=TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Inside(process)
        finally:
            process.kill()


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'journal.sqlite'}"
    Journal(url).close()
    return url


def test_a_holder_in_another_namespace_is_not_dead(url: str) -> None:
    with inside(url) as first:
        assert first.has_it
        me = Holder.me()
        assert (first.holder.host, first.holder.boot) == (me.host, me.boot)
        assert first.holder.pids not in ("", me.pids)
        assert not first.holder.is_dead(me), "its pid is another process here"
        assert not first.takes_for_dead(me)
        with inside(url) as second:
            assert not second.has_it
            assert second.holder.pid == first.holder.pid, "which says nothing"
            assert not second.takes_for_dead(first.holder)
            assert not first.takes_for_dead(second.holder)


def test_a_holder_in_another_namespace_that_was_killed_has_its_time(url: str) -> None:
    with inside(url) as first:
        assert first.has_it
    journal = Journal(url)
    lease = Lease(journal)
    assert not first.holder.is_dead(Holder.me()), "nobody here can know"
    assert not lease.hold(0.0)
    assert not lease.hold(EXPIRES - 1)
    assert lease.hold(EXPIRES)
    journal.close()


def test_where_proc_is_of_another_namespace_time_decides(url: str) -> None:
    """What stands there under its pid is another process: it may end, and the holder live."""
    with inside(url, own_proc=False) as first:
        assert first.has_it
        assert first.holder.pids == ""
        assert not first.takes_for_dead(first.holder)
        dead_here = Holder(**{**vars(first.holder), "started": "1"})
        assert not first.takes_for_dead(dead_here)
