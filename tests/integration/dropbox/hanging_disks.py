"""zak's share hangs at each step of a file's way, and amy's files are imported as ever.

test_hanging_disks.py runs each of these, in a mount namespace and a process of its own.  zak's
directory is a share that stops answering, amy's is a disk.  In every case:

- amy's file takes no longer than without the hang, but for her quiet period and the noise of the
  machine; both figures are printed,
- status names zak's directory,
- once the share answers, every file of zak's is in OMERO once.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy
import pytest
import tifffile

from omero_fs_plugin.dropbox.importing import crew, tidying
from omero_fs_plugin.dropbox.journal.states import State
from omero_fs_plugin.dropbox.settling import looks
from tests import bioformats
from tests.integration.blitz import seed
from tests.integration.hanging.share import Share
from tests.integration.whole import Whole
from tests.stores import Store
from tests.stores import image as store_image

from .test_rules import reconfigure
from .test_stores import install_reader

SEVERAL = 6  # files of zak's that hang: more than there are importers and groupers
MIB = 2**20
# The issue asks for the quiet period and 1 s, the rest is for the noise of a machine in use.
MARGIN = 4.0  # s; less than a child once waited for a disk that hangs
STOP = 10.0  # s
_OF_FSSERVER = ("monitor-", "pulse")  # the names of its threads begin so


def image(path: Path, side: int = 16) -> Path:
    """An image like no other, `side` pixels wide and high, of a byte each."""
    pixels = numpy.frombuffer(numpy.random.bytes(side * side), "uint8").reshape(side, side)
    tifffile.imwrite(path, pixels)
    return path


def measured(what: str) -> None:
    """For test_hanging_disks.py to show."""
    sys.stdout.write(f"measured: {what}\n")


class Scene:
    """A Whole whose zak is on a share."""

    def __init__(self, whole: Whole, share: Share) -> None:
        self.whole, self.share = whole, share
        self.of_amy: list[Path] = []
        self.before = max(self.import_of_amy() for _ in range(2))

    # -- what users do ------------------------------------------------------

    def zak_drops(self, name: str, side: int = 16, number: int = SEVERAL) -> list[Path]:
        """He does so on another machine, so that this does not hang; the paths as seen here."""
        paths = []
        for count in range(number):
            made = f"{name}{count}.tif"
            image(self.share.behind / made, side)
            paths.append(self.share.point / made)
        return paths

    def import_of_amy(self) -> float:
        """How long it takes, in s."""
        began = time.monotonic()
        path = self.whole.drop(f"of amy {len(self.of_amy)}.tif")
        self.of_amy.append(path)
        self.whole.until_known(path)
        return time.monotonic() - began

    # -- what hangs ---------------------------------------------------------

    def until_dropbox_hangs(self, *operations: str) -> None:
        """A thread that is not FSServer's, or another process, waits for the share."""

        def hangs() -> bool:
            waiting = self.share.waiting()  # first: a thread that begins later is none of these
            names = {thread.native_id: thread.name for thread in threading.enumerate()}
            return any(
                not names.get(one.pid, "").startswith(_OF_FSSERVER)
                for one in waiting
                if not operations or one.operation in operations
            )

        self.whole.until("DropBox waits for the share", hangs)

    # -- what must come of it -----------------------------------------------

    def named(self) -> bool:
        """Whether status says of zak's directory that it does not answer."""
        place = str(self.share.point)
        return any(
            place in f"{name} {value}" and "does not answer" in value
            for name, value in self.whole.dropbox.figures().items()
        )

    def amy_is_served(self) -> None:
        """Three of her files, one after the other; and status names zak's directory."""
        took = [self.import_of_amy() for _ in range(3)]
        told = ", ".join(f"{seconds:.2f}" for seconds in took)
        measured(f"amy's file takes {self.before:.2f} s, and while zak's hang {told} s")
        assert max(took) <= self.before + MARGIN, (self.before, took)
        self.whole.until("status names zak's directory", self.named)

    def it_answers(self, files: Sequence[Path]) -> None:
        """Then all is imported, once, and status is as ever."""
        self.share.answer()
        everything = self.imported_once(files)
        self.whole.until("nothing half is left in OMERO", lambda: self._nothing_half(everything))
        self.whole.assert_once(*everything)
        self.whole.until("status is as ever", lambda: not self.named())

    def imported_once(self, files: Sequence[Path]) -> list[Path]:
        """Each of `files`, and of amy's, is one fileset with images; all of them."""
        self.whole.until_known(*files)
        self.whole.until_settled()
        everything = [*files, *self.of_amy]
        imported = {path: [ids for ids in self.whole.in_omero(path) if ids] for path in everything}
        assert all(len(found) == 1 for found in imported.values()), imported
        return everything

    def _nothing_half(self, files: Sequence[Path]) -> bool:
        """What a stop cut short is taken away when no call to OMERO can be late any more."""
        if all(len(self.whole.in_omero(path)) == 1 for path in files):
            return True
        self.whole.clock.pass_by(10)
        return False

    def pass_the_test(self, files: Sequence[Path]) -> None:
        """What every case has in common."""
        self.amy_is_served()
        self.it_answers(files)


