"""The table of hostile files, as both ways of grouping answer: no escape, no hang, no raise."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.grouping.bioformats.grouper import BioFormats
from omero_fs_plugin.dropbox.grouping.confined import Confined
from omero_fs_plugin.dropbox.grouping.filesets import Grouper, Grouping
from omero_fs_plugin.dropbox.settling.groupers import group_whole
from tests import bioformats, samples

from .inputs import INPUTS, Input, Place

LIMIT = 8.0  # s for one file
# s for one input: a file may be read twice, and the process that it ends is started anew.
MOST = 2 * LIMIT + 30


# A reader of Bio-Formats that hangs is given its time twice.
_BIOFORMATS = pytest.param("Bio-Formats", marks=pytest.mark.long)


@pytest.fixture(scope="module", params=["signatures", _BIOFORMATS])
def grouper(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Grouper]:
    roots = [str(tmp_path_factory.getbasetemp())]
    made: Confined | BioFormats
    if request.param == "signatures":
        made = Confined(roots=lambda: roots, time_limit=LIMIT)
    else:
        made = BioFormats(bioformats.installation(), time_limit=LIMIT, roots=lambda: roots)
    with made:
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    amy, zak, secret = tmp_path / "amy", tmp_path / "zak", tmp_path / "config.xml"
    (amy / "here").mkdir(parents=True)
    zak.mkdir()
    for name in ("a.tif", "t0.tif"):
        samples.tiff(zak / name)
    secret.write_text("<property name='omero.db.pass' value='secret'/>")
    return Place(amy / "here", amy, zak, secret)


@pytest.mark.parametrize("one", INPUTS, ids=lambda one: one.name)
def test_what_becomes_of_it(grouper: Grouper, place: Place, one: Input) -> None:
    one.make(place)
    samples.tiff(place.here / "plain.png.tif")
    files = [os.fsdecode(path) for path in _regular(place.here)]
    begun = time.monotonic()
    found = group_whole(grouper, str(place.amy), files, None)
    took = time.monotonic() - begun
    assert took < MOST, f"{took:.0f} s"
    _keeps_the_rule(found, files)
    for candidate in found.candidates:
        taken = candidate.complete and not candidate.refused
        outside = [path for path in candidate.files if not path.startswith(f"{place.amy}/")]
        assert not outside, f"{outside} of {candidate}"
        links = [path for path in candidate.files if os.path.realpath(path) != path]
        assert not (taken and links), f"{links} of {candidate}"
        for text in (candidate.refused, candidate.incomplete, candidate.broken, candidate.held):
            text.encode()
            assert len(text) < 10_000
            assert "omero.db.pass" not in text and "root:x:0" not in text
        "".join(candidate.missing).encode()
    "".join(found.unreadable.values()).encode()


def _regular(directory: Path) -> Iterator[bytes]:
    for where, _, names in os.walk(os.fsencode(directory)):
        for name in names:
            path = os.path.join(where, name)  # noqa: PTH118
            if not os.path.islink(path) and os.path.isfile(path):  # noqa: PTH113, PTH114
                yield path


def _keeps_the_rule(found: Grouping, files: list[str]) -> None:
    told = {path for candidate in found.candidates for path in candidate.files}
    assert set(files) <= {*told, *found.unreadable}
    firsts = [candidate.files[0] for candidate in found.candidates]
    assert len(firsts) == len(set(firsts))
