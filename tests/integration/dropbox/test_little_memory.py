"""What DropBox itself has in memory of a large set or store: bytes are counted, at two sizes.

What one import needs beyond that is in a process of its own, and ends with it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omero.rtypes import rlong, rstring, rtime

from omero_fs_plugin.blitz import filesets
from omero_fs_plugin.blitz.users import User
from omero_fs_plugin.dropbox.grouping.bioformats.walk import Walk, in_order
from omero_fs_plugin.dropbox.grouping.completeness import Findings
from omero_fs_plugin.dropbox.importing import activity
from omero_fs_plugin.dropbox.importing.activity import Watch, look
from omero_fs_plugin.dropbox.importing.apart import wire
from omero_fs_plugin.dropbox.journal.journal import Journal
from omero_fs_plugin.dropbox.journal.many import ManyFiles
from omero_fs_plugin.dropbox.journal.records import Found
from omero_fs_plugin.events import FileStat
from omero_fs_plugin.packed import Sha1s
from omero_fs_plugin.stores import digest, digest_of_copies
from tests.grown import for_each

from . import plates_alone

FOR_ONE = 102.4  # bytes: 1 KiB for each ten files
SMALL, LARGE = 4_000, 10_000  # files
ROOT = "/srv/omero/data/DropBox/amy"
PLATE = f"{ROOT}/2026-11-30/plate"
STORE = f"{ROOT}/2026-11-30/a.ome.zarr/"


def names(number: int) -> Iterator[str]:
    """Of a store, as its fileset has them."""
    yield ".zattrs"
    for one in range(number - 1):
        yield f"0/{one // 250:05}/{one % 250:03}"


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what grows is more than what one answer takes."""
    monkeypatch.setattr(filesets, "MOST_ROWS", 200)


class Omero:
    """Answers for a fileset with very many files that OMERO has."""

    def __init__(self, number: int, uploaded: bool = True) -> None:
        self.number, self.uploaded = number, uploaded
        self.longest = 0  # answer, in rows

    def projection(self, text: str, parameters: Any, *_: object) -> list[list[Any]]:
        rows = self._rows(text, parameters)
        self.longest = max(self.longest, len(rows))
        return rows

    def _rows(self, text: str, parameters: Any) -> list[list[Any]]:
        if "Node" in text:
            return [[rtime(1), rlong(1)]]
        if "creationEvent" in text:
            return [[rlong(9), rtime(1000)]]
        if text == activity._FIRST:
            return [[rlong(77)]]
        if "usedFiles e" not in text:
            return []
        beyond = parameters.map["beyond"].val
        some = islice(names(self.number), beyond, beyond + filesets.MOST_ROWS)
        return [
            [
                rlong(9),
                rlong(position),
                rstring(f"{STORE}{name}"[1:]),
                rstring(f"{position:040x}") if self.uploaded else None,
                rlong(64),
            ]
            for position, name in enumerate(some, beyond + 1)
        ]

    def there(self) -> filesets.ServerFileset:
        (found,) = filesets.with_file(self, User(1, "amy", "lab"), "any")
        return found

    def services(self) -> Any:
        clock = SimpleNamespace(getServerTime=lambda: rtime(2000))
        return SimpleNamespace(getQueryService=lambda: self, getConfigService=lambda: clock)


def _what_omero_has(number: int) -> object:
    return Omero(number).there()


def _what_omero_has_of_an_upload(number: int) -> object:
    return Omero(number, uploaded=False).there()


def _its_digest(number: int) -> object:
    found = Omero(number).there()
    return digest_of_copies(found.paths, found.hashes)


def _what_is_watched(number: int) -> object:
    """What is kept from one look to the next, of an upload that an earlier attempt left."""
    omero, watch = Omero(number), Watch(lambda: 5.0)
    session: Any = SimpleNamespace(services=omero.services())
    watch.rest(9, look(session, [omero.there()], lambda: 2.0))
    assert omero.longest <= filesets.MOST_ROWS
    return watch


def _what_its_process_says(number: int) -> object:
    each = Sha1s(f"{one:040x}" for one in range(number))
    said = Sha1s()
    for part in wire.told_of_sha1s(each):  # type: ignore[arg-type]
        for sha1 in wire.sha1s_of(part):
            said.append(sha1)
    assert said[-1] == each[-1]
    return said


