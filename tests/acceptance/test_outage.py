"""OMERO stopped for a while, under a DropBox that goes on."""

from __future__ import annotations

from collections.abc import Callable

from .dropping import DropBox
from .server import Server
from .waiting import until

_BLITZ = "Blitz-0"


def _status(server: Server) -> str:
    done = server.ask("fs", "status", check=False)
    return done.stderr if done.returncode == 1 else ""


def test_what_is_dropped_while_omero_is_stopped(dropbox: DropBox) -> None:
    server = dropbox.server
    before = dropbox.drop("before.tif")
    dropbox.until_imported(before)
    dropbox.omero.close()
    server.ice(f"server disable {_BLITZ}; server stop {_BLITZ}")
    try:
        meanwhile = dropbox.drop_many(5)
        until(
            "DropBox waits for OMERO, which is not well",
            lambda: "DropBox is waiting for OMERO" in _status(server),
            evidence=server.evidence,
        )
    finally:
        server.ice(f"server enable {_BLITZ}; server start {_BLITZ}")
    told = server.until_told(*meanwhile, states=("imported", "failed", "skipped"))
    assert [fileset["state"] for fileset in told] == ["imported"] * 5
    dropbox.until_imported(*meanwhile)
    dropbox.assert_once(before, *meanwhile)


def test_omeros_database_is_away_behind_a_living_blitz(
    dropbox: DropBox, moods: Callable[..., None]
) -> None:
    server = dropbox.server
    before = dropbox.drop("before.tif")
    dropbox.until_imported(before)
    moods(database="away")
    meanwhile = dropbox.drop_many(20)
    until(
        "DropBox waits for OMERO",
        lambda: "DropBox is waiting for OMERO" in _status(server),
        evidence=server.evidence,
    )
    told = [fileset for path in meanwhile for fileset in server.of_file(path)]
    assert "failed" not in {fileset["state"] for fileset in told}
    moods()
    dropbox.until_imported(*meanwhile)
    dropbox.assert_once(before, *meanwhile)


def test_a_busy_omero_is_asked_for_less_at_a_time(
    dropbox: DropBox, moods: Callable[..., None]
) -> None:
    server = dropbox.server
    moods(faults=[{"calls": r"ImportRequest\.begin", "raises": "DatabaseBusyException"}])
    path = dropbox.drop("busy.tif")
    until(
        "status says that OMERO is busy",
        lambda: "OMERO is busy" in server.ask("fs", "status", check=False).stdout,
        evidence=server.evidence,
    )
    moods()
    dropbox.until_imported(path)
    dropbox.assert_once(path)
