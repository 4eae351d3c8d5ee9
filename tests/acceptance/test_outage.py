"""OMERO stopped for a while, under a DropBox that goes on."""

from __future__ import annotations

from .dropping import DropBox
from .server import Server
from .waiting import until

_BLITZ = "Blitz-0"


def _status(server: Server) -> str:
    done = server.run("fs", "status", check=False)
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