@pytest.fixture
def make_scene(
    tmp_path: Path, make_whole: Callable[..., Whole], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Scene]]:
    """Makes a Scene; the share is let go before DropBox is stopped."""
    monkeypatch.setattr(tidying, "SWEEP_S", 1.0)  # by the clock on the wall, which does not leap
    made: list[Share] = []

    def make(*, own: bool = False, **properties: str) -> Scene:
        """`own`: zak has a rule, and so a monitor of his own; else all are below one root."""
        share = Share(tmp_path / "behind", tmp_path / "OMERO" / "DropBox" / "zak")
        made.append(share)
        if own:
            properties |= {"importUsers": "amy;zak"}
        whole = make_whole(**{"pollInterval": "0.2", **properties})
        whole.until_state("running")
        return Scene(whole, share)

    yield make
    for share in made:
        share.close()


@pytest.mark.parametrize("own", [False, True], ids=["below one root", "a root of his own"])
def test_meet(make_scene: Callable[..., Scene], own: bool) -> None:
    scene = make_scene(own=own)
    scene.share.hang()
    files = scene.zak_drops("met")
    scene.whole.dropbox.dispatch.heard(list(map(str, files)))  # as FSServer's word comes
    scene.until_dropbox_hangs()
    scene.pass_the_test(files)


