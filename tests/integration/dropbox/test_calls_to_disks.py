"""Every call to a user's disk is known as one, in a DropBox at work: so nobody waits for it."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omero_fs_plugin.dropbox.disks.calls import CALLS
from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import Whole

# The threads of DropBox; FSServer is in the same process here.
_OURS = ("dispatch", "importer", "upload", "grouper", "disk", "rescan", "begin", "configuration")
_BY_PATH = (
    *("stat", "lstat", "open", "scandir", "listdir", "readlink", "access", "statvfs"),
    *("mkdir", "rename", "link", "unlink", "rmdir", "chmod", "utime", "truncate"),
)
_BY_DESCRIPTOR = ("read", "pread", "fstat", "fsync", "fstatvfs")


class Watch:
    """Notes the calls of DropBox to what is below `top` that are no calls of its root."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top = str(top)
        self.wrong: dict[str, str] = {}
        self.seen: set[str] = set()
        self._readlink = os.readlink
        for name in (*_BY_PATH, *_BY_DESCRIPTOR):
            monkeypatch.setattr(os, name, self._watched(name, getattr(os, name)))

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **more: Any) -> Any:
            if threading.current_thread().name.startswith(_OURS):
                beside = (more.get(key) for key in ("dir_fd", "src_dir_fd", "dst_dir_fd"))
                for one in (*arguments[:2], *beside):
                    self._look(name, one)
            return real(*arguments, **more)

        return called

    def _look(self, name: str, what: Any) -> None:
        if isinstance(what, bool) or not isinstance(what, (str, bytes, int, os.PathLike)):
            return
        if isinstance(what, int):
            try:
                path = self._readlink(f"/proc/self/fd/{what}")
            except OSError:
                return
        else:
            path = os.fsdecode(what)
        if path != self.top and not path.startswith(f"{self.top}/"):
            return
        self.seen.add(name)
        call = getattr(CALLS._mine, "call", None)
        # Below the root of the call, or on the way to it.
        if call is None or not (
            f"{path}/".startswith(f"{call.root}/") or f"{call.root}/".startswith(f"{path}/")
        ):
            where = traceback.extract_stack(limit=8)[:-2]
            if any("omero_fs_plugin/monitor/" in one.filename for one in where):
                return  # FSServer, called from a thread of ours because it is in this process
            at = next(
                (one for one in reversed(where) if "omero_fs_plugin" in one.filename), where[-1]
            )
            root = "no root" if call is None else call.root
            self.wrong[f"{name} in {at.name}, {Path(at.filename).name}:{at.lineno}"] = (
                f"{path} at {root}"
            )


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    yield Watch(tmp_path / "OMERO" / "DropBox", monkeypatch)


@pytest.mark.parametrize("transfer", ["upload", "upload_rm", "ln", "ln_s", "cp"])
def test_in_a_dropbox_at_work(
    watch: Watch, make_whole: Callable[..., Whole], tmp_path: Path, transfer: str
) -> None:
    whole = make_whole(transfer=transfer, quarantine=str(tmp_path / "bad"))
    before = whole.drop("before.tif")
    whole.until_known(before)
    sidecar = whole.watch_dir / "amy" / "day" / "omero-fs.toml"
    sidecar.parent.mkdir()
    sidecar.write_text('description = "described"\n')
    files = [whole.drop(f"day/{number}.tif") for number in range(3)]
    bad = whole.watch_dir / "zak" / "bad.ome.tif"
    bad.write_bytes(b"rubbish")
    whole.until_known(*files)
    whole.until("it is in quarantine", lambda: list((tmp_path / "bad").rglob("bad.ome.tif")))
    whole.dropbox.rescanner.ask()
    whole.until_known(whole.drop("last.tif"))
    whole.until_settled()
    assert whole.journal.counts()[State.FAILED] == 1
    assert {"open", "fstat", "lstat", "scandir"} <= watch.seen, "it looks at what it is to look at"
    assert not watch.wrong, "\n".join(f"{at}: {what}" for at, what in sorted(watch.wrong.items()))
