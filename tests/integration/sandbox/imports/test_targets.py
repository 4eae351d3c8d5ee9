"""Imports into the sandbox: datasets, screens, groups and rights."""

from __future__ import annotations

import omero.all
import pytest
from omero.model import DatasetI, ProjectI, ScreenI
from omero.rtypes import unwrap

import omero
from omero_fs_plugin.sandbox import accounts

from .clients import Client, Server, dataset, fileset, reason, settings


def test_a_dataset_gets_the_images(amy: Client, tiff: bytes) -> None:
    target = dataset(amy)
    image = unwrap(amy.run(("a.tif", tiff), target=DatasetI(target, False)).objects[0].id)
    text = "select l.parent.id, l.child.id from DatasetImageLink l"
    assert amy.query(text) == [[target, image]]


def test_a_project_cannot_be_a_target(amy: Client, tiff: bytes) -> None:
    response = amy.run(("a.tif", tiff), target=ProjectI(1, False))
    assert "Unable to handle target" in reason(response)
    assert amy.query("select i.id from Image i") == []


def test_a_screen_is_passed_over_in_silence(amy: Client, tiff: bytes) -> None:
    response = amy.run(("a.tif", tiff), target=ScreenI(1, False))
    assert isinstance(response, omero.grid.ImportResponse)
    assert amy.query("select l.id from DatasetImageLink l") == []


def test_a_dataset_that_is_not_there(amy: Client, tiff: bytes) -> None:
    assert reason(amy.run(("a.tif", tiff), target=DatasetI(99, False)))
    assert amy.query("select i.id from Image i") == []


@pytest.mark.parametrize(
    ("permissions", "works"), [("rwra--", False), ("rwrw--", True), ("rwr---", False)]
)
def test_someone_elses_dataset(server: Server, tiff: bytes, permissions: str, works: bool) -> None:
    for user in ("amy", "zak"):
        server.join(user, "lab", permissions)
    zak, amy = Client(server, "zak", "lab"), Client(server, "amy", "lab")
    response = amy.run(("a.tif", tiff), target=DatasetI(dataset(zak), False))
    assert isinstance(response, omero.grid.ImportResponse if works else omero.cmd.ERR)
    assert len(amy.query("select i.id from Image i")) == (1 if works else 0)


def test_another_group_by_session_or_implicit_context_only(server: Server, tiff: bytes) -> None:
    group = server.join("amy", "lab")
    owner = "select i.details.group.id from Image i order by i.id"
    inside = Client(server, "amy", "lab")
    inside.run(("a.tif", tiff))
    implicit = Client(server, "amy")
    implicit.ice.getImplicitContext().put("omero.group", str(group))
    implicit.run(("a.tif", tiff))
    assert inside.query(owner) == [[group], [group]]
    plain = Client(server, "amy")
    context = dict(plain.ice.getImplicitContext().getContext(), **{"omero.group": str(group)})
    process = plain.repository.importFileset(fileset("a.tif"), settings(), context)
    with pytest.raises(omero.SecurityViolation):
        plain.upload(process, [tiff])


def test_a_session_in_a_group_the_user_is_not_in(server: Server) -> None:
    outside = Client(server, "amy", "zak_group")
    with pytest.raises(omero.SecurityViolation) as caught:
        outside.sf.getQueryService()
    assert "is not a member of group" in caught.value.message


def test_an_inactive_user(server: Server) -> None:
    with server.sandbox.store.begin() as db:
        group = accounts.create_group(server.sandbox.store, db, "left")
        accounts.create_user(server.sandbox.store, db, "ivy", "ivy", [group])
    ivy = Client(server, "ivy")
    with pytest.raises(omero.SecurityViolation) as caught:
        ivy.begin(["a.tif"])
    assert caught.value.message == "No matching roles found in [left]"
