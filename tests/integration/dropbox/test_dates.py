"""Files that are dated long ago or far ahead, as anybody may date them, beside those of others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from omero_fs_plugin.dropbox.journal.states import State
from tests.integration.whole import Whole

# s since the epoch.  What a file system does not know it makes the next time that it does.
DATES = {
    "1901": -(2**31),
    "1970": 0,
    "the next century": 4_102_444_800,
    "2262": 2**63 // 10**9 - 1,
    "2300": 10_413_792_000,
    "2400": 13_569_465_600,
    "the end of ext4's": 15_032_385_535,
}


def test_any_date(make_whole: Callable[..., Whole], caplog: pytest.LogCaptureFixture) -> None:
    whole = make_whole()
    whole.until_state("running")
    dated = []
    for name, at in DATES.items():
        aside = whole.drop(f"{name}.tif", user=".aside")
        os.utime(aside, (at, at))
        path = whole.watch_dir / "amy" / aside.name
        aside.rename(path)
        dated.append(path)
    beside = [whole.drop("beside.tif"), whole.drop("of zak.tif", user="zak")]
    whole.until_known(*dated, *beside)
    whole.until_settled()
    whole.assert_once(*dated, *beside)
    again = dated[-1]
    os.utime(again, (0, 0))  # it is touched, and a restart meets it anew
    whole.stop_dropbox()
    whole.start_dropbox()
    whole.until("it is looked at again", lambda: whole.dropbox.rescanner.ended)
    whole.until_settled()
    whole.assert_once(*dated, *beside)
    assert not [one.getMessage() for one in caplog.records if one.exc_info]


def test_what_fails(
    make_whole: Callable[..., Whole], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is put aside, which other statements of the journal say."""
    whole = make_whole(quarantine=str(tmp_path / "bad"))
    whole.until_state("running")
    bad = whole.watch_dir / "amy" / "bad.ome.tif"
    aside = tmp_path / "aside"
    aside.write_bytes(b"rubbish")
    os.utime(aside, (DATES["2400"], DATES["2400"]))
    shutil.move(aside, bad)
    whole.until("it is in quarantine", lambda: list((tmp_path / "bad").rglob("bad.ome.tif")))
    assert whole.journal.counts()[State.FAILED] == 1
    whole.until_known(whole.drop("beside.tif"))
    assert not [one.getMessage() for one in caplog.records if one.exc_info]