def test_settle(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(dirImportWait="1.5")
    with scene.whole.clock.halted():  # nothing comes to rest before it hangs
        files = scene.zak_drops("settling")
        scene.whole.until_known(*files, states=(State.WAITING,))
        scene.share.hang()
    scene.until_dropbox_hangs()
    scene.pass_the_test(files)


def test_group(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene()
    scene.share.hang("open", "read", pattern="grouped*")
    files = scene.zak_drops("grouped")
    scene.until_dropbox_hangs("open", "read")
    scene.pass_the_test(files)


@pytest.mark.parametrize("killable", [True, False], ids=["killable", "not even killable"])
def test_group_by_bioformats(make_scene: Callable[..., Scene], killable: bool) -> None:
    bioformats.installation()
    scene = make_scene(bioformatsJars=bioformats.as_property(), bioformatsTimeout="600")
    scene.share.hang("open", "read", pattern="grouped*", killable=killable)
    files = scene.zak_drops("grouped")
    scene.until_dropbox_hangs("open", "read")
    scene.pass_the_test(files)


@pytest.mark.parametrize("own", [False, True], ids=["below one root", "a root of his own"])
def test_upload(make_scene: Callable[..., Scene], own: bool) -> None:
    scene = make_scene(own=own)
    scene.share.hang("read", pattern="uploaded*", beyond=MIB)
    files = scene.zak_drops("uploaded", side=1800)  # 3 MiB each
    scene.until_dropbox_hangs("read")
    scene.share.hang()
    scene.pass_the_test(files)


def test_new_processes(make_scene: Callable[..., Scene]) -> None:
    """Files of the share are open while the processes that read files end, and others take over."""
    scene = make_scene()
    scene.share.hang("read", pattern="uploaded*", beyond=MIB)
    files = scene.zak_drops("uploaded", side=1800)
    scene.until_dropbox_hangs("read")
    scene.share.hang()
    for _ in range(2):
        for grouper in scene.whole.dropbox.groupers._groupers:
            if (pid := getattr(grouper, "pid", None)) is not None:
                os.kill(pid, signal.SIGKILL)
        scene.amy_is_served()
    scene.it_answers(files)


def test_upload_of_many_users(
    make_scene: Callable[..., Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them on one share: it does not get the importers of the others."""
    monkeypatch.setattr(crew, "_MOST", 5)  # of 32
    users = [f"u{number}" for number in range(SEVERAL)]
    (tmp_path / "OMERO").mkdir()
    seed(tmp_path / "OMERO", ("amy", *users))
    for user in users:
        (tmp_path / "behind" / user).mkdir(parents=True)
    point = tmp_path / "OMERO" / "DropBox" / "zak"
    scene = make_scene(
        importUsers=";".join(("amy", *users)),
        watchDir=";".join(("", *(f"{point}/{user}" for user in users))),
    )
    scene.share.hang("read", pattern="*uploaded*", beyond=MIB)
    files = [scene.zak_drops(f"{user}/uploaded", side=1800, number=1)[0] for user in users]
    scene.until_dropbox_hangs("read")
    scene.whole.until_known(*files, states=(State.QUEUED, State.IMPORTING))
    scene.amy_is_served()
    rows = scene.whole.journal.select(State.IMPORTING)
    assert 1 <= len(rows) <= 4, rows
    scene.share.answer()
    scene.whole.until_known(*files)


def test_link_in_place(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(transfer="ln_s")
    scene.share.hang("read", pattern="linked*", beyond=MIB)
    files = scene.zak_drops("linked", side=1800, number=2)
    scene.until_dropbox_hangs("read")
    scene.pass_the_test(files)


def test_remove(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(transfer="upload_rm")
    scene.share.hang("unlink")
    files = scene.zak_drops("removed")
    scene.until_dropbox_hangs("unlink")
    scene.pass_the_test(files)
    scene.whole.until("all are removed", lambda: list(scene.share.behind.iterdir()) == [])


def test_quarantine(make_scene: Callable[..., Scene], tmp_path: Path) -> None:
    scene = make_scene(quarantine=str(tmp_path / "bad"))
    scene.share.hang("unlink")
    for number in range(SEVERAL):
        (scene.share.behind / f"bad{number}.ome.tif").write_bytes(b"rubbish %d" % number)
    scene.until_dropbox_hangs("unlink")
    scene.amy_is_served()
    files = scene.zak_drops("good")
    scene.it_answers(files)
    scene.whole.until(
        "all are in quarantine, once",
        lambda: (
            sorted(path.name for path in (tmp_path / "bad").rglob("*.tif"))
            == [f"bad{number}.ome.tif" for number in range(SEVERAL)]
        ),
    )
    assert not list(scene.share.behind.glob("bad*"))


def test_rescan(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene()
    known = scene.zak_drops("known")
    scene.whole.until_known(*known)
    scene.share.hang("opendir", "readdir")
    files = scene.zak_drops("found")
    scene.whole.dropbox.rescanner.ask()
    scene.until_dropbox_hangs()
    scene.whole.dropbox.rescanner.ask()
    scene.pass_the_test([*known, *files])


def test_sidecar(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene()
    scene.share.hang("open", "read", pattern="*omero-fs.toml")
    (scene.share.behind / "omero-fs.toml").write_text('description = "read late"\n')
    files = scene.zak_drops("described")
    scene.until_dropbox_hangs("open", "read")
    scene.pass_the_test(files)


STORE_STEPS: dict[str, tuple[str, ...]] = {
    "met": ("opendir", "readdir", "lookup", "getattr"),
    "its metadata": ("open", "read"),
    "uploaded": ("open", "read"),
    "known": ("opendir", "readdir", "lookup", "getattr"),
}


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("step", STORE_STEPS)
def test_store(
    make_scene: Callable[..., Scene],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    size: str,
) -> None:
    """A store of 21, or of 1,367 files, hangs below its top, and not where its directory lies."""
    server = tmp_path / "OMERO.server"
    (server / "lib" / "server").mkdir(parents=True)
    install_reader(server)
    monkeypatch.setenv("OMERODIR", str(server))
    for name in ("_LOOK_S", "_SOONEST_S", "_LATEST_S", "_KNOWN_S"):
        monkeypatch.setattr(looks, name, 0.2)
    scene = make_scene()
    pattern = {"its metadata": "*/.z*", "uploaded": "a.zarr/0/[0-9]*"}.get(step, "a.zarr/*")
    if step != "known":
        scene.share.hang(*STORE_STEPS[step], pattern=pattern)
    side = 16 if size == "small" else 132
    store = store_image(scene.share.behind / "a.zarr", levels=2, side=side)
    store.write()
    path = Store(scene.share.point / "a.zarr", files=store.files).path
    if step == "known":
        scene.whole.until_known(path)
        scene.share.hang(*STORE_STEPS[step], pattern=pattern)
    scene.until_dropbox_hangs(*STORE_STEPS[step])
    if step == "its metadata":  # read by a process that is ended then, so its row says it
        assert max(scene.import_of_amy() for _ in range(3)) <= scene.before + MARGIN
        scene.whole.until(
            "the store says so", lambda: "does not answer" in scene.whole.row(path).reason
        )
    else:
        scene.amy_is_served()
    scene.share.answer()
    scene.whole.until_known(path)
    scene.whole.until_settled()
    scene.whole.assert_once(*scene.of_amy)
    scene.whole.until("status is as ever", lambda: not scene.named())
    rows = [
        row for row in scene.whole.journal.select() if row.path.startswith(str(path).rstrip("/"))
    ]
    assert [row.state for row in rows] == [State.IMPORTED], rows
    (one,) = [f for f in scene.whole.filesets(scene.share.point / "a.zarr/.zgroup") if f.images]
    assert len(one.paths) == len(store.files)


def test_start(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene()
    files = scene.zak_drops("waiting")
    scene.whole.until_known(*files, states=(State.WAITING, State.QUEUED, State.IMPORTED))
    scene.whole.stop_dropbox()
    scene.share.hang()
    files += scene.zak_drops("new")
    began = time.monotonic()
    scene.whole.start_dropbox()
    measured(f"DropBox has started after {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < MARGIN
    scene.pass_the_test(files)


def test_reload(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(importUsers="default")
    scene.share.hang()
    files = scene.zak_drops("met")
    scene.whole.dropbox.dispatch.heard(list(map(str, files)))
    scene.until_dropbox_hangs()
    began = time.monotonic()
    reconfigure(scene.whole, dirImportWait="0.2")
    reconfigure(scene.whole, importUsers="amy;zak")
    measured(f"two changes are taken after {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 2 * MARGIN
    scene.pass_the_test(files)


STEPS: dict[str, tuple[str, ...]] = {
    "meet": (),
    "group": ("open", "read"),
    "upload": ("read",),
    "remove": ("unlink",),
    "rescan": ("opendir", "readdir"),
}


def lose(scene: Scene, how: str, operations: tuple[str, ...]) -> None:
    """The calls of a step are lost, and the share is well again."""
    scene.until_dropbox_hangs(*operations)
    if how == "it dies":
        scene.share.come_back()
        return
    scene.share.fail(errno.EIO, *operations)
    scene.share.let_go(errno.EIO)
    scene.whole.clock.sleep(1.5)  # it is tried again, in vain
    scene.share.answer()


@pytest.mark.parametrize(
    ("step", "how"),
    [
        *((step, how) for how in ("errors", "it dies") for step in STEPS),
    ],
)
def test_lost(make_scene: Callable[..., Scene], step: str, how: str) -> None:
    """A call in the middle of the step ends with an error, and no file is lost by it."""
    scene = make_scene(transfer="upload_rm" if step == "remove" else "upload")
    scene.share.hang(*STEPS[step], beyond=MIB if step == "upload" else 0)
    files = scene.zak_drops("lost", side=1800 if step == "upload" else 16)
    if step == "meet":
        scene.whole.dropbox.dispatch.heard(list(map(str, files)))
    elif step == "rescan":
        scene.whole.dropbox.rescanner.ask()
    lose(scene, how, STEPS[step])
    scene.whole.dropbox.rescanner.ask()
    scene.it_answers(files)
    assert scene.whole.journal.counts()[State.FAILED] == 0
    if step == "remove":
        scene.whole.until("all are removed", lambda: list(scene.share.behind.iterdir()) == [])


@pytest.mark.parametrize("step", STEPS)
def test_stop(make_scene: Callable[..., Scene], step: str) -> None:
    scene = make_scene(transfer="upload_rm" if step == "remove" else "upload")
    operations = STEPS[step]
    scene.share.hang(*operations, beyond=MIB if step == "upload" else 0)
    files = scene.zak_drops("stopped", side=1800 if step == "upload" else 16)
    if step == "meet":
        scene.whole.dropbox.dispatch.heard(list(map(str, files)))
    elif step == "rescan":
        scene.whole.dropbox.rescanner.ask()
    scene.until_dropbox_hangs(*operations)
    scene.share.hang()
    began = time.monotonic()
    scene.whole.stop_dropbox()
    took = time.monotonic() - began
    measured(f"DropBox has stopped after {took:.2f} s")
    assert took < STOP
    if step == "upload":
        # Both DropBoxes are in one process here.  As long as it has a file of the share open, no
        # process can be started from it: the new one would close its copy of the file first.
        scene.share.answer()
        scene.whole.start_dropbox()
        scene.imported_once(files)
        # Its half uploads stay as long as its sessions, which its own end would have ended.
        return
    scene.whole.start_dropbox()
    scene.pass_the_test(files)
