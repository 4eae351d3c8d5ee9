"""A document is of one moment: no set is in it both as imported and as lacking a file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from omero_fs_plugin.config.parsing import read
from omero_fs_plugin.dropbox.journal.glance import glance
from omero_fs_plugin.dropbox.journal.seen import Asked, Seen
from omero_fs_plugin.dropbox.journal.states import State
from tests.acceptance import images
from tests.integration.whole import Whole


def twice(seen: list[Seen]) -> list[Seen]:
    """Filesets that are not imported and have a file of one that is."""
    imported = {path for one in seen if one.state is State.IMPORTED for path in one.files}
    return [
        one
        for one in seen
        if one.state is not State.IMPORTED and not imported.isdisjoint(one.files)
    ]


def test_a_set_that_has_become_whole_is_in_one_place(
    make_whole: Callable[..., Whole], tmp_path: Path
) -> None:
    whole = make_whole(publishInterval="1")
    url = read(whole.properties).journal_url
    found: list[list[Seen]] = []
    looks, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            with glance(url) as look:
                seen = look.latest(Asked(user="amy"), 200) if look is not None else []
            looks[0] += 1
            if twice(seen):
                found.append(seen)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(2):
            names = ["a.ome.tif", "b.ome.tif", "c.ome.tif"]
            (tmp_path / str(number)).mkdir()
            *early, late = images.ome_tiff_set(tmp_path / str(number), names)
            place = whole.watch_dir / "amy" / f"set {number}"
            place.mkdir()
            for one in early:
                (place / one.name).write_bytes(one.read_bytes())

            def waits(first: str = str(place / "a.ome.tif")) -> bool:
                return any(one.reason for one in whole.journal.select() if one.path == first)

            whole.until("it waits", waits)
            (place / late.name).write_bytes(late.read_bytes())
            whole.until_known(place / "a.ome.tif")
        whole.until("it was often looked at", lambda: looks[0] > 100)
    finally:
        ended.set()
        watcher.join()
    assert looks[0] > 100
    assert not found, found[0]