@pytest.mark.parametrize(
    "kept",
    [
        _what_omero_has,
        _what_omero_has_of_an_upload,
        _its_digest,
        _what_is_watched,
        _what_its_process_says,
    ],
    ids=lambda kept: kept.__name__[1:],
)
def test_1_kib_for_each_ten_files_at_most(kept: Callable[[int], object]) -> None:
    assert for_each(kept, SMALL, LARGE) <= FOR_ONE


def test_what_is_watched_does_not_grow_with_the_files() -> None:
    kept = [_what_is_watched(number)._seen for number in (SMALL, LARGE)]  # type: ignore[attr-defined]
    assert len(repr(kept[0])) == len(repr(kept[1]))


def test_what_omero_has_is_as_it_was_told() -> None:
    found = Omero(5_000).there()
    assert list(found.paths) == [f"{STORE}{name}"[1:] for name in names(5_000)]
    assert found.hashes[0] == f"{1:040x}" and sum(found.sizes) == 64 * 5_000
    each = dict(zip(names(5_000), map(str, found.hashes), strict=True))
    assert digest_of_copies(found.paths, found.hashes) == digest(each)
    assert digest_of_copies(found.paths, [*found.hashes[:-1], None]) == ""


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Callable[[], Any]]]:
    """Number of files -> what gives a plate with so many, as the journal has it."""
    journal = Journal(f"sqlite:///{tmp_path_factory.mktemp('plates')}/journal.sqlite")
    there = {}
    for number in (SMALL, LARGE):
        found = [
            Found(f"{PLATE}-{number}/w{n // 1000:02}/t{n % 1000:04}.tif", FileStat(1, n, 64, n, n))
            for n in range(number)
        ]
        identifier = journal.hand_over("amy", ROOT, *found).id
        there[number] = partial(journal.get, identifier)
    yield there
    journal.close()


def test_a_plate_of_the_journal_takes_1_kib_for_each_ten_files_at_most(
    plates: dict[int, Callable[[], Any]],
) -> None:
    assert for_each(lambda number: plates[number](), SMALL, LARGE) <= FOR_ONE


def test_a_plate_that_is_given_to_its_process_is_the_same_there(
    plates: dict[int, Callable[[], Any]], tmp_path: Path
) -> None:
    plate = plates[SMALL]()
    assert isinstance(plate.files, ManyFiles)
    lines = list(wire.lines_of_files(plate))
    there = wire.fileset_of(wire.told_of(plate), lines)
    assert there.files == plate.files
    assert [met.stat.ctime_ns for met in there.files] == [met.stat.ctime_ns for met in plate.files]
    assert (there.path, there.state, there.id) == (plate.path, plate.state, plate.id)

    def parts(number: int) -> int:
        return sum(map(len, wire.lines_of_files(plates[number]())))

    assert for_each(parts, SMALL, LARGE) <= FOR_ONE


# A plate of plain files, until it is in the queue.  A path alone is some 100 bytes, and what
# identifies a file is 180: each of both is kept once.
UNTIL_QUEUED = 1024  # bytes for each file


@pytest.mark.parametrize(
    "does",
    [
        pytest.param(one, marks=pytest.mark.long if one == "queues" else ())
        for one in plates_alone.DOES
    ],
)
def test_a_plate_takes_1_kib_for_each_file_until_it_is_queued(does: str, tmp_path: Path) -> None:
    """Or for as long as it waits: it is asked about in many lots, and each answer names it all."""
    words = ["-m", plates_alone.__name__, does, str(tmp_path)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= UNTIL_QUEUED


def _opened(number: int, plain: Callable[[str, Sequence[Sequence[str]]], list[Findings]]) -> object:
    """What Bio-Formats says of a plate, from its answer on."""
    files = [f"{PLATE}/w{n // 1000:02}/t{n % 1000:04}.tif" for n in range(number)]
    walk = Walk(ROOT, plain)
    first, *_ = in_order(reversed(files))
    walk.take(first, {"files": [f"{path}" for path in files], "reader": "any", "plate": True})
    grouping = walk.grouping([first])
    assert grouping.candidates[0].files == tuple(files)
    return grouping


def test_what_bio_formats_says_of_a_plate_takes_little_more_than_its_paths() -> None:
    def whole(root: str, sets: Sequence[Sequence[str]]) -> list[Findings]:
        return [Findings()] * len(sets)

    assert for_each(lambda number: _opened(number, whole), SMALL, LARGE) <= UNTIL_QUEUED / 2
