"""A user asks OMERO, from any machine, what became of the user's files."""

from __future__ import annotations

import json
from typing import Any

from .dropping import DropBox
from .test_reload import Configuration
from .test_reload import configuration as configuration  # a fixture
from .waiting import until


def _status(dropbox: DropBox, user: str, *more: str) -> Any:
    """What `omero -u USER fs status --json` says; empty if OMERO shows this user no document."""
    server, omero = dropbox.server, dropbox.omero
    login = ["-C", "--sudo", "root", "-s", "localhost", "-p", str(omero.port), "-u", user]
    given = ["fs", "status", "--json", "--fail-on", "none", *more]
    done = server.run(*login, *given, check=False, OMERO_PASSWORD=server.root_password)
    if done.returncode == 7:
        assert "no document of OMERO.fs" in done.stderr
        return {}
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_user_sees_the_own_files_and_nobody_elses(
    dropbox: DropBox, configuration: Configuration
) -> None:
    configuration.set(publishInterval="1")
    dropbox.server.ask("fs", "reload")
    path = dropbox.drop("cells.tif")
    (fileset,) = dropbox.until_imported(path)
    name = f"{dropbox.directory.name}/cells.tif"

    def told() -> list[Any]:
        found = _status(dropbox, "amy").get("filesets", ())
        return [one for one in found if one["files"] == [name] and one["state"] == "imported"]

    until("amy's document tells of it", told, evidence=dropbox.server.evidence)
    assert told()[0]["fileset"] == fileset.id
    assert name not in json.dumps(_status(dropbox, "zak"))
    assert _status(dropbox, "zak", "--user", "amy") == {}
    configuration.reset()
    dropbox.server.ask("fs", "reload")
