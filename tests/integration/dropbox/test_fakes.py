"""Empty `.fake` files, with which sites try out a server: Bio-Formats makes up their images."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests import bioformats
from tests.integration.whole import Whole


@pytest.fixture
def whole(make_whole: Callable[..., Whole]) -> Whole:
    bioformats.installation()
    return make_whole(bioformatsJars=bioformats.as_property())


def test_they_are_imported_and_other_empty_files_fail(whole: Whole) -> None:
    """The first is the smoke test of OMERO's own image, byte for byte: there are none."""
    root, amy = whole.watch_dir / "root", whole.watch_dir / "amy"
    root.mkdir()
    smoke, sized, described, empty = (
        *(root / "x.fake", amy / "a&sizeZ=3&sizeX=64.fake", amy / "described.fake"),
        amy / "empty.tif",
    )
    (amy / "described.fake.ini").write_text("sizeT = 4\n", encoding="ascii")
    for path in (smoke, sized, described, empty):
        path.touch()
    whole.until_known(smoke, sized, described, states=(State.IMPORTED,))
    whole.until_known(empty, states=(State.FAILED,))
    names = [met.path.rpartition("/")[2] for met in whole.row(described).files]
    assert sorted(names) == ["described.fake", "described.fake.ini"]
    whole.assert_once(smoke, sized, described)
