"""Ways home that nobody goes on with are finished by whoever runs, not only at the next start."""

from __future__ import annotations

import itertools

from omero_fs_plugin.dropbox.importing.forsaken import Forsaken
from omero_fs_plugin.dropbox.journal.moves import Way


def way(until: float) -> Way:
    return Way("/dropbox/amy", "/failed/amy/1", (), until)


def test_it_looks_from_time_to_time() -> None:
    forsaken = Forsaken(100.0)
    assert not forsaken.looks(129.0)
    assert forsaken.looks(130.0)
    assert not forsaken.looks(159.0)
    assert forsaken.looks(10.0)  # another clock


def test_each_is_tried_again_and_again() -> None:
    forsaken, ways, tried = Forsaken(0.0), {1: way(0.0), 2: way(1000.0)}, []
    for now in range(0, 20_000, 30):
        for identifier, root in forsaken.due(ways, float(now), 900.0).items():
            assert (identifier, root) == (1, "/dropbox/amy")  # the other one shows that it goes on
            tried.append(now)
    gaps = [after - before for before, after in itertools.pairwise(tried)]
    assert gaps == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


def test_the_next_way_of_a_fileset_begins_anew() -> None:
    forsaken = Forsaken(0.0)
    assert forsaken.due({1: way(0.0)}, 0.0, 900.0)
    assert not forsaken.due({1: way(0.0)}, 30.0, 900.0)
    assert not forsaken.due({}, 31.0, 900.0)
    assert forsaken.due({1: way(0.0)}, 32.0, 900.0)
    assert forsaken.due({2: way(900.0)}, 33.0, 900.0)
