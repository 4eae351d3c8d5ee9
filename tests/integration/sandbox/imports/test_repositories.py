"""Imports into the sandbox: the repositories."""

from __future__ import annotations

import omero.all
import pytest
from omero.rtypes import unwrap

import omero

from .clients import Client, Server


def test_repositories_in_order_and_only_one_is_managed(server: Server, amy: Client) -> None:
    found = amy.sf.sharedResources().repositories()
    assert [unwrap(d.name) for d in found.descriptions] == ["scripts", "ManagedRepository", "data"]
    assert unwrap(found.descriptions[0].hash) == "ScriptRepo"
    assert unwrap(found.descriptions[1].path) == f"{server.root.parent}/"
    assert [proxy is None for proxy in found.proxies] == [False, False, True]
    cast = omero.grid.ManagedRepositoryPrx.checkedCast
    assert cast(found.proxies[0]) is None
    assert cast(found.proxies[1]) is not None


def test_what_a_repository_does_not_have_is_refused_by_name(amy: Client) -> None:
    for refused in (
        lambda: amy.repository.importPaths(["a"]),
        lambda: amy.repository.deletePaths(["a"], False, False),
        lambda: amy.repository.register("a", None),
    ):
        with pytest.raises(omero.ApiUsageException) as caught:
            refused()
        assert "ManagedRepository." in caught.value.message


def test_looking_into_the_repository(server: Server, amy: Client, tiff: bytes) -> None:
    image = unwrap(amy.run(("a/b.tif", tiff)).objects[0].id)
    _, place = amy.file_of(image)
    directory = place.rpartition("/")[0]
    assert amy.repository.list(directory) == [place]
    assert [unwrap(f.name) for f in amy.repository.listFiles(directory)] == ["b.tif"]
    assert amy.repository.fileExists(place)
    assert amy.repository.file(place, "r").read(0, 4) == tiff[:4]
    zak = Client(server, "zak")
    assert zak.repository.list(directory) == [] and not zak.repository.fileExists(place)
    # This alone asks the disk.
    assert zak.repository.mimetype(place) == "application/octet-stream"
    with pytest.raises(omero.ValidationException):
        zak.repository.mimetype("nothing")
    amy.repository.makeDir(f"amy_{amy.session.user}/mine/deep", True)
    assert (server.root / f"amy_{amy.session.user}/mine/deep").is_dir()
    with pytest.raises(omero.SecurityViolation):
        zak.repository.makeDir(f"amy_{amy.session.user}/his", True)
