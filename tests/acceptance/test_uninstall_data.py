"""`omero fs uninstall --data`, while the whole grid runs: what is ours goes from OMERO."""

from __future__ import annotations

from typing import Any

import omero.clients

import omero
from omero_fs_plugin.blitz import publications

from .api import Omero
from .dropping import DropBox
from .test_published import _status
from .test_reload import Configuration
from .test_reload import configuration as configuration  # a fixture
from .waiting import until

_OURS = "select a.ns, o.omeName from CommentAnnotation a join a.details.owner o where a.ns like :ns"


def _ours(api: Omero) -> set[tuple[str, str]]:
    return {(ns, owner) for ns, owner in api.rows(_OURS, ns="omero.fs/%")}


def _ask_as(dropbox: DropBox, user: str, text: str) -> None:
    """A request of the user, whose password is the name."""
    client: Any = omero.client("localhost", dropbox.omero.port)
    try:
        publications.ask(client.createSession(user, user), text)
    finally:
        client.closeSession()
        client.__del__()


def test_documents_requests_and_signs_go_and_images_stay(
    dropbox: DropBox, configuration: Configuration
) -> None:
    server, api = dropbox.server, dropbox.omero
    configuration.set(publishInterval="1")
    server.ask("fs", "reload")
    (fileset,) = dropbox.until_imported(dropbox.drop("cells.tif"))
    until("amy has a document", lambda: _status(dropbox, "amy"), evidence=server.evidence)
    server.ask("fs", "check", "--publish", "--fail-on", "none")
    # While DropBox would write them again, nothing is touched: not even before it has reloaded.
    for interval in ("1", "off"):
        configuration.set(publishInterval=interval)
        refused = server.ask("fs", "uninstall", "--data", check=False)
        assert refused.returncode == 2 and "publishInterval off" in refused.stderr
        assert ("omero.fs/drops", "amy") in _ours(api)
        assert server.ask("fs", "install", "--check", check=False).returncode == 0
    server.ask("fs", "reload")
    _ask_as(dropbox, "amy", "forget 1")  # nobody reads it now
    assert {
        ("omero.fs/drops", "amy"),
        ("omero.fs/request", "amy"),
        ("omero.fs/alive", "root"),
        ("omero.fs/check", "root"),
    } <= _ours(api)
    try:
        told = server.ask("fs", "uninstall", "--data").stdout
        assert "documents of users deleted from OMERO" in told
        assert _ours(api) == set()
        assert api.imported_ids(fileset_path := dropbox.directory / "cells.tif") == {
            fileset_path: [fileset.id]
        }
    finally:
        server.ask("fs", "install")
    # The grid runs on as it was, and with documents again if that is wanted.
    configuration.set(publishInterval="1")
    server.ask("fs", "reload")
    dropbox.until_imported(dropbox.drop("more.tif"))
    until("amy has a document", lambda: _status(dropbox, "amy"), evidence=server.evidence)
