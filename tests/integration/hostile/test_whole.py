"""The table of hostile files, dropped by amy into a DropBox, while zak goes on as ever."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests import samples
from tests.integration.whole import QUIET_S, Whole

from .inputs import ALONE, INPUTS, Input, Place

# s that one of zak's images may take, from its drop to OMERO: quiet, grouped, imported; all of it
# in this process, beside amy's, on a machine that does other things as well.
DELAY_S = QUIET_S + 10.0
MEMORY = 300 << 20  # bytes that the process may grow by
PATIENCE_S = 240.0
WHOLE = [one for one in INPUTS if one.whole]


def _memory() -> int:
    """Bytes that are resident."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Watch:
    """The most memory that this process had, looked at ten times a second."""

    def __init__(self) -> None:
        self.begun = self.most = _memory()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="memory")
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            self.most = max(self.most, _memory())

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def test_the_table_of_what_became_of_each(
    make_whole: Callable[..., Whole], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = make_whole(completeTimeout="3600", duplicates="import")
    amy, zak = whole.watch_dir / "amy", whole.watch_dir / "zak"
    secret = tmp_path / "config.xml"
    secret.write_text("<property name='omero.db.pass' value='secret'/>")
    beside = tmp_path / "beside"
    place = Place(beside, amy, zak, secret)
    for name in ("a.tif", "t0.tif"):
        samples.tiff(zak / name)
    whole.until_known(zak / "a.tif", zak / "t0.tif")

    watch = Watch()
    try:
        for number, one in enumerate(WHOLE):
            here = amy / f"{number:03}"
            here.mkdir()
            one.make(replace(place, here=here))
        delays = []
        for number in range(10):
            begun = time.monotonic()
            whole.until_known(whole.drop(f"{number}.tif", user="zak"))
            delays.append(time.monotonic() - begun)
        whole.until("everything has come to an end", lambda: _ended(whole), patience=PATIENCE_S)
    finally:
        watch.end()
    grown = watch.most - watch.begun
    sys.stdout.write(f"zak waited for at most {max(delays):.2f} s; {grown >> 20} MiB more\n")
    assert max(delays) < DELAY_S, f"zak waited for {max(delays):.1f} s"
    assert grown < MEMORY
    became = _became(whole, amy)
    wrong = [
        f"{one.name}: {name} is {state}: {reason[:300]!r}, and not {wanted}: {says!r}"
        for number, one in enumerate(WHOLE)
        for name, (wanted, says) in one.became.items()
        for state, reason in [became.get(f"{number:03}/{name}", ("nowhere", ""))]
        if wanted not in (state, "any") or says not in reason
    ]
    assert not wrong, "\n".join(wrong)
    for fileset in whole.journal.select(State.IMPORTED):
        for met in fileset.files:
            assert met.path.startswith(f"{amy}/" if fileset.user == "amy" else f"{zak}/")
            assert not Path(met.path).is_symlink()
    # A defect of ours would stand there.
    assert not [one for one in caplog.records if one.exc_info]


def _ended(whole: Whole) -> bool:
    """Whether nothing is to be settled, grouped or imported any more."""
    counts = whole.journal.counts()
    if counts["queued"] or counts["importing"]:
        return False
    quiet = ("until it has been quiet", "")
    waiting = whole.journal.select(State.WAITING)
    return all(fileset.reason and not fileset.reason.startswith(quiet[0]) for fileset in waiting)


def _became(whole: Whole, amy: Path) -> dict[str, tuple[str, str]]:
    """Path below amy's directory -> state and reason."""
    found: dict[str, tuple[str, str]] = {}
    for fileset in whole.journal.select():
        for met in fileset.files:
            if met.path.startswith(f"{amy}/"):
                found[met.path[len(f"{amy}/") :]] = str(fileset.state), fileset.reason
    for name, why in whole.dropbox.figures().items():
        path = name.removeprefix("left.")
        if name.startswith("left.") and path.startswith(f"{amy}/"):
            found[path[len(f"{amy}/") :]] = ALONE, why
    return found


def test_every_input_is_one_of_the_table() -> None:
    names = [one.name for one in INPUTS]
    assert len(names) == len(set(names)) >= 100
    assert all(
        (isinstance(one, Input) and one.became) or not one.whole or _is_bare(one) for one in INPUTS
    )


def _is_bare(one: Input) -> bool:
    """Something that DropBox does not import: a directory."""
    return "directory" in one.name
