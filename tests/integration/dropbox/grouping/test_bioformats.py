"""Grouping by Bio-Formats itself, in its process: what it makes of sets, and what becomes of it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import tifffile
from PIL import Image

from omero_fs_plugin.config.readers import KNOWN
from omero_fs_plugin.dropbox.grouping.bioformats import jars
from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats, BioFormatsError
from omero_fs_plugin.dropbox.grouping.child.process import Child
from omero_fs_plugin.dropbox.grouping.filesets import Grouping
from omero_fs_plugin.errors import ConfigurationError, FsError
from tests import bioformats
from tests.children import hurry

PLANE = np.arange(256, dtype=np.uint8).reshape(16, 16)
NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
HANGS = "hangs&sleepInitFile=600000.fake"  # Bio-Formats' own test format; ms
LIMIT = 1  # s, for who hangs


@pytest.fixture(scope="session")
def installation() -> jars.Installation:
    return bioformats.installation()


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], list[str]]:
    """What may be read: the directories of all tests."""
    return lambda: [str(tmp_path_factory.getbasetemp())]


@pytest.fixture(scope="session")
def shared(
    installation: jars.Installation, watched: Callable[[], list[str]]
) -> Iterator[BioFormats]:
    """One JVM for all tests that do it no harm."""
    with BioFormats(installation, time_limit=60, roots=watched) as grouper:
        yield grouper


@pytest.fixture
def own(
    installation: jars.Installation, watched: Callable[[], list[str]]
) -> Iterator[Callable[..., BioFormats]]:
    """Makes one for a test that ends it, or wants it otherwise."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            BioFormats(installation, **{"roots": watched, **options})
        )


def uuid(number: int) -> str:
    return f"urn:uuid:{UUID(int=number)}"


def ome(*parts: str, number: int, inner: str = "") -> str:
    """OME-XML of the file `number`: one image, whose time points are in the files `parts`."""
    data = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">{uuid(t)}</UUID></TiffData>'
        for t, name in enumerate(parts)
    )
    image = (
        '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
        f'SizeX="16" SizeY="16" SizeZ="1" SizeC="1" SizeT="{len(parts)}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image>'
    )
    return (
        f'<?xml version="1.0"?><OME xmlns="{NAMESPACE}" UUID="{uuid(number)}">'
        f"{inner}{image if parts else ''}</OME>"
    )


def binary_only(metadata: str, number: int) -> str:
    return ome(number=number, inner=f'<BinaryOnly MetadataFile="{metadata}" UUID="{uuid(9)}"/>')


def tiff(path: Path, description: str | None = None) -> None:
    data = None if description is None else description.encode()
    tifffile.imwrite(path, PLANE, description=data, metadata=None)


def ome_set(to: Path) -> None:
    names = ["a.ome.tif", "b.ome.tif", "c.ome.tif"]
    for number, name in enumerate(names):
        tiff(to / name, ome(*names, number=number))


def companion(to: Path) -> None:
    names = ["t0.ome.tif", "t1.ome.tif"]
    (to / "set.companion.ome").write_text(ome(*names, number=9))
    for number, name in enumerate(names):
        tiff(to / name, binary_only("set.companion.ome", number))


def plate(to: Path) -> None:
    well = (
        '<Plate ID="Plate:0"><Well ID="Well:0:0" Row="0" Column="0"><WellSample '
        'ID="WellSample:0:0:0" Index="0"><ImageRef ID="Image:0"/></WellSample></Well></Plate>'
    )
    (to / "plate.companion.ome").write_text(ome("t0.ome.tif", number=9, inner=well))
    tiff(to / "t0.ome.tif", binary_only("plate.companion.ome", 0))


def pattern(to: Path) -> None:
    for t in range(3):
        tiff(to / f"t{t}.tif")
    (to / "z.pattern").write_text("t<0-2>.tif")


def nrrd(to: Path) -> None:
    head = (
        "NRRD0004\ntype: uint8\ndimension: 2\nsizes: 16 16\nencoding: raw\ndata file: two.raw\n\n"
    )
    (to / "two.nhdr").write_text(head)
    (to / "two.raw").write_bytes(PLANE.tobytes())


def ics(to: Path) -> None:
    lines = ["\t", "ics_version\t1.0", "filename\tset", "layout\tparameters\t3"]
    lines += [
        "layout\torder\tbits\tx\ty",
        "layout\tsizes\t8\t16\t16",
        "layout\tsignificant_bits\t8",
    ]
    lines += ["representation\tformat\tinteger", "representation\tsign\tunsigned"]
    lines += ["representation\tcompression\tuncompressed", "representation\tbyte_order\t1"]
    (to / "set.ics").write_text("\n".join(lines) + "\n")
    (to / "set.ids").write_bytes(PLANE.tobytes())


# What makes a directory -> the one fileset it is, its reader, whether that is a plate
SETS: dict[Callable[[Path], None], tuple[list[str], str, bool]] = {
    ome_set: (["a.ome.tif", "b.ome.tif", "c.ome.tif"], "OMETiffReader", False),
    companion: (["set.companion.ome", "t0.ome.tif", "t1.ome.tif"], "OMETiffReader", False),
    plate: (["plate.companion.ome", "t0.ome.tif"], "OMETiffReader", True),
    pattern: (["z.pattern", "t0.tif", "t1.tif", "t2.tif"], "FilePatternReader", False),
    nrrd: (["two.nhdr", "two.raw"], "NRRDReader", False),
    ics: (["set.ics", "set.ids"], "ICSReader", False),
}
sets = pytest.mark.parametrize("make", SETS, ids=lambda make: make.__name__)


def files(root: Path) -> list[str]:
    return sorted(str(path) for path in root.rglob("*"))


def told(root: Path, grouping: Grouping) -> list[list[str]]:
    return [[os.path.relpath(path, root) for path in c.files] for c in grouping.candidates]


@sets
def test_sets_in_any_order_of_arrival(
    shared: BioFormats, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path)
    expected, reader, is_plate = SETS[make]
    for order in itertools.islice(itertools.permutations(files(tmp_path)), 24):
        grouping = shared.group(str(tmp_path), order)
        (candidate,) = grouping.candidates
        assert told(tmp_path, grouping) == [expected]
        assert (candidate.reader, candidate.plate) == (f"loci.formats.in.{reader}", is_plate)
        assert candidate.complete and not candidate.refused and not grouping.unreadable


@sets
def test_each_file_of_a_set_may_come_last(
    shared: BioFormats, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path)
    for late in files(tmp_path):
        content = Path(late).read_bytes()
        Path(late).unlink()
        before = shared.group(str(tmp_path), files(tmp_path))
        # Without what says that they belong together, those are pictures like any other.
        if not late.endswith((".pattern", ".nhdr")):
            assert before.candidates and not any(c.complete for c in before.candidates)
        # An .ics is looked for by its reader, under the name of its .ids or the other way.
        if not late.endswith((".ics", ".ids", ".pattern", ".nhdr")):
            assert all(c.missing == (late,) for c in before.candidates)
        Path(late).write_bytes(content)
        after = shared.group(str(tmp_path), files(tmp_path))
        assert told(tmp_path, after) == [SETS[make][0]] and after.candidates[0].complete


def test_files_that_are_filesets_by_themselves(shared: BioFormats, tmp_path: Path) -> None:
    expected = {}
    tiff(tmp_path / "a.tif")
    expected["a.tif"] = "TiffDelegateReader"
    tifffile.imwrite(tmp_path / "b.ome.tif", np.stack([PLANE] * 3))
    expected["b.ome.tif"] = "OMETiffReader"
    (tmp_path / "below").mkdir()
    for name, reader in (
        ("c.jpg", "JPEGReader"),
        ("d.png", "APNGReader"),
        ("below/e.gif", "GIFReader"),
        ("below/f é😀.bmp", "BMPReader"),
    ):
        Image.fromarray(PLANE).save(tmp_path / name)
        expected[name] = reader
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / ".a.tif").write_bytes((tmp_path / "a.tif").read_bytes())
    grouping = shared.group(str(tmp_path), [path for path in files(tmp_path) if "." in path[-5:]])
    found = {
        os.path.relpath(c.files[0], tmp_path): c.reader.rpartition(".")[2]
        for c in grouping.candidates
    }
    assert found == expected
    assert all(c.complete and not c.plate for c in grouping.candidates)
    assert {Path(path).name for path in grouping.unreadable} == {"notes.txt", ".a.tif"}


def test_no_reader_of_archives(shared: BioFormats) -> None:
    """It was taken off the list that readers are chosen from when none are named."""
    assert shared.unknown_readers(["ZipReader"]) == ()


def test_readers_are_those_that_are_named(shared: BioFormats, tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif")
    Image.fromarray(PLANE).save(tmp_path / "b.png")
    both = files(tmp_path)
    for readers in (["APNGReader"], ["OMETiffReader", "loci.formats.in.APNGReader"]):
        grouping = shared.group(str(tmp_path), both, readers)
        assert told(tmp_path, grouping) == [["b.png"]]
        assert list(grouping.unreadable) == both[:1]
    assert set(shared.group(str(tmp_path), both, []).unreadable) == set(both)
    assert not shared.group(str(tmp_path), both).unreadable


def test_a_reader_that_there_is_not(shared: BioFormats, tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif")
    names = ["OMETiffReader", "NoSuchReader", "java.lang.String"]
    assert shared.unknown_readers(names) == ("NoSuchReader", "java.lang.String")
    with pytest.raises(ConfigurationError, match=r"no such reader: NoSuchReader"):
        shared.group(str(tmp_path), files(tmp_path), ["TiffDelegateReader", "NoSuchReader"])


def test_the_list_that_bio_formats_comes_with(shared: BioFormats, tmp_path: Path) -> None:
    """Some of it is in jars of others; without them it is passed over."""
    tiff(tmp_path / "a.tif")
    assert "loci.formats.in.URLReader" in shared.unknown_readers(KNOWN)
    assert shared.group(str(tmp_path), files(tmp_path), KNOWN) == shared.group(
        str(tmp_path), files(tmp_path)
    )


def test_a_root_over_a_link(shared: BioFormats, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    companion(tmp_path / "real")
    (tmp_path / "amy").symlink_to(tmp_path / "real")
    root = tmp_path / "amy"
    asked = [f"{root}/{path.name}" for path in (tmp_path / "real").iterdir()]
    grouping = shared.group(str(root), asked)
    assert told(root, grouping) == [SETS[companion][0]]
    assert not grouping.candidates[0].refused


@pytest.mark.parametrize("how", ["companion", "pattern", "absolute pattern", "link"])
def test_what_leads_out_is_refused(shared: BioFormats, tmp_path: Path, how: str) -> None:
    root, other = tmp_path / "amy", tmp_path / "zak"
    root.mkdir()
    other.mkdir()
    for t in range(2):
        tiff(other / f"t{t}.ome.tif", binary_only("../amy/x.companion.ome", t))
    named = other / "t0.ome.tif"
    if how == "companion":
        text = ome("../zak/t0.ome.tif", "../zak/t1.ome.tif", number=9)
        (root / "x.companion.ome").write_text(text)
    elif how == "pattern":
        (root / "x.pattern").write_text("../zak/t<0-1>.ome.tif")
    elif how == "absolute pattern":
        (root / "x.pattern").write_text(f"{other}/t<0-1>.ome.tif")
    else:
        ome_set(root)
        (root / "b.ome.tif").rename(other / "b.ome.tif")
        (root / "b.ome.tif").symlink_to(other / "b.ome.tif")
        named = root / "b.ome.tif"
    asked = [path for path in files(root) if not Path(path).is_symlink()]
    grouping = shared.group(str(root), asked)
    (candidate,) = grouping.candidates
    assert named.name in candidate.refused
    assert "not below" in candidate.refused or "symbolic link" in candidate.refused
    assert all(path.startswith(f"{root}/") for path in candidate.files)


def test_a_fifo_is_not_handed_over(shared: BioFormats, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    tiff(tmp_path / "b.tif")
    before = shared.pid
    grouping = shared.group(str(tmp_path), files(tmp_path))
    assert "not a regular file" in grouping.unreadable[str(tmp_path / "a.tif")]
    assert told(tmp_path, grouping) == [["b.tif"]]
    assert shared.pid == before


def sleeper(to: Path, name: str) -> str:
    (to / name).write_bytes(b"")
    return str(to / name)


def batch(to: Path) -> list[str]:
    """A file that must be grouped whatever happens beside it, before and after."""
    tiff(to / "a.tif")
    tiff(to / "z.tif")
    return [str(to / "a.tif"), str(to / "z.tif")]


def test_a_reader_that_hangs_is_cut_off(
    own: Callable[..., BioFormats], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a FIFO that nobody handed over: the reader of another file goes for it."""
    asked = [*batch(tmp_path), str(tmp_path / "m.pattern")]
    (tmp_path / "m.pattern").write_text("t<0-1>.tif")
    for t in range(2):
        os.mkfifo(tmp_path / f"t{t}.tif")
    hurry(monkeypatch, LIMIT, lambda _, request: request.get("path") == asked[-1])
    grouper = own(time_limit=60)
    grouping = grouper.group(str(tmp_path), asked)
    assert told(tmp_path, grouping) == [["a.tif"], ["z.tif"]]
    assert grouping.unreadable == {
        asked[-1]: f"Bio-Formats failed on it twice: no answer within {LIMIT} s"
    }
    # Who asks again, because another file has come, does not wait again.
    worker = grouper.pid
    assert grouper.group(str(tmp_path), asked) == grouping
    assert grouper.pid == worker


def test_a_stopped_process_is_replaced(
    own: Callable[..., BioFormats], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouper = own(time_limit=60)
    asked = batch(tmp_path)
    grouper.group(str(tmp_path), asked)
    stopped = grouper.pid
    assert stopped is not None
    hurry(monkeypatch, LIMIT, lambda child, _: child.pid == stopped)
    os.kill(stopped, signal.SIGSTOP)
    grouping = grouper.group(str(tmp_path), asked)
    assert told(tmp_path, grouping) == [["a.tif"], ["z.tif"]] and not grouping.unreadable
    assert grouper.pid != stopped and not Path(f"/proc/{stopped}").exists()


def test_a_process_killed_in_a_call(
    own: Callable[..., BioFormats], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once each while two files are read, and each time while a third one is."""
    asked = batch(tmp_path)
    ask = Child.ask
    left = {"b&sleepInitFile=1000.fake": 1, "c&sleepInitFile=1000.fake": 1, HANGS: 9}
    asked += [sleeper(tmp_path, name) for name in left]
    killed = []
    timers = []

    def killing(
        self: Child, request: dict[str, object], limit: float, **more: Any
    ) -> dict[str, object]:
        name = Path(str(request.get("path", ""))).name
        if left.get(name, 0) > 0:
            left[name] -= 1
            killed.append(self.pid)
            if name != HANGS:  # so it gives no answer before it is killed, however late that is
                os.kill(self.pid, signal.SIGSTOP)
            timers.append(threading.Timer(0.1, os.kill, (self.pid, signal.SIGKILL)))
            timers[-1].start()
        return ask(self, request, limit, **more)

    monkeypatch.setattr(Child, "ask", killing)
    grouping = own().group(str(tmp_path), asked)
    for timer in timers:
        timer.join()
    names = ["a.tif", "b&sleepInitFile=1000.fake", "c&sleepInitFile=1000.fake", "z.tif"]
    assert told(tmp_path, grouping) == [[name] for name in names]
    assert grouping.unreadable == {
        str(tmp_path / HANGS): "Bio-Formats failed on it twice: was ended by SIGKILL"
    }
    assert len(set(killed)) == 4


def test_a_process_killed_between_calls(own: Callable[..., BioFormats], tmp_path: Path) -> None:
    grouper = own()
    asked = batch(tmp_path)
    first = grouper.group(str(tmp_path), asked)
    killed = grouper.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert grouper.group(str(tmp_path), asked) == first
    assert grouper.pid not in (killed, None)
    grouper.rest()
    assert grouper.pid is None
    assert grouper.group(str(tmp_path), asked) == first


def test_what_exhausts_memory_is_unreadable(own: Callable[..., BioFormats], tmp_path: Path) -> None:
    """A TIFF whose directory has the offsets of 300 million strips, and the room for them."""
    asked = batch(tmp_path)
    entries = [(256, 4, 1, 16), (257, 4, 1, 300_000_000), (258, 3, 1, 8), (262, 3, 1, 1)]
    entries += [(273, 4, 300_000_000, 1 << 20), (278, 4, 1, 1), (279, 4, 300_000_000, 1 << 20)]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    big = tmp_path / "big.tif"
    big.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + b"\0" * 4)
    os.truncate(big, 3 << 30)  # a hole
    grouping = own(memory=64).group(str(tmp_path), [*asked, str(big)])
    assert told(tmp_path, grouping) == [["a.tif"], ["z.tif"]]
    assert grouping.unreadable == {
        str(big): "Bio-Formats failed on it twice: needs more than 64 MiB of memory"
    }


def test_it_ends_with_who_started_it(installation: jars.Installation, tmp_path: Path) -> None:
    """Killed, in the midst of a call: nobody is left to hang for ever."""
    hanging = sleeper(tmp_path, HANGS)
    code = (
        "import sys, threading, time\n"
        "from tests import bioformats\n"
        "from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats\n"
        f"grouper = BioFormats(bioformats.installation(), roots=lambda: [{str(tmp_path)!r}])\n"
        "grouper.version()\n"
        "print(grouper.pid, flush=True)\n"
        f"grouper.group({str(tmp_path)!r}, [{hanging!r}])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        parent.kill()
    while _runs(worker):
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    """A zombie does not: whoever adopted it may take its time."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_closing_ends_a_call_in_another_thread(
    own: Callable[..., BioFormats], tmp_path: Path
) -> None:
    grouper = own()
    grouper.version()
    hanging = sleeper(tmp_path, HANGS)
    raised: list[BaseException] = []

    def call() -> None:
        try:
            grouper.group(str(tmp_path), [hanging])
        except FsError as error:
            raised.append(error)

    thread = threading.Thread(target=call, name="call")
    thread.start()
    grouper.close()
    thread.join(60)
    assert not thread.is_alive()
    assert [str(error) for error in raised] == ["Bio-Formats was closed"]
    grouper.close()
    with pytest.raises(BioFormatsError, match="was closed"):
        grouper.group(str(tmp_path), [hanging])


def test_two_at_a_time(own: Callable[..., BioFormats], tmp_path: Path) -> None:
    groupers = [own(), own()]
    made: dict[int, list[Grouping]] = {0: [], 1: []}
    for number in made:
        (tmp_path / str(number)).mkdir()
        companion(tmp_path / str(number))

    def work(number: int) -> None:
        root = tmp_path / str(number)
        made[number] += [groupers[number].group(str(root), files(root)) for _ in range(10)]

    threads = [threading.Thread(target=work, args=(number,)) for number in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert groupers[0].pid != groupers[1].pid
    for number, groupings in made.items():
        expected = [SETS[companion][0]]
        assert [told(tmp_path / str(number), g) for g in groupings] == [expected] * 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"jars": ("/dev/null",)}, "could not be started"),
        ({"jvm": "/no/such/libjvm.so"}, "could not be started"),
    ],
    ids=["no Bio-Formats in the jars", "no JVM"],
)
def test_a_start_that_fails_says_why(
    installation: jars.Installation, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    tiff(tmp_path / "a.tif")
    with (
        BioFormats(dataclasses.replace(installation, **change)) as grouper,
        pytest.raises(BioFormatsError, match=said),
    ):
        grouper.group(str(tmp_path), files(tmp_path))


def test_too_little_memory_to_start(own: Callable[..., BioFormats], tmp_path: Path) -> None:
    with pytest.raises(BioFormatsError, match="could not be started"):
        own(memory=2).group(str(tmp_path), batch(tmp_path))
